#include "model/inference_network.h"

#include <algorithm>
#include <cstring>

#include "kernels/peak/peak.h"
#include "model/hourglass.h"

namespace sandglass {
namespace {

// The same picture seen in a mirror: output pixel (u, v) of `size` columns looks where (size - 1 - u, v) looked.
WarpPicture mirrored(WarpPicture picture, int size) {
  float* m = picture.matrix;
  for (const int row : {0, 3}) {
    m[row + 2] += m[row] * static_cast<float>(size - 1);
    m[row] = -m[row];
  }
  return picture;
}

}  // namespace

struct InferenceNetwork::Implementation {
  Implementation(Device& device, const Weights& weights, int pictures_a_run, size_t max_pixel_bytes, bool mirror)
      : device(device),
        config(weights.config),
        pictures_a_run(pictures_a_run),
        batch(mirror ? 2 * pictures_a_run : pictures_a_run),
        max_pixel_bytes(max_pixel_bytes),
        plan(device),
        graph(plan, batch) {
    check(pictures_a_run >= 1, "the batch is {}, must be at least 1", pictures_a_run);
    const int size = config.input_size, k = config.heatmaps;
    picture = plan.lasting_tensor("picture", device.picture({batch, size, size, 3}));
    pixels = plan.lasting_buffer("pixels", std::max<size_t>(max_pixel_bytes, 1));
    pictures = plan.lasting_buffer("pictures", batch * sizeof(WarpPicture));
    peak_values = plan.lasting_buffer("peaks", size_t(batch) * k * sizeof(HeatmapPeak));
    warp = make_operation(device, Warp{picture.desc});

    const PlanTensor y = HeatmapNet(config).infer(graph, picture);
    heatmaps = plan.lasting_tensor("heatmaps", y.desc);
    std::shared_ptr<Peak::Operation> peak = make_operation(device, Peak{y.desc});
    plan.step(
        "peak", {y.buffer, peak_values},
        [=, this](const Plan::Memory& m) {
          peak->run({m.f32(y.buffer), m.f32(peak_values)}, m.stream);
        },
        peak->cost);
    plan.step("keep heatmaps", {y.buffer, heatmaps.buffer},
              [=, this](const Plan::Memory& m) {
                this->device.copy(m[heatmaps.buffer], m[y.buffer], y.desc.bytes(), m.stream);
              },
              {.bytes = bytes_of({y.desc, y.desc})});
    finish_plan(plan, batch);
    graph.load(weights);
    peaks.resize(size_t(batch) * k);
    const size_t peak_bytes = peaks.size() * sizeof(HeatmapPeak);
    staged = PinnedMemory(device, std::max(batch * sizeof(WarpPicture), peak_bytes));
    network = device.capture([this](Stream stream) { plan.run(stream); });
    whole = device.capture([this](Stream stream) {
      run_warp(stream);
      plan.run(stream);
    });
  }

  void run_warp(Stream stream) const {
    warp->run({plan.address(pixels), reinterpret_cast<const WarpPicture*>(plan.address(pictures)),
               plan.address(picture.buffer)},
              stream);
  }

  // `graph_to_run`: the network alone, or with the warp before it.
  void run(Graph& graph_to_run) {
    graph_to_run.launch();
    device.copy_to_host(staged.data(), plan.address(peak_values), peaks.size() * sizeof(HeatmapPeak));
    device.synchronize();
    std::memcpy(peaks.data(), staged.data(), peaks.size() * sizeof(HeatmapPeak));
  }

  bool mirror() const { return batch != pictures_a_run; }

  Device& device;
  const NetworkConfig config;
  const int pictures_a_run;
  const int batch;  // of the network: twice as many with mirrored pictures, which come after the others
  const size_t max_pixel_bytes;
  Plan plan;
  InferenceGraph graph;
  PlanTensor picture, heatmaps;
  Buffer pixels, pictures, peak_values;
  std::unique_ptr<Warp::Operation> warp;
  std::vector<HeatmapPeak> peaks;
  PinnedMemory staged;  // pictures on their way to the device, then peaks on their way back
  std::unique_ptr<Graph> network, whole;
};

static_assert(sizeof(HeatmapPeak) == 3 * sizeof(float), "Peak writes three floats a map");

InferenceNetwork::InferenceNetwork(Device& device, const Weights& weights, int batch, size_t max_pixel_bytes,
                                   bool mirror)
    : implementation_(std::make_unique<Implementation>(device, weights, batch, max_pixel_bytes, mirror)) {}

InferenceNetwork::~InferenceNetwork() = default;

void InferenceNetwork::set_weights(const Weights& weights) {
  check(weights.config == implementation_->config, "the weights are those of another network");
  implementation_->graph.load(weights);
}

void InferenceNetwork::run(std::span<const uint8_t> pixels, std::span<const WarpPicture> pictures) {
  Implementation& self = *implementation_;
  check(pictures.size() <= size_t(self.pictures_a_run), "inference: {} pictures, the plan is for {}", pictures.size(),
        self.pictures_a_run);
  check(pixels.size() <= self.max_pixel_bytes, "inference: {} bytes of pixels, the plan has room for {}", pixels.size(),
        self.max_pixel_bytes);
  // A batch that is not full is filled up with empty pictures, which come out black.
  auto* const all = reinterpret_cast<WarpPicture*>(self.staged.data());
  std::fill(std::copy(pictures.begin(), pictures.end(), all), all + self.batch, WarpPicture{});
  if (self.mirror())
    std::transform(pictures.begin(), pictures.end(), all + self.pictures_a_run,
                   [&](const WarpPicture& picture) { return mirrored(picture, self.config.input_size); });
  self.device.copy_to_device(self.plan.address(self.pixels), pixels.data(), pixels.size());
  self.device.copy_to_device(self.plan.address(self.pictures), all, self.batch * sizeof(WarpPicture));
  self.run(*self.whole);
  if (!self.mirror()) return;
  const size_t half = self.peaks.size() / 2;
  for (size_t i = 0; i < half; ++i) self.peaks[i].height = (self.peaks[i].height + self.peaks[half + i].height) / 2;
}

void InferenceNetwork::run_on_tensors(std::span<const float> input) {
  Implementation& self = *implementation_;
  check(!self.mirror(), "inference on tensors does not mirror them");
  const Tensor picture = self.plan.tensor(self.picture);
  TensorDesc nchw = picture.desc;
  nchw.block = 1;
  check(input.size() == nchw.elements(), "inference: {} input values, expected {}", input.size(), nchw.elements());
  nchw.type = DataType::float32;
  std::vector<uint8_t> converted(picture.desc.bytes());
  convert_layout(nchw, input.data(), picture.desc, converted.data());
  self.device.copy_to_device(picture.data, converted.data(), picture.desc.bytes());
  self.run(*self.network);
}

std::vector<StepTime> InferenceNetwork::time_steps(int runs) const {
  const Implementation& self = *implementation_;
  const auto run_warp = [&](Stream stream) { self.run_warp(stream); };
  std::vector<StepTime> times{{"warp", self.warp->cost, time_on_device(self.device, runs, run_warp)}};
  for (StepTime& step : self.plan.time_steps(runs)) times.push_back(std::move(step));
  return times;
}

const HeatmapPeak& InferenceNetwork::peak(int picture, int map) const {
  return implementation_->peaks.at(size_t(picture) * implementation_->config.heatmaps + map);
}

std::vector<float> InferenceNetwork::heatmaps() const {
  const Implementation& self = *implementation_;
  const TensorDesc& desc = self.heatmaps.desc;
  std::vector<float> stored(desc.elements()), values(desc.shape.elements());
  self.device.copy_to_host(stored.data(), self.plan.address(self.heatmaps.buffer), desc.bytes());
  self.device.synchronize();
  TensorDesc nchw = desc;
  nchw.block = 1;
  convert_layout(desc, stored.data(), nchw, values.data());
  if (!self.mirror()) return values;
  const size_t half = values.size() / 2, side = static_cast<size_t>(desc.shape.w);
  for (size_t row = 0; row < half; row += side)
    for (size_t x = 0; x < side; ++x) values[row + x] = (values[row + x] + values[half + row + side - 1 - x]) / 2;
  values.resize(half);
  return values;
}

int InferenceNetwork::batch() const { return implementation_->pictures_a_run; }
const NetworkConfig& InferenceNetwork::config() const { return implementation_->config; }
const Plan& InferenceNetwork::plan() const { return implementation_->plan; }
size_t InferenceNetwork::device_bytes() const { return implementation_->plan.arena_bytes(); }

}  // namespace sandglass
