#include "model/training_network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

#include "model/hourglass.h"

namespace sandglass {

struct TrainingNetwork::Implementation {
  Implementation(Device& device, const TrainingNetworkOptions& options, const Weights& initial);

  void check_batch(const TrainingBatch& batch) const;
  void queue_update(const OptimizerRates& rates);
  void queue_result();
  StepResult result();
  void upload_copies();

  Device& device;
  TrainingNetworkOptions options;
  ParameterTable table;
  std::vector<std::string> aus;
  std::map<std::string, std::string> metadata;
  DeviceMemory parameters, gradients, statistics, first_moment, second_moment;
  DeviceMemory copies;                      // convolution weights in bfloat16, with Precision::bf16
  DeviceMemory target;                      // of run_on_tensors, allocated at its first use
  DeviceMemory loss_weights, rate_factors;  // empty: all 1

  HeatmapNet net;
  Plan pass;     // forward, loss, backward
  Plan updates;  // gradient norm, optimiser
  std::vector<TrainingGraph::Output> outputs;
  PlanTensor picture, heatmaps;
  Buffer pixels, pictures, intensities, points, loss, norm, rates;
  std::unique_ptr<Warp::Operation> warp;
  bool use_target = false;  // run_on_tensors: the loss reads `target` instead of the labels

  // A batch on its way to the device. There are two, so that one can travel while the other is worked on.
  struct Slot {
    PinnedMemory host;
    DeviceMemory device;
    size_t pixel_bytes = 0, bytes = 0;
    std::unique_ptr<Event> copied, consumed;
  };
  // What a step needs of the host besides the batch, and what it tells.
  struct Exchange {
    OptimizerRates rates;
    float norm_and_flag[2];
    float loss;
  };
  void run_warp(Stream stream) const;
  void fill(Slot& slot, const TrainingBatch& batch);
  // The pieces of a slot behind each other: small arrays, then the pixels.
  size_t small_bytes() const;

  StreamOwner copying;
  Slot slots[2];
  int next_slot = 0;       // to be filled
  int prepared_slot = -1;  // waits for start(); -1: none
  PinnedMemory exchange_memory;
  Exchange& exchange;
  std::unique_ptr<Graph> step_graph;  // warp, pass, updates
};

TrainingNetwork::Implementation::Implementation(Device& device, const TrainingNetworkOptions& options,
                                                const Weights& initial)
    : device(device),
      options(options),
      table(options.network),
      aus(initial.aus),
      metadata(initial.metadata),
      parameters(device, table.parameter_elements() * sizeof(float)),
      gradients(device, table.parameter_elements() * sizeof(float)),
      statistics(device, table.statistic_elements() * sizeof(float)),
      second_moment(device, table.parameter_elements() * sizeof(float)),
      net(options.network),
      pass(device),
      updates(device),
      copying(device),
      exchange_memory(device, sizeof(Exchange)),
      exchange(*new (exchange_memory.data()) Exchange{}) {
  check(options.batch >= 1, "the batch is {}, must be at least 1", options.batch);
  check(initial.config == options.network,
        "the initial weights are of another network (width {}, depth {}, {} heatmaps)", initial.config.width,
        initial.config.depth, initial.config.heatmaps);
  options.heatmap.check();
  const auto upload = [&](DeviceMemory& to, const std::vector<float>& values, size_t expected, const char* what) {
    if (values.empty()) return;
    check(values.size() == expected, "{} {}, the network needs {}", values.size(), what, expected);
    to = DeviceMemory(device, expected * sizeof(float));
    device.copy_to_device(to.data(), values.data(), to.bytes());
    device.synchronize();
  };
  upload(loss_weights, options.loss_weights, size_t(options.network.heatmaps) * kIntensityLevels, "loss weights");
  upload(rate_factors, options.rate_factors, parameter_groups(table.parameter_elements()),
         "factors of the learning rate");
  if (options.optimizer == OptimizerKind::adamw)
    first_moment = DeviceMemory(device, table.parameter_elements() * sizeof(float));
  if (device.precision() == Precision::bf16) copies = DeviceMemory(device, table.decayed_elements() * sizeof(bfloat16));
  // Gaps between tensors stay zero for ever: they have no gradient.
  for (DeviceMemory* memory : {&gradients, &first_moment, &second_moment})
    if (memory->bytes()) device.fill(memory->data(), 0, memory->bytes());

  const int n = options.batch, k = options.network.heatmaps, size = options.network.input_size;
  picture = pass.lasting_tensor("picture", device.picture({n, size, size, 3}));
  pixels = pass.lasting_buffer("pixels", std::max<size_t>(options.max_pixel_bytes, 1));
  pictures = pass.lasting_buffer("pictures", n * sizeof(WarpPicture));
  intensities = pass.lasting_buffer("intensities", n * k * sizeof(float));
  points = pass.lasting_buffer("points", size_t(n) * k * options.heatmap.points_per_map * 2 * sizeof(float));
  loss = pass.lasting_buffer("loss", sizeof(float));
  warp = make_operation(device, Warp{picture.desc});

  TrainingGraph graph(pass, table, n, parameters.f32(), reinterpret_cast<bfloat16*>(copies.data()), gradients.f32(),
                      statistics.f32());
  const PlanTensor y = net.forward(graph, picture);
  heatmaps = pass.lasting_tensor("heatmaps", y.desc);
  outputs = graph.outputs;

  const PlanTensor dy = graph.map("l0.dy", y.desc.shape);
  std::shared_ptr<HeatmapLoss::Operation> heatmap_loss =
      make_operation(device, HeatmapLoss{options.heatmap, y.desc, dy.desc, options.loss});
  std::shared_ptr<PixelLoss::Operation> pixel_loss = make_operation(device, PixelLoss{y.desc, dy.desc, options.loss});
  const bool regression = options.network.head == Head::regression;
  const Buffer workspace =
      pass.buffer("loss.workspace", std::max(heatmap_loss->workspace_bytes(), pixel_loss->workspace_bytes()));
  pass.step(
      "loss", {y.buffer, dy.buffer, intensities, points, loss, workspace},
      [=, this](const Plan::Memory& m) {
        if (use_target) {
          pixel_loss->run({m.f32(y.buffer), target.f32(), nullptr, m[dy.buffer], m.f32(loss), m[workspace], nullptr},
                          m.stream);
        } else if (regression) {
          pixel_loss->run({m.f32(y.buffer), nullptr, m.f32(intensities), m[dy.buffer], m.f32(loss), m[workspace],
                           loss_weights.f32()},
                          m.stream);
        } else {
          heatmap_loss->run({m.f32(y.buffer),
                             {m.f32(intensities), m.f32(points)},
                             m[dy.buffer],
                             m.f32(loss),
                             m[workspace],
                             loss_weights.f32()},
                            m.stream);
        }
      },
      regression ? pixel_loss->cost : heatmap_loss->cost);
  // The heatmaps outlive the pass for whoever asks.
  pass.step("keep heatmaps", {y.buffer, heatmaps.buffer},
            [=, this](const Plan::Memory& m) {
              this->device.copy(m[heatmaps.buffer], m[y.buffer], y.desc.bytes(), m.stream);
            },
            {.bytes = bytes_of({y.desc, y.desc})});
  net.backward(graph, dy);
  finish_plan(pass, options.batch);

  norm = updates.lasting_buffer("norm", 2 * sizeof(float));
  rates = updates.lasting_buffer("rates", sizeof(OptimizerRates));
  const size_t count = table.parameter_elements();
  std::shared_ptr<GradientNorm::Operation> gradient_norm = make_operation(device, GradientNorm{count});
  const Buffer norm_workspace = updates.buffer("norm.workspace", gradient_norm->workspace_bytes());
  updates.step(
      "gradient norm", {norm, norm_workspace},
      [=, this](const Plan::Memory& m) {
        gradient_norm->run({gradients.f32(), m.f32(norm), m[norm_workspace], rate_factors.f32()}, m.stream);
      },
      gradient_norm->cost);
  std::shared_ptr<Optimizer::Operation> optimizer =
      make_operation(device, Optimizer{options.optimizer, count, table.decayed_elements()});
  updates.step(
      "optimizer", {norm, rates},
      [=, this](const Plan::Memory& m) {
        optimizer->run({parameters.f32(), gradients.f32(), first_moment.f32(), second_moment.f32(), m.f32(norm),
                        reinterpret_cast<const OptimizerRates*>(m[rates]), reinterpret_cast<bfloat16*>(copies.data()),
                        rate_factors.f32()},
                       m.stream);
      },
      optimizer->cost);
  updates.finish();

  for (Slot& slot : slots) {
    slot.host = PinnedMemory(device, small_bytes() + options.max_pixel_bytes);
    slot.device = DeviceMemory(device, slot.host.bytes());
    slot.copied = device.create_event();
    slot.consumed = device.create_event();
  }
  step_graph = device.capture([this](Stream stream) {
    run_warp(stream);
    pass.run(stream);
    updates.run(stream);
  });
}

void TrainingNetwork::Implementation::run_warp(Stream stream) const {
  warp->run({pass.address(pixels), reinterpret_cast<const WarpPicture*>(pass.address(pictures)),
             pass.address(picture.buffer)},
            stream);
}

void TrainingNetwork::Implementation::check_batch(const TrainingBatch& batch) const {
  const size_t n = options.batch, k = options.network.heatmaps;
  check(batch.pictures.size() == n, "training step: {} pictures, the plan is for {}", batch.pictures.size(), n);
  check(batch.pixels.size() <= options.max_pixel_bytes, "training step: {} bytes of pixels, the plan has room for {}",
        batch.pixels.size(), options.max_pixel_bytes);
  check(batch.intensities.size() == n * k, "training step: {} intensities, expected {}", batch.intensities.size(),
        n * k);
  const size_t point_count = n * k * options.heatmap.points_per_map * 2;
  check(batch.points.size() == point_count, "training step: {} point coordinates, expected {}", batch.points.size(),
        point_count);
  for (const WarpPicture& p : batch.pictures)
    check(p.first_byte >= 0 && p.height > 0 && p.width > 0 &&
              size_t(p.first_byte) + size_t(p.height) * size_t(p.width) * 3 <= batch.pixels.size(),
          "training step: a picture of {}x{} lies outside the batch's pixels", p.width, p.height);
}

size_t TrainingNetwork::Implementation::small_bytes() const {
  const size_t n = options.batch, maps = n * options.network.heatmaps;
  return n * sizeof(WarpPicture) + maps * sizeof(float) + maps * options.heatmap.points_per_map * 2 * sizeof(float);
}

void TrainingNetwork::Implementation::fill(Slot& slot, const TrainingBatch& batch) {
  slot.consumed->synchronize();  // the step that used the slot before has read it
  slot.pixel_bytes = batch.pixels.size();
  uint8_t* to = slot.host.data();
  const auto append = [&](const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
    to += bytes;
  };
  append(batch.pictures.data(), batch.pictures.size_bytes());
  append(batch.intensities.data(), batch.intensities.size_bytes());
  append(batch.points.data(), batch.points.size_bytes());
  append(batch.pixels.data(), batch.pixels.size());
  slot.bytes = size_t(to - slot.host.data());
  device.copy_to_device(slot.device.data(), slot.host.data(), slot.bytes, copying);
  slot.copied->record(copying);
}

void TrainingNetwork::Implementation::queue_update(const OptimizerRates& rates_of_step) {
  exchange.rates = rates_of_step;
  device.copy_to_device(updates.address(rates), &exchange.rates, sizeof exchange.rates);
}

void TrainingNetwork::Implementation::queue_result() {
  device.copy_to_host(exchange.norm_and_flag, updates.address(norm), sizeof exchange.norm_and_flag);
  device.copy_to_host(&exchange.loss, pass.address(loss), sizeof exchange.loss);
}

StepResult TrainingNetwork::Implementation::result() {
  device.synchronize();
  return {exchange.loss, exchange.norm_and_flag[0], exchange.norm_and_flag[1] == 0 && std::isfinite(exchange.loss)};
}

void TrainingNetwork::Implementation::upload_copies() {
  if (!copies.bytes()) return;
  std::vector<float> values(table.decayed_elements());
  device.copy_to_host(values.data(), parameters.data(), values.size() * sizeof(float));
  device.synchronize();
  std::vector<bfloat16> rounded(values.size());
  std::transform(values.begin(), values.end(), rounded.begin(), [](float v) { return bfloat16(v); });
  device.copy_to_device(copies.data(), rounded.data(), copies.bytes());
  device.synchronize();
}

TrainingNetwork::TrainingNetwork(Device& device, const TrainingNetworkOptions& options, const Weights& initial)
    : implementation_(std::make_unique<Implementation>(device, options, initial)) {
  set_state({initial, {}, {}});
}

TrainingNetwork::~TrainingNetwork() = default;

void TrainingNetwork::prepare(const TrainingBatch& batch) {
  Implementation& self = *implementation_;
  check(self.prepared_slot < 0, "training step: a batch is prepared already");
  self.check_batch(batch);
  self.fill(self.slots[self.next_slot], batch);
  self.prepared_slot = self.next_slot;
  self.next_slot = 1 - self.next_slot;
}

void TrainingNetwork::start(const OptimizerRates& rates) {
  Implementation& self = *implementation_;
  check(self.prepared_slot >= 0, "training step: no batch is prepared");
  const Implementation::Slot& slot = self.slots[std::exchange(self.prepared_slot, -1)];
  slot.copied->hold({});
  const uint8_t* from = slot.device.data();
  const auto take = [&](Buffer to, size_t bytes) {
    if (bytes) self.device.copy(self.pass.address(to), from, bytes);
    from += bytes;
  };
  const size_t n = self.options.batch, maps = n * self.options.network.heatmaps;
  take(self.pictures, n * sizeof(WarpPicture));
  take(self.intensities, maps * sizeof(float));
  take(self.points, maps * self.options.heatmap.points_per_map * 2 * sizeof(float));
  take(self.pixels, slot.pixel_bytes);
  slot.consumed->record();
  self.use_target = false;
  self.queue_update(rates);
  self.step_graph->launch();
  self.queue_result();
}

StepResult TrainingNetwork::finish() { return implementation_->result(); }

StepResult TrainingNetwork::step(const TrainingBatch& batch, const OptimizerRates& rates) {
  prepare(batch);
  start(rates);
  return finish();
}

StepResult TrainingNetwork::update(const OptimizerRates& rates) {
  Implementation& self = *implementation_;
  self.queue_update(rates);
  self.updates.run();
  self.queue_result();
  return self.result();
}

float TrainingNetwork::run_on_tensors(std::span<const float> input, std::span<const float> target) {
  Implementation& self = *implementation_;
  const auto upload = [&](std::span<const float> values, const Tensor& to, const char* what) {
    TensorDesc from = to.desc;
    from.block = 1;  // NCHW
    check(values.size() == from.elements(), "{}: {} values, expected {}", what, values.size(), from.elements());
    from.type = DataType::float32;
    std::vector<uint8_t> converted(to.desc.bytes());
    convert_layout(from, values.data(), to.desc, converted.data());
    self.device.copy_to_device(to.data, converted.data(), to.desc.bytes());
    self.device.synchronize();
  };
  if (!self.target.bytes()) self.target = DeviceMemory(self.device, self.heatmaps.desc.bytes());
  upload(input, self.pass.tensor(self.picture), "input");
  upload(target, {self.heatmaps.desc, self.target.data()}, "target");
  self.use_target = true;
  self.pass.run();
  self.device.copy_to_host(&self.exchange.loss, self.pass.address(self.loss), sizeof self.exchange.loss);
  self.device.synchronize();
  return self.exchange.loss;
}

std::vector<float> TrainingNetwork::gradients() const {
  const Implementation& self = *implementation_;
  std::vector<float> values(self.table.parameter_elements());
  self.device.copy_to_host(values.data(), self.gradients.data(), self.gradients.bytes());
  self.device.synchronize();
  return values;
}

void TrainingNetwork::set_gradients(const std::vector<float>& gradients) {
  Implementation& self = *implementation_;
  check(gradients.size() == self.table.parameter_elements(), "{} gradients, the network has {}", gradients.size(),
        self.table.parameter_elements());
  self.device.copy_to_device(self.gradients.data(), gradients.data(), self.gradients.bytes());
  self.device.synchronize();
}

std::vector<float> TrainingNetwork::heatmaps() const {
  const Implementation& self = *implementation_;
  const TensorDesc& desc = self.heatmaps.desc;
  std::vector<float> stored(desc.elements()), values(desc.shape.elements());
  self.device.copy_to_host(stored.data(), self.pass.address(self.heatmaps.buffer), desc.bytes());
  self.device.synchronize();
  TensorDesc nchw = desc;
  nchw.block = 1;
  convert_layout(desc, stored.data(), nchw, values.data());
  return values;
}

Weights TrainingNetwork::weights() const {
  const Implementation& self = *implementation_;
  Weights weights{self.options.network, self.aus, std::vector<float>(self.table.parameter_elements()),
                  std::vector<float>(self.table.statistic_elements()), self.metadata};
  self.device.copy_to_host(weights.parameters.data(), self.parameters.data(), self.parameters.bytes());
  self.device.copy_to_host(weights.statistics.data(), self.statistics.data(), self.statistics.bytes());
  self.device.synchronize();
  return weights;
}

TrainingState TrainingNetwork::state() const {
  const Implementation& self = *implementation_;
  TrainingState state{weights(), {}, std::vector<float>(self.table.parameter_elements())};
  self.device.copy_to_host(state.second_moment.data(), self.second_moment.data(), self.second_moment.bytes());
  if (self.first_moment.bytes()) {
    state.first_moment.resize(self.table.parameter_elements());
    self.device.copy_to_host(state.first_moment.data(), self.first_moment.data(), self.first_moment.bytes());
  }
  self.device.synchronize();
  return state;
}

void TrainingNetwork::set_state(const TrainingState& state) {
  Implementation& self = *implementation_;
  check(state.weights.config == self.options.network, "the state is that of another network");
  const auto upload = [&](const DeviceMemory& to, const std::vector<float>& values) {
    if (!to.bytes()) return;
    if (values.empty()) {
      self.device.fill(to.data(), 0, to.bytes());
      return;
    }
    check(values.size() * sizeof(float) == to.bytes(), "the state has {} values where the network has {}",
          values.size(), to.bytes() / sizeof(float));
    self.device.copy_to_device(to.data(), values.data(), to.bytes());
  };
  upload(self.parameters, state.weights.parameters);
  upload(self.statistics, state.weights.statistics);
  upload(self.first_moment, state.first_moment);
  upload(self.second_moment, state.second_moment);
  self.device.synchronize();
  self.upload_copies();
}

std::string TrainingNetwork::first_non_finite_layer() {
  const Implementation& self = *implementation_;
  std::string layer;
  std::vector<uint8_t> stored;
  std::vector<float> values;
  self.pass.run_observed([&](size_t step, const std::string&, double, const Plan::Memory& memory) {
    if (!layer.empty()) return;
    for (const TrainingGraph::Output& output : self.outputs) {
      if (output.step != step) continue;
      stored.resize(output.map.desc.bytes());
      self.device.copy_to_host(stored.data(), memory[output.map.buffer], stored.size());
      self.device.synchronize();
      TensorDesc plain = output.map.desc;
      plain.type = DataType::float32;
      values.resize(plain.elements());
      convert_layout(output.map.desc, stored.data(), plain, values.data());
      for (float v : values)
        if (!std::isfinite(v)) layer = output.layer;
    }
  });
  return layer;
}

std::vector<StepTime> TrainingNetwork::time_steps(int runs) const {
  const Implementation& self = *implementation_;
  const auto run_warp = [&](Stream stream) { self.run_warp(stream); };
  std::vector<StepTime> times{{"warp", self.warp->cost, time_on_device(self.device, runs, run_warp)}};
  for (const Plan* plan : {&self.pass, &self.updates})
    for (StepTime& step : plan->time_steps(runs)) times.push_back(std::move(step));
  return times;
}

const Plan& TrainingNetwork::plan() const { return implementation_->pass; }

size_t TrainingNetwork::device_bytes() const {
  const Implementation& self = *implementation_;
  return self.pass.arena_bytes() + self.updates.arena_bytes() + self.parameters.bytes() + self.gradients.bytes() +
         self.copies.bytes() + self.slots[0].device.bytes() + self.slots[1].device.bytes() + self.statistics.bytes() +
         self.first_moment.bytes() + self.second_moment.bytes() + self.target.bytes() + self.loss_weights.bytes() +
         self.rate_factors.bytes();
}

}  // namespace sandglass
