#include "engine/device_cuda.h"

#include <algorithm>

#include "engine/cuda_check.h"
#include "engine/error.h"

namespace sandglass {
namespace {

cudaStream_t cuda_stream(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

// 13000 is version 13.0.
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

int driver_version() {
  int version = 0;
  CUDA_CHECK(cudaDriverGetVersion(&version));
  return version;
}

// Destructors and free() ignore results: the error of work that failed before them is reported by the next call that
// can throw.
class CudaEvent final : public Event {
 public:
  CudaEvent() { CUDA_CHECK(cudaEventCreate(&event_)); }
  ~CudaEvent() override { cudaEventDestroy(event_); }
  void record(Stream stream) override { CUDA_CHECK(cudaEventRecord(event_, cuda_stream(stream))); }
  void hold(Stream stream) override { CUDA_CHECK(cudaStreamWaitEvent(cuda_stream(stream), event_, 0)); }
  void synchronize() override { CUDA_CHECK(cudaEventSynchronize(event_)); }
  double milliseconds_since(const Event& earlier) const override {
    float milliseconds = 0;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, dynamic_cast<const CudaEvent&>(earlier).event_, event_));
    return milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class CudaGraph final : public Graph {
 public:
  explicit CudaGraph(cudaGraph_t graph) { CUDA_CHECK(cudaGraphInstantiate(&executable_, graph, 0)); }
  ~CudaGraph() override { cudaGraphExecDestroy(executable_); }
  void launch(Stream stream) override { CUDA_CHECK(cudaGraphLaunch(executable_, cuda_stream(stream))); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(const DeviceOptions& options) : Device(options) {
    CUDA_CHECK(cudaSetDevice(0));
    CUDA_CHECK(cudaGetDeviceProperties(&properties_, 0));
  }

  DeviceKind kind() const override { return DeviceKind::cuda; }

  std::string description() const override {
    int runtime = 0;
    CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    return fmt::format("{}, {}, compute capability {}.{}, {} multiprocessors, {} MiB, CUDA {} (driver for up to {})",
                       properties_.name, name_of(precision()), properties_.major, properties_.minor,
                       properties_.multiProcessorCount, properties_.totalGlobalMem >> 20, version_text(runtime),
                       version_text(driver_version()));
  }

  void* allocate(size_t bytes) override {
    void* memory = nullptr;
    const cudaError_t result = cudaMalloc(&memory, std::max<size_t>(bytes, 1));
    if (result == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      size_t free = 0, total = 0;
      CUDA_CHECK(cudaMemGetInfo(&free, &total));
      throw OutOfMemory(
          fmt::format("the cuda device ({}) could not allocate {} MiB of memory: {} of its {} MiB are free",
                      properties_.name, bytes >> 20, free >> 20, total >> 20),
          free);
    }
    check_cuda(result, "cudaMalloc(&memory, bytes)", __FILE__, __LINE__);
    return memory;
  }

  void free(void* memory) noexcept override { cudaFree(memory); }

  void* allocate_pinned(size_t bytes) override {
    void* memory = nullptr;
    const cudaError_t result = cudaHostAlloc(&memory, std::max<size_t>(bytes, 1), cudaHostAllocDefault);
    if (result == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      fail("the cuda device ({}) could not allocate {} MiB of pinned host memory", properties_.name, bytes >> 20);
    }
    check_cuda(result, "cudaHostAlloc(&memory, bytes, cudaHostAllocDefault)", __FILE__, __LINE__);
    return memory;
  }
  void free_pinned(void* memory) noexcept override { cudaFreeHost(memory); }

  void copy_to_device(void* to, const void* from, size_t bytes, Stream stream) override {
    CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda_stream(stream)));
  }
  void copy_to_host(void* to, const void* from, size_t bytes, Stream stream) override {
    CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda_stream(stream)));
  }
  void copy(void* to, const void* from, size_t bytes, Stream stream) override {
    CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda_stream(stream)));
  }
  void fill(void* memory, uint8_t byte, size_t bytes, Stream stream) override {
    CUDA_CHECK(cudaMemsetAsync(memory, byte, bytes, cuda_stream(stream)));
  }
  void synchronize(Stream stream) override { CUDA_CHECK(cudaStreamSynchronize(cuda_stream(stream))); }

  // Without cudaStreamNonBlocking the null stream would wait for all others, and they for it.
  Stream create_stream() override {
    cudaStream_t stream = nullptr;
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return {stream};
  }
  void destroy_stream(Stream stream) noexcept override { cudaStreamDestroy(cuda_stream(stream)); }
  std::unique_ptr<Event> create_event() override { return std::make_unique<CudaEvent>(); }

  std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work) override {
    const StreamOwner stream(*this);
    // Other threads, such as those that load pictures, may allocate meanwhile.
    CUDA_CHECK(cudaStreamBeginCapture(cuda_stream(stream), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t captured = nullptr;
    try {
      work(stream);
    } catch (...) {
      cudaStreamEndCapture(cuda_stream(stream), &captured);
      if (captured) cudaGraphDestroy(captured);
      cudaGetLastError();
      throw;
    }
    CUDA_CHECK(cudaStreamEndCapture(cuda_stream(stream), &captured));
    const std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, cudaError_t (*)(cudaGraph_t)> owner(captured,
                                                                                                  cudaGraphDestroy);
    return std::make_unique<CudaGraph>(captured);
  }

  TensorDesc activation(Shape shape) const override { return gpu_activation(shape, precision()); }
  TensorDesc picture(Shape shape) const override { return gpu_picture(shape, precision()); }

 private:
  cudaDeviceProp properties_{};
};

std::string find_why_cuda_is_unavailable() {
  int devices = 0, driver = 0;
  const cudaError_t counted = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "there is no NVIDIA driver on this machine";
  if (counted == cudaErrorInsufficientDriver)
    return fmt::format("the NVIDIA driver supports CUDA up to {}, this build needs {}: update the driver",
                       version_text(driver), version_text(CUDART_VERSION));
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && devices == 0))
    return "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it";
  if (counted != cudaSuccess)
    return fmt::format("cudaGetDeviceCount failed: {}: {}", cudaGetErrorName(counted), cudaGetErrorString(counted));
  const auto probed = static_cast<cudaError_t>(probe_cuda_architecture());
  if (probed == cudaSuccess) return "";
  if (probed != cudaErrorNoKernelImageForDevice && probed != cudaErrorUnsupportedPtxVersion)
    return fmt::format("the GPU does not answer: {}: {}", cudaGetErrorName(probed), cudaGetErrorString(probed));
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return "the GPU's properties cannot be read";
  return fmt::format(
      "the GPU ({}) has compute capability {}.{}, this build has code for {}: configure with "
      "-DCMAKE_CUDA_ARCHITECTURES=native",
      properties.name, properties.major, properties.minor, SANDGLASS_CUDA_ARCHITECTURES);
}

}  // namespace

std::unique_ptr<Device> open_cuda_device(const DeviceOptions& options) {
  const std::string reason = why_cuda_is_unavailable();
  check(reason.empty(), "cannot open the cuda device: {}", reason);
  return std::make_unique<CudaDevice>(options);
}

std::string why_cuda_is_unavailable() {
  static const std::string reason = find_why_cuda_is_unavailable();
  return reason;
}

}  // namespace sandglass
