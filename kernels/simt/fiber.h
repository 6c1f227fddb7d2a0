// Fibers: functions with stacks of their own that hand over to each other explicitly. For Linux on x86-64.
#pragma once

#include <cstddef>

namespace sandglass::simt {

/// resume() runs the fiber until it calls suspend(); the next resume() goes on from there. A fiber stays with the
/// thread of the operating system that first resumed it.
class Fiber {
 public:
  using Entry = void (*)();
  /// `entry` must never return, and no exception may leave it. The name is for ThreadSanitizer's reports.
  Fiber(Entry entry, const char* name);
  /// Forgets what the fiber has begun, without unwinding it.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();
  /// Called on the fiber itself.
  void suspend();

 private:
  static void start();

  Entry entry_;
  std::byte* stack_;  // with a page below that faults
  void* stack_pointer_ = nullptr;
  void* resumer_stack_pointer_ = nullptr;
  // For AddressSanitizer, which must know on whose stack the program is.
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_bytes_ = 0;
  // For ThreadSanitizer, to which each fiber is a thread.
  void* tsan_fiber_ = nullptr;
  void* resumer_tsan_fiber_ = nullptr;
};

}  // namespace sandglass::simt
