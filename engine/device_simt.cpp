#include "engine/device_simt.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>

#include "engine/device_cpu.h"
#include "engine/error.h"
#include "engine/guarded_memory.h"

namespace sandglass {
namespace {

// All memory of all simt devices, as the allocations of one GPU are known to all who use it. By address.
class Allocations {
 public:
  ~Allocations() {
    const std::string left = in_use();
    if (!left.empty()) std::fprintf(stderr, "sandglass: simt device: never freed: %s\n", left.c_str());
  }

  void* add(size_t bytes) {
    auto memory = std::make_unique<GuardedMemory>(bytes);
    uint8_t* const data = memory->data();
    const std::lock_guard lock(mutex_);
    all_[data] = {++count_, std::move(memory)};
    return data;
  }

  void remove(void* data) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(static_cast<uint8_t*>(data));
    if (found == all_.end()) {
      std::fprintf(stderr, "sandglass: simt device: free of %p, which is not allocated\n", data);
      std::abort();
    }
    all_.erase(found);
  }

  // The host's copies and fills must stay within one allocation, as CUDA demands.
  void check_range(const char* what, const void* begin, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto* address = static_cast<const uint8_t*>(begin);
    auto found = all_.upper_bound(const_cast<uint8_t*>(address));
    check(found != all_.begin(), "simt device: {} of {} bytes outside of all allocations", what, bytes);
    const Allocation& allocation = std::prev(found)->second;
    const size_t offset = static_cast<size_t>(address - allocation.memory->data());
    check(offset <= allocation.memory->bytes() && bytes <= allocation.memory->bytes() - offset,
          "simt device: {} of {} bytes at byte {} of {}", what, bytes, offset, name(allocation));
  }

  std::string find_damage() {
    const std::lock_guard lock(mutex_);
    for (auto& [data, allocation] : all_)
      if (const std::string damage = allocation.memory->repair(); !damage.empty())
        return fmt::format("{}: {}", name(allocation), damage);
    return "";
  }

  std::string in_use() {
    const std::lock_guard lock(mutex_);
    if (all_.empty()) return "";
    size_t bytes = 0;
    std::string names;
    for (const auto& [data, allocation] : all_) {
      bytes += allocation.memory->bytes();
      names += (names.empty() ? "" : ", ") + name(allocation);
    }
    return fmt::format("{} allocations, {} bytes: {}", all_.size(), bytes, names);
  }

 private:
  struct Allocation {
    size_t number = 0;  // counted from the program's start, from 1
    std::unique_ptr<GuardedMemory> memory;
  };
  static std::string name(const Allocation& allocation) {
    return fmt::format("allocation {} ({} bytes)", allocation.number, allocation.memory->bytes());
  }

  std::mutex mutex_;
  std::map<uint8_t*, Allocation> all_;
  size_t count_ = 0;
};

Allocations& allocations() {
  static Allocations all;
  return all;
}

class SimtEvent final : public Event {
 public:
  void record(Stream) override { time_ = Clock::now(); }
  void hold(Stream) override {}
  void synchronize() override {}
  double milliseconds_since(const Event& earlier) const override {
    const auto& start = dynamic_cast<const SimtEvent&>(earlier);
    check(time_ && start.time_, "simt device: the time between events of which one was never recorded");
    return std::chrono::duration<double, std::milli>(*time_ - *start.time_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> time_;
};

class SimtGraph final : public Graph {
 public:
  explicit SimtGraph(std::function<void(Stream)> work) : work_(std::move(work)) {}
  void launch(Stream stream) override { work_(stream); }

 private:
  std::function<void(Stream)> work_;
};

class SimtDevice final : public Device {
 public:
  using Device::Device;
  DeviceKind kind() const override { return DeviceKind::simt; }
  std::string description() const override {
    return fmt::format("CUDA kernels emulated on {}, {}", processor_name(), name_of(precision()));
  }

  void* allocate(size_t bytes) override { return allocations().add(bytes); }
  void free(void* memory) noexcept override { allocations().remove(memory); }
  void* allocate_pinned(size_t bytes) override {
    constexpr size_t kAlignment = 64;
    void* const memory =
        std::aligned_alloc(kAlignment, (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment);
    check(memory, "the simt device could not allocate {} MiB of pinned host memory", bytes >> 20);
    return memory;
  }
  void free_pinned(void* memory) noexcept override { std::free(memory); }
  void copy_to_device(void* to, const void* from, size_t bytes, Stream) override {
    allocations().check_range("copy to the device", to, bytes);
    if (bytes) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, size_t bytes, Stream) override {
    allocations().check_range("copy to the host", from, bytes);
    if (bytes) std::memcpy(to, from, bytes);
  }
  void copy(void* to, const void* from, size_t bytes, Stream) override {
    allocations().check_range("copy within the device", from, bytes);
    allocations().check_range("copy within the device", to, bytes);
    if (bytes) std::memcpy(to, from, bytes);
  }
  void fill(void* memory, uint8_t byte, size_t bytes, Stream) override {
    allocations().check_range("fill", memory, bytes);
    if (bytes) std::memset(memory, byte, bytes);
  }
  void synchronize(Stream) override {}

  Stream create_stream() override { return {}; }
  void destroy_stream(Stream) noexcept override {}
  std::unique_ptr<Event> create_event() override { return std::make_unique<SimtEvent>(); }
  std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work) override {
    return std::make_unique<SimtGraph>(work);
  }

  TensorDesc activation(Shape shape) const override { return gpu_activation(shape, precision()); }
  TensorDesc picture(Shape shape) const override { return gpu_picture(shape, precision()); }
};

}  // namespace

std::unique_ptr<Device> open_simt_device(const DeviceOptions& options) { return std::make_unique<SimtDevice>(options); }

std::string find_simt_memory_damage() { return allocations().find_damage(); }

std::string simt_memory_in_use() { return allocations().in_use(); }

}  // namespace sandglass
