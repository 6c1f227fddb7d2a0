// Copies from global to shared memory that run beside the CUDA thread that started them (cp.async).
//
// On a GPU such a copy happens at some time between its start and the wait for it. The emulator does it at one of the
// two ends: a kernel must give the same bits with both.
#pragma once

#include <deque>
#include <string_view>

namespace sandglass::simt {

/// early: when the copy is started. late: when the thread waits for it; until then the destination is NaN.
enum class CopyTime { early, late };

/// Of the copies that follow. At first what the environment variable SANDGLASS_SIMT_CP_ASYNC says, or late.
CopyTime copy_time();
void set_copy_time(CopyTime time);

/// "early" or "late". Throws Error for anything else.
CopyTime parse_copy_time(std::string_view text);

/// The copies of one CUDA thread.
class AsyncCopies {
 public:
  /// Starts a copy of `bytes` bytes to shared memory, of which the first `source_bytes` come from `global` and the
  /// others are zero. Throws Error unless both addresses are multiples of `bytes`.
  void start(void* shared, const void* global, int bytes, int source_bytes);
  /// Makes a group of the copies that were started since the last call.
  void commit() { ++groups_; }
  /// Does the copies of all groups but the `newest` last ones.
  void wait(int newest);
  /// Forgets what has not been done.
  void clear();

 private:
  struct Copy {
    void* shared;
    const void* global;
    int bytes, source_bytes, group;
  };
  static void run(const Copy& copy);

  std::deque<Copy> waiting_;
  int groups_ = 0;
};

/// Of the running CUDA thread.
AsyncCopies& async_copies();

}  // namespace sandglass::simt
