// Devices: where memory lies and work runs. Every device offers the same operations (kernels/operation.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace sandglass {

/// cpu: oneDNN. cuda: hand-written kernels on an NVIDIA GPU. simt: the same kernels executed on the CPU.
enum class DeviceKind { cpu, cuda, simt };
const char* name_of(DeviceKind kind);

/// What convolutions compute with and feature maps are stored in. Sums are float or double in all three.
///   fp32: float arithmetic on float maps. tf32: tensor cores on float maps whose operands are rounded to 10 bits of
///   mantissa. bf16: tensor cores on bfloat16 maps; weights keep a float32 master copy.
enum class Precision { fp32, tf32, bf16 };
const char* name_of(Precision precision);
/// "fp32", "tf32" or "bf16"; throws Error for anything else.
Precision parse_precision(std::string_view text);

/// Who computes convolutions on the cuda device: the kernels written here, or NVIDIA's libraries to compare with.
enum class ConvLibrary { hand, cudnn, cublas };
const char* name_of(ConvLibrary library);
/// "hand", "cudnn" or "cublas"; throws Error for anything else.
ConvLibrary parse_conv_library(std::string_view text);

struct DeviceOptions {
  Precision precision = Precision::fp32;
  ConvLibrary conv = ConvLibrary::hand;
  bool operator==(const DeviceOptions&) const = default;
};

/// An in-order queue of work on a device. Null is a queue that is always there and otherwise like any other. Work in
/// different streams may run at the same time and in any order, except where an Event says otherwise. The cpu device
/// runs all work at once, in the host's order.
struct Stream {
  void* handle = nullptr;
};

/// A point in a stream's work. It counts as reached until it is recorded for the first time.
class Event {
 public:
  virtual ~Event() = default;
  /// Makes it the point behind all that is queued on the stream so far.
  virtual void record(Stream stream = {}) = 0;
  /// What is queued on the stream from now on begins only when the point is reached. The host does not wait.
  virtual void hold(Stream stream) = 0;
  /// Returns when the point is reached; results that were copied to the host before it are then there. Throws Error for
  /// work that failed, as Device::synchronize does.
  virtual void synchronize() = 0;
  /// Milliseconds between the points, by the device's clock. Both must be recorded, and the host must know that both
  /// are reached: throws Error otherwise.
  virtual double milliseconds_since(const Event& earlier) const = 0;
};

/// Work that was captured once and can be queued again and again at little cost.
class Graph {
 public:
  virtual ~Graph() = default;
  /// Queues all of the work on the stream, with the arguments and addresses it was captured with.
  virtual void launch(Stream stream = {}) = 0;
};

class Device {
 public:
  explicit Device(const DeviceOptions& options) : options_(options) {}
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  Precision precision() const { return options_.precision; }
  ConvLibrary conv_library() const { return options_.conv; }
  virtual DeviceKind kind() const = 0;
  /// What it runs on, for people: processor or GPU, threads, libraries.
  virtual std::string description() const = 0;

  /// Memory aligned to at least 64 bytes. Throws OutOfMemory saying how much was asked for and, where the device
  /// knows, how much there is.
  virtual void* allocate(size_t bytes) = 0;
  virtual void free(void* memory) noexcept = 0;
  /// Host memory that the device copies from and to while the host goes on; copies of other host memory may wait for
  /// the device. Aligned to at least 64 bytes. Throws Error saying how much was asked for.
  virtual void* allocate_pinned(size_t bytes) = 0;
  virtual void free_pinned(void* memory) noexcept = 0;
  /// Copies between host and device in the stream's order; host memory must stay valid, what is copied to the device
  /// unchanged, and what is copied to the host unread, until synchronize(stream).
  virtual void copy_to_device(void* device_memory, const void* host_memory, size_t bytes, Stream stream = {}) = 0;
  virtual void copy_to_host(void* host_memory, const void* device_memory, size_t bytes, Stream stream = {}) = 0;
  /// Copies within the device, in the stream's order; the two pieces do not overlap.
  virtual void copy(void* to, const void* from, size_t bytes, Stream stream = {}) = 0;
  /// Sets every byte, in the stream's order.
  virtual void fill(void* device_memory, uint8_t byte, size_t bytes, Stream stream = {}) = 0;
  /// Returns when all work queued on the stream is done. Throws Error for work that failed, on any stream: it names the
  /// kernel where the device knows it.
  virtual void synchronize(Stream stream = {}) = 0;

  /// A new stream; StreamOwner destroys it by itself.
  virtual Stream create_stream() = 0;
  /// What is queued on the stream is still done.
  virtual void destroy_stream(Stream stream) noexcept = 0;
  virtual std::unique_ptr<Event> create_event() = 0;
  /// Makes a graph of what `work` queues on the stream that it is given, and on streams held back by events of that
  /// stream, which must be joined to it again by events. Nothing runs before Graph::launch. `work` may be called now
  /// (cuda, simt), in each launch (cpu), or both, so it may only queue work, and what it refers to must outlive the
  /// graph; it must not allocate, free or synchronise, nor queue work on other streams. Host memory that it copies must
  /// be pinned; it is read and written when the graph runs. Throws Error if something cannot be captured, and what
  /// `work` throws.
  virtual std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work) = 0;

  /// Whether operations take feature maps of this type: float32 everywhere, bfloat16 on cuda and simt.
  bool stores(DataType type) const {
    return type == DataType::float32 || (type == DataType::bfloat16 && kind() != DeviceKind::cpu);
  }
  /// How this device keeps feature maps between operations: NHWC on cuda and simt (bfloat16 with Precision::bf16),
  /// channels in blocks of 8 (AVX2) or 16 (AVX-512) on cpu.
  virtual TensorDesc activation(Shape shape) const = 0;
  /// The network's result: as activation(), but always float32.
  TensorDesc heatmaps(Shape shape) const {
    TensorDesc desc = activation(shape);
    desc.type = DataType::float32;
    return desc;
  }
  /// The layout of the network's input, as the first convolution reads it.
  virtual TensorDesc picture(Shape shape) const = 0;

 private:
  DeviceOptions options_;
};

/// How the devices cuda and simt keep activations and pictures. A picture's pixel has its channels padded to 4.
TensorDesc gpu_activation(Shape shape, Precision precision);
TensorDesc gpu_picture(Shape shape, Precision precision);

/// Device memory with an owner; freed with it.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Device& device, size_t bytes);
  DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceMemory();
  uint8_t* data() const { return data_; }
  float* f32() const { return reinterpret_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void swap(DeviceMemory& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Device* device_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Pinned host memory with an owner; freed with it.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(Device& device, size_t bytes)
      : device_(&device), data_(static_cast<uint8_t*>(device.allocate_pinned(bytes))), bytes_(bytes) {}
  PinnedMemory(PinnedMemory&& other) noexcept { swap(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~PinnedMemory() {
    if (data_) device_->free_pinned(data_);
  }
  uint8_t* data() const { return data_; }
  float* f32() const { return reinterpret_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void swap(PinnedMemory& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Device* device_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

/// A stream with an owner; destroyed with it.
class StreamOwner {
 public:
  explicit StreamOwner(Device& device) : device_(device), stream_(device.create_stream()) {}
  ~StreamOwner() { device_.destroy_stream(stream_); }
  StreamOwner(const StreamOwner&) = delete;
  StreamOwner& operator=(const StreamOwner&) = delete;
  operator Stream() const { return stream_; }

 private:
  Device& device_;
  Stream stream_;
};

/// The devices this build and this machine offer, cpu first.
std::vector<DeviceKind> available_devices();

/// Why a device is not offered here, for people; empty if it is. Not to be asked before main() begins: until then CUDA
/// may not know the kernels.
std::string why_unavailable(DeviceKind kind);

/// Why the cuda device of this build has no convolutions by a library, for people; empty if it has.
std::string why_unavailable(ConvLibrary library);

/// cpu, cuda, simt, or auto: cuda where there is one, else cpu. Throws Error naming them if it is none.
DeviceKind parse_device_kind(std::string_view name);

/// Opens a device by name: cpu, cuda, simt, or auto (cuda where there is one, else cpu).
/// Throws Error naming the devices that are there if it is none of them, or saying what the device has if it lacks
/// what the options ask for: the cpu device computes in fp32 by oneDNN, libraries are a choice on cuda only.
std::unique_ptr<Device> open_device(std::string_view name, const DeviceOptions& options = {});
std::unique_ptr<Device> open_device(DeviceKind kind, const DeviceOptions& options = {});

/// How people ask for a device.
struct DeviceChoice {
  std::string name = "auto";       ///< auto, cpu, cuda or simt
  std::string precision = "auto";  ///< auto, fp32, tf32 or bf16; auto: bf16 on cuda, fp32 elsewhere
  std::string conv = "hand";       ///< hand, cudnn or cublas
};
std::unique_ptr<Device> open_device(const DeviceChoice& choice);

}  // namespace sandglass
