// Execution plans: every buffer's lifetime is known before the first step runs, so that one arena serves them all.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/cost.h"
#include "engine/device.h"

namespace sandglass {

/// A buffer of a plan. It has an address only once the plan is finished.
struct Buffer {
  int id = -1;
  bool valid() const { return id >= 0; }
};

/// A feature map of a plan.
struct PlanTensor {
  Buffer buffer;
  TensorDesc desc;
};

/// A step's name, what it must do, and what it took.
struct StepTime {
  std::string name;
  Cost cost;
  double seconds = 0;
};

/// Seconds that one run of `work` takes by the device's clock: a graph of `runs` of them is launched once to warm up
/// and three times for the median, so that launches cost what they cost in a captured step.
double time_on_device(Device& device, int runs, const std::function<void(Stream)>& work);

/// A list of steps over named buffers. While it is being built it only records; finish() places the buffers whose
/// lifetimes do not overlap in the same memory and allocates one arena; run() then executes the steps in order and
/// allocates nothing.
class Plan {
 public:
  /// Addresses of the buffers that a step declared. Asking for another one is an Error, so that a forgotten
  /// declaration (and with it a wrong lifetime) cannot go unnoticed.
  class Memory {
   public:
    uint8_t* operator[](Buffer buffer) const;
    float* f32(Buffer buffer) const { return reinterpret_cast<float*>((*this)[buffer]); }
    double* f64(Buffer buffer) const { return reinterpret_cast<double*>((*this)[buffer]); }
    /// Null for a buffer that is not there (default-constructed).
    uint8_t* or_null(Buffer buffer) const { return buffer.valid() ? (*this)[buffer] : nullptr; }
    float* f32_or_null(Buffer buffer) const { return buffer.valid() ? f32(buffer) : nullptr; }
    Tensor tensor(const PlanTensor& t) const { return {t.desc, (*this)[t.buffer]}; }
    Stream stream;

   private:
    friend class Plan;
    const Plan* plan = nullptr;
    std::span<const Buffer> declared;
  };
  using Work = std::function<void(const Memory&)>;

  explicit Plan(Device& device) : device_(device) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  Device& device() const { return device_; }

  /// A buffer that lives from the first to the last step that declares it.
  Buffer buffer(std::string name, size_t bytes);
  /// A buffer that lives as long as the plan: inputs, outputs, state.
  Buffer lasting_buffer(std::string name, size_t bytes);
  /// Memory that someone else owns and keeps alive longer than the plan (parameters, gradients).
  Buffer external_buffer(std::string name, void* memory, size_t bytes);
  PlanTensor tensor(std::string name, const TensorDesc& desc) { return {buffer(std::move(name), desc.bytes()), desc}; }
  PlanTensor lasting_tensor(std::string name, const TensorDesc& desc) {
    return {lasting_buffer(std::move(name), desc.bytes()), desc};
  }

  /// Appends a step that touches `uses` (invalid buffers among them are ignored) and nothing else. `cost`: for
  /// time_steps.
  void step(std::string name, std::vector<Buffer> uses, Work work, Cost cost = {});

  /// Places the buffers and allocates the arena. No step can be added afterwards.
  void finish();
  /// Executes all steps in order on the stream. Throws Error before finish().
  void run(Stream stream = {}) const;
  /// As run(), but waits for each step and then calls `after(index, name, seconds, memory)`; for profiles and searches.
  using Observer = std::function<void(size_t, const std::string&, double, const Memory&)>;
  void run_observed(const Observer& after) const;
  /// What each step must do and how long the device takes for it: a time_on_device of the step by itself, in order.
  /// Steps that change what they read do so `runs` times and more, so the buffers hold nothing of use afterwards.
  std::vector<StepTime> time_steps(int runs) const;

  /// Address of a lasting or external buffer, for the world outside the steps.
  uint8_t* address(Buffer buffer) const;
  Tensor tensor(const PlanTensor& t) const { return {t.desc, address(t.buffer)}; }

  size_t arena_bytes() const { return arena_bytes_; }
  /// Sum of the sizes of all buffers in the arena: what it would need without sharing.
  size_t unshared_bytes() const;
  size_t step_count() const { return steps_.size(); }
  /// A table for people: a row per buffer with offset, size and first and last step.
  std::string report() const;
  /// Fills the whole arena, lasting buffers excepted, with a byte; tests use it to show that no step reads stale
  /// memory.
  void poison(uint8_t byte) const;

 private:
  struct Entry {
    std::string name;
    size_t bytes = 0;
    int first = -1, last = -1;  // steps; -1: never used
    bool lasting = false;
    void* external = nullptr;
    size_t offset = 0;
  };
  struct Step {
    std::string name;
    std::vector<Buffer> uses;
    Work work;
    Cost cost;
  };
  Buffer add(Entry entry);

  Device& device_;
  std::vector<Entry> entries_;
  std::vector<Step> steps_;
  DeviceMemory arena_;
  size_t arena_bytes_ = 0;
  bool finished_ = false;
};

}  // namespace sandglass
