// wgmma: matrix products of a warpgroup, 128 CUDA threads, that run asynchronously.
// PTX ISA 9.7.15, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "kernels/simt/warp.h"

namespace sandglass::simt {

constexpr int kWarpgroupSize = 128;

/// How an operand lies in shared memory: the reduction's index contiguous (K), or that of the rows of A or the columns
/// of B (MN; the instruction's "transpose").
enum class Major { k, mn };

/// One wgmma.mma_async.m64nNk16 of bfloat16 with float accumulators, as a lane calls it.
struct Wgmma {
  int n = 0;
  Major a_major = Major::k, b_major = Major::k;
  bool a_in_registers = false;
  uint64_t a = 0, b = 0;                ///< matrix descriptors
  std::array<uint32_t, 4> registers{};  ///< A, if it is there
  float* accumulators = nullptr;        ///< n / 2 of the lane
  bool accumulate = false;              ///< D = A B + D, not D = A B
};

/// A lane's accumulators are NaN from mma() until the wait() that covers it. The products themselves are computed some
/// time between the last lane's mma() and that wait().
class Warpgroup {
 public:
  void fence(int lane);
  void mma(int lane, const Wgmma& operation, CallSite site);
  void commit(int lane);
  /// Returns when all but the last `groups` committed groups of the warpgroup are done.
  void wait(int lane, int groups, CallSite site);
  /// Whether some product has not been waited for.
  bool busy() const { return !queue_.empty(); }

 private:
  // A matrix of accumulators while products that write it are on their way.
  struct Accumulators {
    std::array<float*, kWarpgroupSize> lanes{};
    int n = 0;
    std::vector<float> values;  // 64 x n
  };
  struct Operation {
    Wgmma shape;
    std::array<std::array<uint32_t, 4>, kWarpgroupSize> registers{};
    std::shared_ptr<Accumulators> accumulators;
    std::array<int, kWarpgroupSize> group{};
    int lanes = 0;  // that have called it
    bool done = false;
    CallSite site;
  };
  struct Lane {
    int64_t issued = 0;
    int committed = 0;
    bool fenced = false;
    int waits_for = 0;
  };

  std::shared_ptr<Accumulators> find_accumulators(int lane, const Wgmma& operation) const;
  void run_until(size_t count);
  void finish(int groups);

  std::array<Lane, kWarpgroupSize> lanes_{};
  std::deque<Operation> queue_;
  int64_t finished_ = 0;  // operations that have left the queue
  int waiting_ = 0;
};

/// The running CUDA thread's place in its warpgroup, 0 to 127.
int warpgroup_lane();

}  // namespace sandglass::simt
