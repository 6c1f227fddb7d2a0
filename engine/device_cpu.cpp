#include "engine/device_cpu.h"

#include <omp.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector

// All work is done when it is queued, so a point is reached when it is recorded.
class CpuEvent final : public Event {
 public:
  void record(Stream) override { time_ = Clock::now(); }
  void hold(Stream) override {}
  void synchronize() override {}
  double milliseconds_since(const Event& earlier) const override {
    const auto& start = dynamic_cast<const CpuEvent&>(earlier);
    check(time_ && start.time_, "cpu device: the time between events of which one was never recorded");
    return std::chrono::duration<double, std::milli>(*time_ - *start.time_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> time_;
};

class CpuGraph final : public Graph {
 public:
  explicit CpuGraph(std::function<void(Stream)> work) : work_(std::move(work)) {}
  void launch(Stream stream) override { work_(stream); }

 private:
  std::function<void(Stream)> work_;
};

class CpuDevice final : public Device {
 public:
  CpuDevice() : Device({}) {}
  DeviceKind kind() const override { return DeviceKind::cpu; }

  std::string description() const override {
    const int threads = omp_get_max_threads();
    return fmt::format("{}, {} thread{}", processor_name(), threads, threads == 1 ? "" : "s");
  }

  void* allocate(size_t bytes) override {
    const size_t rounded = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = std::aligned_alloc(kAlignment, rounded);
    if (!memory)
      throw OutOfMemory(fmt::format("the cpu device could not allocate {} MiB of memory", bytes >> 20), std::nullopt);
    return memory;
  }
  void free(void* memory) noexcept override { std::free(memory); }
  void* allocate_pinned(size_t bytes) override { return allocate(bytes); }
  void free_pinned(void* memory) noexcept override { free(memory); }
  void copy_to_device(void* to, const void* from, size_t bytes, Stream) override { std::memcpy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, size_t bytes, Stream) override { std::memcpy(to, from, bytes); }
  void copy(void* to, const void* from, size_t bytes, Stream) override { std::memcpy(to, from, bytes); }
  void fill(void* memory, uint8_t byte, size_t bytes, Stream) override { std::memset(memory, byte, bytes); }
  void synchronize(Stream) override {}

  Stream create_stream() override { return {}; }
  void destroy_stream(Stream) noexcept override {}
  std::unique_ptr<Event> create_event() override { return std::make_unique<CpuEvent>(); }
  std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work) override {
    return std::make_unique<CpuGraph>(work);
  }

  TensorDesc activation(Shape shape) const override { return {shape, DataType::float32, block_}; }
  TensorDesc picture(Shape shape) const override { return {shape, DataType::float32, 1}; }

 private:
  const int block_ = __builtin_cpu_supports("avx512f") ? 16 : 8;  // floats in a vector register
};

}  // namespace

std::unique_ptr<Device> open_cpu_device() { return std::make_unique<CpuDevice>(); }

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace sandglass
