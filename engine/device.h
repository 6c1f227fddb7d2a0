// Devices: where memory lies and work runs. Every device offers the same operations (kernels/operation.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace sandglass {

/// cpu: oneDNN. cuda: hand-written kernels on an NVIDIA GPU. simt: the same kernels executed on the CPU.
enum class DeviceKind { cpu, cuda, simt };
const char* name_of(DeviceKind kind);

/// An in-order queue of work on a device; null is the device's default queue. The cpu device runs work at once.
struct Stream {
  void* handle = nullptr;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceKind kind() const = 0;
  /// What it runs on, for people: processor or GPU, threads, libraries.
  virtual std::string description() const = 0;

  /// Memory aligned to at least 64 bytes. Throws Error saying how much was asked for.
  virtual void* allocate(size_t bytes) = 0;
  virtual void free(void* memory) noexcept = 0;
  /// Copies between host and device in the stream's order; host memory must stay valid until synchronize(stream).
  virtual void copy_to_device(void* device_memory, const void* host_memory, size_t bytes, Stream stream = {}) = 0;
  virtual void copy_to_host(void* host_memory, const void* device_memory, size_t bytes, Stream stream = {}) = 0;
  /// Copies within the device, in the stream's order; the two pieces do not overlap.
  virtual void copy(void* to, const void* from, size_t bytes, Stream stream = {}) = 0;
  /// Sets every byte, in the stream's order.
  virtual void fill(void* device_memory, uint8_t byte, size_t bytes, Stream stream = {}) = 0;
  /// Returns when all work queued on the stream is done.
  virtual void synchronize(Stream stream = {}) = 0;

  /// The layout in which this device keeps float feature maps between operations: NHWC on cuda and simt, channels in
  /// blocks of 8 (AVX2) or 16 (AVX-512) on cpu.
  virtual TensorDesc activation(Shape shape) const = 0;
  /// The layout of the network's input, as the first convolution reads it.
  virtual TensorDesc picture(Shape shape) const = 0;
};

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

/// The devices this build and this machine offer, cpu first.
std::vector<DeviceKind> available_devices();

/// Why a device is not offered here, for people; empty if it is.
std::string why_unavailable(DeviceKind kind);

/// Opens a device by name: cpu, cuda, simt, or auto (cuda where there is one, else cpu).
/// Throws Error naming the devices that are there if it is none of them.
std::unique_ptr<Device> open_device(std::string_view name);
std::unique_ptr<Device> open_device(DeviceKind kind);

}  // namespace sandglass
