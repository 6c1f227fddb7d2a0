// A block of CUDA threads and how the emulator runs it: each CUDA thread is a fiber that goes on until it must wait for
// others, and one scheduler chooses who is next.
#pragma once

#include <array>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/random.h"
#include "kernels/simt/async_copy.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/shared_memory.h"
#include "kernels/simt/thread_order.h"
#include "kernels/simt/warp.h"
#include "kernels/simt/warpgroup.h"

namespace sandglass::simt {

/// One CUDA thread of the block.
struct Thread {
  int number = 0;  ///< x + y * blockDim.x + z * blockDim.x * blockDim.y
  uint3 index{};
  Fiber* fiber = nullptr;  ///< null before it starts and after it returned
  bool returned = false;
  const char* waits_in = nullptr;  ///< "__syncthreads", ...; null while it can run
  CallSite waits_at;
  Exchange exchange;  ///< what it brings to the warp collective it is in

  int warp() const { return number / kWarpSize; }
  int lane() const { return number % kWarpSize; }
};

/// "conv_cuda.cu:120"
std::string to_text(const CallSite& site);

class Block {
 public:
  Block(const Launch& launch, const std::function<void()>& body);
  /// Runs all threads of the block to their end. Throws Error for the first that breaks a rule.
  void run(const uint3& index);

  /// The block whose thread calls; null outside of kernels.
  static Block* running();

  // For the running CUDA thread:
  void barrier(CallSite site);
  /// Waits until all lanes of `mask` that have not returned are here; the exchange's result is then complete.
  void collective(const Exchange& exchange, CallSite site);
  /// Waits until another CUDA thread or asynchronous work calls wake() with the key.
  void wait_for(const void* key, const char* what, CallSite site);
  void wake(const void* key);
  /// Queues work that goes on while the threads run: at random points in random thread order, else when no thread can
  /// go on without it. It must not throw.
  void later(std::function<void()> work);
  /// Whether asynchronous work that could be done now or later is to be done now.
  bool early();
  /// The warpgroup of the running thread. Throws Error if the block's end cuts it short.
  Warpgroup& warpgroup();
  std::set<const void*>& unfenced_mbarriers() { return unfenced_mbarriers_; }
  Thread& thread() { return *current_; }
  SharedMemory& shared_memory() { return shared_; }
  AsyncCopies& copies() { return copies_[static_cast<size_t>(current_->number)]; }
  /// "kernel 'peak', block (0, 0, 1), thread (3, 0, 0)"
  std::string where() const { return where(*current_); }

 private:
  static void work();
  static Fiber* fiber_for(const Thread& thread);
  void run_threads();
  void enter(Thread& thread);
  Thread* next();
  // Lanes of a warp, one bit each.
  struct Lanes {
    unsigned in_collective = 0, returned = 0;
    bool cover(unsigned mask) const { return (mask & ~(in_collective | returned)) == 0; }
  };

  // They have what they waited for.
  void make_ready(std::vector<Thread*> threads);
  void wait(const char* what, CallSite site);
  void run_asynchronous_work();
  void finish_collective_if_complete(int warp, unsigned mask);
  const char* phase_of(const Thread& thread, unsigned mask);
  void work_for_warp(const std::vector<Thread*>& members);
  void exchange_values(const std::vector<Thread*>& members, const Thread* lanes);
  std::string where(const Thread& thread) const;
  [[noreturn]] void fail_at(const Thread& thread, const std::string& what) const;
  void report_deadlock() const;
  void report_unfinished_work() const;

  const Launch& launch_;
  const std::function<void()>& body_;
  const ThreadOrder order_;
  Random random_;
  uint3 index_{};
  std::vector<Thread> threads_;
  std::vector<Lanes> warps_;
  std::vector<AsyncCopies> copies_;  // of each thread
  std::deque<Thread*> ready_;        // unstarted threads, or such that have what they waited for
  std::vector<Thread*> at_barrier_;
  std::multimap<const void*, Thread*> waiting_;
  std::vector<std::function<void()>> asynchronous_;
  std::vector<Warpgroup> warpgroups_;
  std::set<const void*> unfenced_mbarriers_;
  int returned_ = 0;
  Thread* current_ = nullptr;
  Thread* handed_over_ = nullptr;  // taken from ready_ by a fiber that cannot run it itself
  std::exception_ptr error_;
  SharedMemory shared_;
  // For ThreadSanitizer: objects whose addresses stand for what orders the threads.
  char start_ = 0, end_ = 0;     // of the block
  char barrier_phases_[2] = {};  // used in turn
  bool odd_barrier_ = false;
  std::array<char, 4096> phases_{};  // of collectives, used in turn
  size_t next_phase_ = 0;
};

}  // namespace sandglass::simt
