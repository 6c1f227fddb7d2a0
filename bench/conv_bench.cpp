// Every convolution of the network, forward and backward, by the hand-written kernels and by NVIDIA's libraries.
//
//   conv_bench [--device cuda|simt] [--precisions fp32,tf32,bf16] [--convs hand,cudnn,cublas] [--batches 1,32]
//              [--shapes bench/shapes/hourglass.txt] [--small]
//              [Google Benchmark's flags: --benchmark_filter=... --benchmark_out=FILE --benchmark_out_format=json]
//
// Each is measured as it is ("plain") and as the training step uses it ("step": forward and backward weights with the
// input transform, forward with statistics, backward data with mask and sums). Before it is timed, some elements of its
// result are held against sums in float64; what is wrong, or what a library does not do, is reported as an error and
// not timed. Time is the device's, by events around a captured graph of several runs, so that launches cost what they
// cost in the program. Packing weights is not part of it. --small: small pictures, few channels, for the emulator.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>

#include "engine/bfloat16.h"
#include "engine/file.h"
#include "engine/random.h"
#include "kernels/conv/conv.h"

namespace sandglass {
namespace {

constexpr int kRunsInGraph = 10;
// Elements that are checked: at most so many, and so many products of theirs in all.
constexpr double kMostSamples = 200, kMostProducts = 4e6;

struct Options {
  DeviceKind device = DeviceKind::cuda;
  std::vector<Precision> precisions{Precision::fp32, Precision::tf32, Precision::bf16};
  std::vector<ConvLibrary> convs{ConvLibrary::hand, ConvLibrary::cudnn, ConvLibrary::cublas};
  std::vector<int> batches{1, 32};
  std::filesystem::path shapes = "bench/shapes/hourglass.txt";
  bool small = false;
};

// The convolutions of a list that `sandglass info --operations` has printed, each once, for one picture. Their
// padding is half the filter.
std::vector<ConvShape> read_shapes(const std::filesystem::path& file) {
  std::vector<ConvShape> shapes;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("conv_forward/");
    ConvShape s;
    if (at == std::string::npos || std::sscanf(line.c_str() + at, "conv_forward/n%d_h%d_w%d_c%d_k%d_r%d_s%d_stride%d",
                                               &s.n, &s.h, &s.w, &s.c, &s.k, &s.r, &s.s, &s.stride) != 8)
      continue;
    s.n = 1;
    s.padding = s.r / 2;
    if (std::find(shapes.begin(), shapes.end(), s) == shapes.end()) shapes.push_back(s);
  }
  check(!shapes.empty(), "{}: no line of it names a conv_forward; `sandglass info --operations` prints such a list",
        file.string());
  return shapes;
}
std::vector<ConvShape> small_shapes() {
  return {{1, 16, 16, 3, 16, 7, 7, 2, 3}, {1, 8, 8, 16, 16, 1, 1, 1, 0}, {1, 8, 8, 16, 16, 3, 3, 1, 1}};
}

Device& open(DeviceKind kind, Precision precision, ConvLibrary conv) {
  static std::map<std::pair<Precision, ConvLibrary>, std::unique_ptr<Device>> devices;
  auto& device = devices[{precision, conv}];
  if (!device) device = open_device(kind, {precision, conv});
  return *device;
}

// ---- Data ----------------------------------------------------------------------------------------------------------

// A map or an array, as the device stores it and as the numbers that it holds: random ones that repeat after a prime
// number of elements, so that large maps are made quickly, by copies within the device.
class Data {
 public:
  Data(Device& device, const TensorDesc& desc, float low, float high, uint64_t seed) : desc_(desc) {
    Random random(seed);
    for (float& v : values_) {
      v = random.uniform(low, high);
      if (desc.type == DataType::bfloat16) v = static_cast<float>(bfloat16(v));
    }
    memory_ = DeviceMemory(device, desc.bytes());
    if (desc.type == DataType::bfloat16)
      upload<bfloat16>(device);
    else
      upload<float>(device);
  }
  void* data() const { return memory_.data(); }
  float* f32() const { return memory_.f32(); }
  double operator[](int64_t i) const { return values_[static_cast<size_t>(i) % kPeriod]; }

 private:
  static constexpr size_t kPeriod = 65537;

  template <typename T>
  void upload(Device& device) {
    std::vector<T> elements(values_.begin(), values_.end());
    if (desc_.block == desc_.shape.c) {
      elements.resize(std::min(kPeriod, desc_.elements()));
    } else {
      const std::vector<T> period = std::move(elements);
      elements.assign(desc_.elements(), T());  // padding is zero
      for (size_t i = 0; i < static_cast<size_t>(desc_.shape.elements()); ++i)
        elements[i / desc_.shape.c * desc_.block + i % desc_.shape.c] = period[i % kPeriod];
    }
    device.copy_to_device(memory_.data(), elements.data(), elements.size() * sizeof(T));
    const size_t bytes = desc_.bytes();
    for (size_t there = elements.size() * sizeof(T); there < bytes; there *= 2)
      device.copy(memory_.data() + there, memory_.data(), std::min(there, bytes - there));
    device.synchronize();
  }

  TensorDesc desc_;
  std::vector<float> values_ = std::vector<float>(kPeriod);
  DeviceMemory memory_;
};

TensorDesc array(int size, DataType type = DataType::float32) { return nhwc({1, 1, 1, size}, type); }

// A result of an operation, and reading it.
class Result {
 public:
  Result(Device& device, const TensorDesc& desc) : device_(device), desc_(desc), memory_(device, desc.bytes()) {}
  void* data() const { return memory_.data(); }
  float* f32() const { return memory_.f32(); }
  size_t size() const { return static_cast<size_t>(desc_.shape.elements()); }
  /// Of maps without padding.
  double operator[](size_t i) const { return desc_.type == DataType::bfloat16 ? read<bfloat16>(i) : read<float>(i); }

 private:
  template <typename T>
  double read(size_t i) const {
    T element;
    device_.copy_to_host(&element, memory_.data() + i * sizeof(T), sizeof(T));
    device_.synchronize();
    return static_cast<float>(element);
  }

  Device& device_;
  TensorDesc desc_;
  DeviceMemory memory_;
};

// ---- Directions ----------------------------------------------------------------------------------------------------

// A convolution with its data: what the benchmark runs and how one element of the result is computed in float64.
class Problem {
 public:
  virtual ~Problem() = default;
  virtual std::string implementation() const = 0;
  virtual void run(Stream stream) = 0;
  virtual Result& result() = 0;
  /// Products of a sum in the result.
  virtual double terms() const = 0;
  virtual double expected(int64_t element) const = 0;
};

double transformed(const Data& x, const Data* scale, const Data* shift, int64_t element, int c) {
  if (!scale) return x[element];
  return std::max(0.0, x[element] * (*scale)[c] + (*shift)[c]);
}

// A direction's operation with its arguments, workspace and packed weights.
template <typename Spec>
class OperationProblem : public Problem {
 public:
  std::string implementation() const override { return operation_->implementation(); }
  void run(Stream stream) override { operation_->run(a_, stream); }

 protected:
  OperationProblem(Device& device, const Spec& spec)
      : s_(spec.shape),
        spec_(spec),
        operation_(make_operation(device, spec)),
        workspace_(device, operation_->workspace_bytes()) {
    a_.workspace = workspace_.data();
  }
  const void* pack(Device& device, const Data& weights) {
    const size_t bytes = operation_->packed_weight_bytes();
    if (bytes == 0) return weights.data();
    packed_ = DeviceMemory(device, bytes);
    operation_->pack_weights(weights.data(), packed_.data(), {});
    return packed_.data();
  }

  ConvShape s_;
  Spec spec_;
  typename Spec::Arguments a_;

 private:
  std::unique_ptr<typename Spec::Operation> operation_;
  DeviceMemory workspace_, packed_;
};

TensorDesc weights_desc(Device& device, const ConvShape& s) {
  return array(static_cast<int>(s.weight_elements()),
               device.precision() == Precision::bf16 ? DataType::bfloat16 : DataType::float32);
}
TensorDesc input_desc(Device& device, const ConvShape& s) {
  return s.c == 3 ? device.picture(s.input()) : device.activation(s.input());
}
// The last convolution's results are heatmaps.
TensorDesc output_desc(Device& device, const ConvShape& s) {
  return s.k == 5 ? device.heatmaps(s.output()) : device.activation(s.output());
}

class Forward final : public OperationProblem<ConvForward> {
 public:
  Forward(Device& device, const ConvShape& s, bool step)
      : OperationProblem(device, make_spec(device, s, step)),
        x_(device, spec_.x, -1, 1, 1),
        w_(device, weights_desc(device, s), -0.1f, 0.1f, 2),
        scale_(device, array(s.c), 0.5f, 1.5f, 3),
        shift_(device, array(s.c), -0.5f, 0.5f, 4),
        y_(device, spec_.y),
        sums_(device, 2 * sizeof(double) * s.k) {
    a_.x = x_.data();
    a_.weights = pack(device, w_);
    a_.y = y_.data();
    if (spec_.input_transform) a_.transform = {scale_.f32(), shift_.f32(), true};
    if (spec_.statistics) {
      a_.sum = reinterpret_cast<double*>(sums_.data());
      a_.sum_squares = a_.sum + s.k;
    }
  }
  Result& result() override { return y_; }
  double terms() const override { return double(s_.r) * s_.s * s_.c; }
  double expected(int64_t element) const override {
    const int k = static_cast<int>(element % s_.k);
    const int64_t pixel = element / s_.k;
    const int q = static_cast<int>(pixel % s_.q()), p = static_cast<int>(pixel / s_.q() % s_.p());
    const int64_t n = pixel / s_.q() / s_.p();
    double sum = 0;
    for (int r = 0; r < s_.r; ++r)
      for (int f = 0; f < s_.s; ++f) {
        const int h = p * s_.stride + r - s_.padding, w = q * s_.stride + f - s_.padding;
        if (h < 0 || h >= s_.h || w < 0 || w >= s_.w) continue;
        for (int c = 0; c < s_.c; ++c)
          sum += transformed(x_, spec_.input_transform ? &scale_ : nullptr, &shift_,
                             ((n * s_.h + h) * s_.w + w) * s_.c + c, c) *
                 w_[((int64_t{k} * s_.r + r) * s_.s + f) * s_.c + c];
      }
    return sum;
  }

 private:
  // The picture is not transformed; the heatmaps have a bias and no statistics.
  static ConvForward make_spec(Device& device, const ConvShape& s, bool step) {
    ConvForward spec;
    spec.shape = s;
    spec.x = input_desc(device, s);
    spec.y = output_desc(device, s);
    spec.input_transform = step && s.c != 3;
    spec.statistics = step && s.k != 5;
    spec.weights = weights_desc(device, s).type;
    return spec;
  }
  Data x_, w_, scale_, shift_;
  Result y_;
  DeviceMemory sums_;
};

class BackwardData final : public OperationProblem<ConvBackwardData> {
 public:
  BackwardData(Device& device, const ConvShape& s, bool step)
      : OperationProblem(device, make_spec(device, s, step)),
        dy_(device, spec_.dy, -1, 1, 1),
        w_(device, weights_desc(device, s), -0.1f, 0.1f, 2),
        z_(device, spec_.dx, -1, 1, 3),
        scale_(device, array(s.c), 0.5f, 1.5f, 4),
        shift_(device, array(s.c), 2, 3, 5),  // so that the mask lets all through, whatever the rounding
        dx_(device, spec_.dx),
        sums_(device, 2 * sizeof(double) * s.c) {
    a_.dy = dy_.data();
    a_.weights = pack(device, w_);
    a_.dx = dx_.data();
    if (spec_.mask) {
      a_.z = z_.data();
      a_.scale = scale_.f32();
      a_.shift = shift_.f32();
      a_.sum = reinterpret_cast<double*>(sums_.data());
      a_.sum_z = a_.sum + s.c;
    }
  }
  Result& result() override { return dx_; }
  double terms() const override { return double(s_.r) * s_.s * s_.k; }
  double expected(int64_t element) const override {
    const int c = static_cast<int>(element % s_.c);
    const int64_t pixel = element / s_.c;
    const int w = static_cast<int>(pixel % s_.w), h = static_cast<int>(pixel / s_.w % s_.h);
    const int64_t n = pixel / s_.w / s_.h;
    double sum = 0;
    for (int r = 0; r < s_.r; ++r)
      for (int f = 0; f < s_.s; ++f) {
        const int p = h + s_.padding - r, q = w + s_.padding - f;
        if (p < 0 || q < 0 || p % s_.stride || q % s_.stride || p / s_.stride >= s_.p() || q / s_.stride >= s_.q())
          continue;
        for (int k = 0; k < s_.k; ++k)
          sum += dy_[((n * s_.p() + p / s_.stride) * s_.q() + q / s_.stride) * s_.k + k] *
                 w_[((int64_t{k} * s_.r + r) * s_.s + f) * s_.c + c];
      }
    return sum;
  }

 private:
  static ConvBackwardData make_spec(Device& device, const ConvShape& s, bool step) {
    ConvBackwardData spec;
    spec.shape = s;
    spec.dy = output_desc(device, s);
    spec.dx = device.activation(s.input());
    spec.mask = step;
    spec.weights = weights_desc(device, s).type;
    return spec;
  }
  Data dy_, w_, z_, scale_, shift_;
  Result dx_;
  DeviceMemory sums_;
};

class BackwardWeights final : public OperationProblem<ConvBackwardWeights> {
 public:
  BackwardWeights(Device& device, const ConvShape& s, bool step)
      : OperationProblem(device, make_spec(device, s, step)),
        x_(device, spec_.x, -1, 1, 1),
        dy_(device, spec_.dy, -1, 1, 2),
        scale_(device, array(s.c), 0.5f, 1.5f, 3),
        shift_(device, array(s.c), -0.5f, 0.5f, 4),
        dw_(device, array(static_cast<int>(s.weight_elements()))) {
    a_.x = x_.data();
    a_.dy = dy_.data();
    a_.dw = dw_.f32();
    if (spec_.input_transform) a_.transform = {scale_.f32(), shift_.f32(), true};
  }
  Result& result() override { return dw_; }
  double terms() const override { return double(s_.n) * s_.p() * s_.q(); }
  double expected(int64_t element) const override {
    const int c = static_cast<int>(element % s_.c), f = static_cast<int>(element / s_.c % s_.s),
              r = static_cast<int>(element / s_.c / s_.s % s_.r), k = static_cast<int>(element / s_.c / s_.s / s_.r);
    double sum = 0;
    for (int64_t n = 0; n < s_.n; ++n)
      for (int p = 0; p < s_.p(); ++p)
        for (int q = 0; q < s_.q(); ++q) {
          const int h = p * s_.stride + r - s_.padding, w = q * s_.stride + f - s_.padding;
          if (h < 0 || h >= s_.h || w < 0 || w >= s_.w) continue;
          sum += dy_[((n * s_.p() + p) * s_.q() + q) * s_.k + k] *
                 transformed(x_, spec_.input_transform ? &scale_ : nullptr, &shift_,
                             ((n * s_.h + h) * s_.w + w) * s_.c + c, c);
        }
    return sum;
  }

 private:
  static ConvBackwardWeights make_spec(Device& device, const ConvShape& s, bool step) {
    ConvBackwardWeights spec;
    spec.shape = s;
    spec.x = input_desc(device, s);
    spec.dy = output_desc(device, s);
    spec.input_transform = step && s.c != 3;
    return spec;
  }
  Data x_, dy_, scale_, shift_;
  Result dw_;
};

// ---- Check and time ------------------------------------------------------------------------------------------------

// Empty, or how far some elements are from the sums in float64. The errors of rounded operands and results mostly
// cancel in a sum; what a product left out or counted twice costs is larger than the limit for sums of up to a
// thousand.
std::string difference(Problem& problem, Precision precision) {
  const Result& got = problem.result();
  Random random(7);
  double squares = 0, expected_squares = 0;
  const int samples = static_cast<int>(std::clamp(kMostProducts / problem.terms(), 8.0, kMostSamples));
  for (int i = 0; i < samples; ++i) {
    const size_t element = random.below(static_cast<uint32_t>(got.size()));
    const double expected = problem.expected(static_cast<int64_t>(element)), error = got[element] - expected;
    squares += error * error;
    expected_squares += expected * expected;
  }
  const double limit = precision == Precision::fp32 ? 1e-8 : precision == Precision::tf32 ? 4e-6 : 4e-5;
  const double nmse = squares / expected_squares;
  if (nmse <= limit) return "";
  return fmt::format("wrong: normalised mean square error {:.1e}, limit {:.1e}", nmse, limit);
}

void measure(benchmark::State& state, const Options& options, Precision precision, ConvLibrary conv,
             const ConvShape& shape, const std::function<std::unique_ptr<Problem>(Device&)>& make) {
  try {
    Device& device = open(options.device, precision, conv);
    const auto problem = make(device);
    state.SetLabel(problem->implementation());
    problem->run({});
    device.synchronize();
    const std::string wrong = difference(*problem, precision);
    if (!wrong.empty()) {
      state.SkipWithError(wrong.c_str());
      return;
    }
    const StreamOwner stream(device);
    const auto graph = device.capture([&](Stream captured) {
      for (int i = 0; i < kRunsInGraph; ++i) problem->run(captured);
    });
    const auto begin = device.create_event(), end = device.create_event();
    for (auto _ : state) {
      begin->record(stream);
      graph->launch(stream);
      end->record(stream);
      end->synchronize();
      state.SetIterationTime(end->milliseconds_since(*begin) / 1e3 / kRunsInGraph);
    }
    state.counters["TFLOP/s"] = benchmark::Counter(2e-12 * shape.macs(), benchmark::Counter::kIsIterationInvariantRate);
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

void add_benchmarks(const Options& options) {
  const std::vector<ConvShape> shapes = options.small ? small_shapes() : read_shapes(options.shapes);
  for (const Precision precision : options.precisions)
    for (const int batch : options.batches)
      for (ConvShape shape : shapes) {
        shape.n = batch;
        for (const bool step : {false, true})
          for (const ConvLibrary conv : options.convs) {
            const auto add = [&](const char* direction, auto make) {
              const std::string name = fmt::format("{}/{}/{}/{}/{}", direction, to_string(shape),
                                                   step ? "step" : "plain", name_of(precision), name_of(conv));
              benchmark::RegisterBenchmark(
                  name.c_str(),
                  [=, &options](benchmark::State& state) { measure(state, options, precision, conv, shape, make); })
                  ->UseManualTime()
                  ->Unit(benchmark::kMicrosecond);
            };
            add("forward", [=](Device& device) { return std::make_unique<Forward>(device, shape, step); });
            add("backward_weights",
                [=](Device& device) { return std::make_unique<BackwardWeights>(device, shape, step); });
            if (shape.c != 3)  // nobody asks for the picture's gradient
              add("backward_data", [=](Device& device) { return std::make_unique<BackwardData>(device, shape, step); });
          }
      }
}

template <typename Parse>
auto parse_list(std::string_view text, const Parse& parse) {
  std::vector<decltype(parse(text))> values;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    values.push_back(parse(text.substr(0, comma)));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return values;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--small") {
      options.small = true;
      continue;
    }
    check(i + 1 < argc,
          "{} is no flag, or lacks its value; flags: --device, --precisions, --convs, --batches, --shapes, --small",
          flag);
    const std::string_view value = argv[++i];
    if (flag == "--device") {
      check(value == "cuda" || value == "simt", "--device {}: choose cuda or simt", value);
      options.device = value == "cuda" ? DeviceKind::cuda : DeviceKind::simt;
    } else if (flag == "--precisions") {
      options.precisions = parse_list(value, parse_precision);
    } else if (flag == "--convs") {
      options.convs = parse_list(value, parse_conv_library);
    } else if (flag == "--shapes") {
      options.shapes = value;
    } else if (flag == "--batches") {
      options.batches = parse_list(value, [](std::string_view text) {
        const int batch = std::atoi(std::string(text).c_str());
        check(batch > 0, "--batches {}: positive numbers are expected", text);
        return batch;
      });
    } else {
      fail("unknown flag {}: --device, --precisions, --convs, --batches, --shapes, --small", flag);
    }
  }
  const std::string reason = why_unavailable(options.device);
  check(reason.empty(), "device '{}' is not available: {}", name_of(options.device), reason);
  return options;
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  static Options options;
  options = parse(argc, argv);
  benchmark::AddCustomContext("device",
                              open(options.device, options.precisions.at(0), ConvLibrary::hand).description());
  add_benchmarks(options);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace sandglass

int main(int argc, char** argv) {
  try {
    return sandglass::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "conv_bench: error: {}\n", error.what());
    return 1;
  }
}
