#include "engine/device_simt.h"

#include <cstring>
#include <vector>

#include "engine/device_cpu.h"
#include "engine/error.h"
#include "engine/simt_memory.h"
#include "engine/simt_queue.h"

namespace sandglass {
namespace {

class SimtDevice final : public Device {
 public:
  using Device::Device;
  DeviceKind kind() const override { return DeviceKind::simt; }
  std::string description() const override {
    return fmt::format("CUDA kernels emulated on {}, {}", processor_name(), name_of(precision()));
  }

  void* allocate(size_t bytes) override {
    simt::check_not_capturing("Device::allocate");
    return simt::allocate_memory(bytes);
  }
  // Waits for all work, as cudaFree does.
  void free(void* memory) noexcept override {
    simt::note_call_in_capture("Device::free");
    simt::finish_all_work();
    simt::free_memory(memory);
  }
  void* allocate_pinned(size_t bytes) override {
    simt::check_not_capturing("Device::allocate_pinned");
    return simt::allocate_pinned_memory(bytes);
  }
  void free_pinned(void* memory) noexcept override {
    simt::note_call_in_capture("Device::free_pinned");
    simt::finish_all_work();
    simt::free_pinned_memory(memory);
  }

  void copy_to_device(void* to, const void* from, size_t bytes, Stream stream) override {
    simt::check_memory("copy to the device", to, bytes);
    if (simt::is_pinned(from, bytes) || simt::is_capturing())
      return enqueue_copy("copy to the device", to, from, bytes, stream, {from, bytes}, {});
    // As CUDA does, reads pageable memory at once.
    const auto* const begin = static_cast<const uint8_t*>(from);
    const auto copy = [to, staged = std::vector<uint8_t>(begin, begin + bytes)] {
      if (!staged.empty()) std::memcpy(to, staged.data(), staged.size());
    };
    simt::enqueue(stream, {"copy to the device", copy, {}, {}});
  }
  void copy_to_host(void* to, const void* from, size_t bytes, Stream stream) override {
    simt::check_memory("copy to the host", from, bytes);
    enqueue_copy("copy to the host", to, from, bytes, stream, {}, {to, bytes});
  }
  void copy(void* to, const void* from, size_t bytes, Stream stream) override {
    simt::check_memory("copy within the device", from, bytes);
    simt::check_memory("copy within the device", to, bytes);
    enqueue_copy("copy within the device", to, from, bytes, stream, {}, {});
  }
  void fill(void* memory, uint8_t byte, size_t bytes, Stream stream) override {
    simt::check_memory("fill", memory, bytes);
    const auto fill = [=] {
      if (bytes) std::memset(memory, byte, bytes);
    };
    simt::enqueue(stream, {"fill", fill, {}, {}});
  }
  void synchronize(Stream stream) override { simt::synchronize(stream); }

  Stream create_stream() override { return simt::create_stream(); }
  void destroy_stream(Stream stream) noexcept override { simt::destroy_stream(stream); }
  std::unique_ptr<Event> create_event() override { return simt::create_event(); }
  std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work) override { return simt::capture(work); }

  TensorDesc activation(Shape shape) const override { return gpu_activation(shape, precision()); }
  TensorDesc picture(Shape shape) const override { return gpu_picture(shape, precision()); }

 private:
  static void enqueue_copy(const char* name, void* to, const void* from, size_t bytes, Stream stream,
                           simt::HostRange reads, simt::HostRange writes) {
    const auto copy = [=] {
      if (bytes) std::memcpy(to, from, bytes);
    };
    simt::enqueue(stream, {name, copy, reads, writes});
  }
};

}  // namespace

std::unique_ptr<Device> open_simt_device(const DeviceOptions& options) { return std::make_unique<SimtDevice>(options); }

}  // namespace sandglass
