// cuDNN's graph interface ("cuDNN backend API"): a graph of one convolution, the engine configurations that cuDNN's
// heuristics and its fallback list propose for it, each prepared and timed.
#include "bench/kernels/peers/cudnn.h"

#include <array>
#include <limits>
#include <vector>

#include "kernels/cuda/cudnn.h"

namespace sandglass::bench {
namespace {

// A descriptor of the graph interface with an owner.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) { CUDNN_CHECK(cudnnBackendCreateDescriptor(type, &handle_)); }
  ~Descriptor() {
    if (handle_) cudnnBackendDestroyDescriptor(handle_);
  }
  Descriptor(Descriptor&& other) noexcept { std::swap(handle_, other.handle_); }
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  cudnnBackendDescriptor_t get() const { return handle_; }

  template <typename T>
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::vector<T>& values) {
    CUDNN_CHECK(cudnnBackendSetAttribute(handle_, name, type, static_cast<int64_t>(values.size()), values.data()));
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values) {
    return set(name, CUDNN_TYPE_INT64, values);
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& descriptor) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::vector<cudnnBackendDescriptor_t>{descriptor.get()});
  }
  Descriptor& finalize() {
    CUDNN_CHECK(cudnnBackendFinalize(handle_));
    return *this;
  }
  bool try_to_finalize() { return cudnnBackendFinalize(handle_) == CUDNN_STATUS_SUCCESS; }

 private:
  cudnnBackendDescriptor_t handle_ = nullptr;
};

cudnnDataType_t cudnn_type(DataType type) {
  return type == DataType::bfloat16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

// The three tensors of every direction, by these numbers in the graph.
enum Tensor : int64_t { kX = 1, kW, kY };

Descriptor tensor(Tensor id, DataType type, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  Descriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector{cudnn_type(type)})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, sizes)
      .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {static_cast<int64_t>(id)})
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {16})
      .finalize();
  return descriptor;
}
// NHWC, as sizes N C H W with their strides.
Descriptor map_tensor(Tensor id, const TensorDesc& map) {
  const Shape& s = map.shape;
  const int64_t c = map.padded_channels();
  return tensor(id, map.type, {s.n, s.c, s.h, s.w}, {c * s.w * s.h, 1, c * s.w, c});
}
Descriptor filter_tensor(const ConvShape& s, DataType type) {
  const int64_t c = s.c;
  return tensor(kW, type, {s.k, s.c, s.r, s.s}, {c * s.s * s.r, 1, c * s.s, c});
}

// What the directions call their descriptor and its attributes.
struct Direction {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t convolution, x, w, y, alpha, beta;
};
constexpr Direction kForward{CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
constexpr Direction kBackwardData{CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
constexpr Direction kBackwardWeights{CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

Descriptor operation_graph(const Direction& direction, const ConvShape& s, const Descriptor& x, const Descriptor& w,
                           const Descriptor& y) {
  Descriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector{CUDNN_DATA_FLOAT})
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, std::vector{CUDNN_CROSS_CORRELATION})
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {2})
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {s.stride, s.stride})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {s.padding, s.padding})
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {s.padding, s.padding})
      .finalize();
  Descriptor operation(direction.type);
  operation.set(direction.convolution, convolution)
      .set(direction.x, x)
      .set(direction.w, w)
      .set(direction.y, y)
      .set(direction.alpha, CUDNN_TYPE_FLOAT, std::vector{1.0f})
      .set(direction.beta, CUDNN_TYPE_FLOAT, std::vector{0.0f})
      .finalize();
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, std::vector{cudnn_handle()})
      .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation)
      .finalize();
  return graph;
}

// What cuDNN proposes for the graph in one of its modes; nothing where the mode does not know it.
std::vector<Descriptor> proposals(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, std::vector{mode});
  if (!heuristics.try_to_finalize()) return {};
  int64_t count = 0;
  if (cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
                               &count, nullptr) != CUDNN_STATUS_SUCCESS)
    return {};
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (int64_t i = 0; i < count; ++i) handles.push_back(found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  int64_t returned = 0;
  CUDNN_CHECK(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                       count, &returned, handles.data()));
  found.erase(found.begin() + static_cast<int64_t>(returned), found.end());
  return found;
}

struct Engine {
  int64_t index = -1;
  bool tensor_cores = false, rounds_inputs = false, deterministic = true;
};
Engine engine_of(const Descriptor& configuration) {
  const Descriptor descriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t handle = descriptor.get();
  int64_t count = 0;
  CUDNN_CHECK(cudnnBackendGetAttribute(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                       1, &count, &handle));
  Engine engine;
  CUDNN_CHECK(
      cudnnBackendGetAttribute(handle, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &engine.index));
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  count = 0;
  CUDNN_CHECK(cudnnBackendGetAttribute(handle, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                       CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes.data()));
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    engine.tensor_cores |= notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    engine.rounds_inputs |= notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    engine.deterministic &= notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
  }
  return engine;
}

// A configuration that is ready to run.
class Plan {
 public:
  Plan(Device& device, Descriptor configuration) : engine_(engine_of(configuration)), plan_(make(configuration)) {
    int64_t count = 0, bytes = 0;
    CUDNN_CHECK(cudnnBackendGetAttribute(plan_.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                         &count, &bytes));
    workspace_ = DeviceMemory(device, static_cast<size_t>(bytes));
    configuration_ = std::make_unique<Descriptor>(std::move(configuration));
  }
  const Engine& engine() const { return engine_; }
  void run(const void* x, const void* w, const void* y, Stream stream) const {
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, {kX, kW, kY})
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::vector<const void*>{x, w, y})
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, std::vector<void*>{workspace_.data()})
        .finalize();
    CUDNN_CHECK(cudnnSetStream(cudnn_handle(), static_cast<cudaStream_t>(stream.handle)));
    CUDNN_CHECK(cudnnBackendExecute(cudnn_handle(), plan_.get(), pack.get()));
  }

 private:
  static Descriptor make(const Descriptor& configuration) {
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, std::vector{cudnn_handle()})
        .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration)
        .finalize();
    return plan;
  }
  Engine engine_;
  Descriptor plan_;
  std::unique_ptr<Descriptor> configuration_;
  DeviceMemory workspace_;
};

double milliseconds(Device& device, const Plan& plan, const std::array<DeviceMemory, 3>& data) {
  constexpr int kRuns = 5;
  const auto begin = device.create_event(), end = device.create_event();
  const auto run = [&] { plan.run(data[0].data(), data[1].data(), data[2].data(), {}); };
  run();
  begin->record();
  for (int i = 0; i < kRuns; ++i) run();
  end->record();
  end->synchronize();
  return end->milliseconds_since(*begin) / kRuns;
}

struct Problem {
  const Direction& direction;
  ConvShape shape;
  TensorDesc x, y;
  DataType filters;
  std::string text;
};

// Tries every proposal on memory of its own and returns the fastest.
std::unique_ptr<Plan> fastest_plan(Device& device, const Problem& p) {
  const Descriptor x = map_tensor(kX, p.x), w = filter_tensor(p.shape, p.filters), y = map_tensor(kY, p.y);
  const Descriptor graph = operation_graph(p.direction, p.shape, x, w, y);
  std::array<DeviceMemory, 3> data{DeviceMemory(device, p.x.bytes()),
                                   DeviceMemory(device, p.shape.weight_elements() * bytes_per_element(p.filters)),
                                   DeviceMemory(device, p.y.bytes())};
  constexpr uint8_t kSmallNumber = 0x3c;  // repeated: about 0.01 in bfloat16 and in float
  for (const DeviceMemory& memory : data) device.fill(memory.data(), kSmallNumber, memory.bytes());
  const bool exact = device.precision() == Precision::fp32;
  std::unique_ptr<Plan> best;
  double least = std::numeric_limits<double>::infinity();
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK})
    for (Descriptor& configuration : proposals(graph, mode)) try {
        auto plan = std::make_unique<Plan>(device, std::move(configuration));
        if (exact && (plan->engine().tensor_cores || plan->engine().rounds_inputs)) continue;
        const double time = milliseconds(device, *plan, data);
        if (time < least) least = time, best = std::move(plan);
      } catch (const Error&) {
        // A proposal that cannot be prepared or run is no candidate.
      }
  check(best != nullptr, "{}: none of cuDNN's engines takes it in {}", p.text, name_of(device.precision()));
  return best;
}

std::string name_of_plan(const Plan& plan) {
  return fmt::format("cudnn_engine_{}{}", plan.engine().index, plan.engine().deterministic ? "" : "_not_deterministic");
}

template <typename Arguments>
class ReadingWeights : public ConvOperation<Arguments> {
 public:
  explicit ReadingWeights(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
  std::string implementation() const override { return name_of_plan(*plan_); }
  size_t packed_weight_bytes() const override { return 0; }
  void pack_weights(const void*, void*, Stream) override {}

 protected:
  std::unique_ptr<Plan> plan_;
};

class Forward final : public ReadingWeights<ConvForwardArguments> {
 public:
  using ReadingWeights::ReadingWeights;
  void run(const ConvForwardArguments& a, Stream stream) override { plan_->run(a.x, a.weights, a.y, stream); }
};
class BackwardData final : public ReadingWeights<ConvBackwardDataArguments> {
 public:
  using ReadingWeights::ReadingWeights;
  void run(const ConvBackwardDataArguments& a, Stream stream) override { plan_->run(a.dx, a.weights, a.dy, stream); }
};
class BackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeights(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
  std::string implementation() const override { return name_of_plan(*plan_); }
  void run(const ConvBackwardWeightsArguments& a, Stream stream) override { plan_->run(a.x, a.dw, a.dy, stream); }

 private:
  std::unique_ptr<Plan> plan_;
};

}  // namespace

bool has_cudnn() { return true; }

std::unique_ptr<ConvForward::Operation> cudnn_best_engine(Device& device, const ConvForward& s) {
  return std::make_unique<Forward>(fastest_plan(device, {kForward, s.shape, s.x, s.y, s.weights, s.text()}));
}
std::unique_ptr<ConvBackwardData::Operation> cudnn_best_engine(Device& device, const ConvBackwardData& s) {
  return std::make_unique<BackwardData>(
      fastest_plan(device, {kBackwardData, s.shape, s.dx, s.dy, s.weights, s.text()}));
}
std::unique_ptr<ConvBackwardWeights::Operation> cudnn_best_engine(Device& device, const ConvBackwardWeights& s) {
  return std::make_unique<BackwardWeights>(
      fastest_plan(device, {kBackwardWeights, s.shape, s.x, s.dy, DataType::float32, s.text()}));
}

}  // namespace sandglass::bench
