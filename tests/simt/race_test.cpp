// Races between CUDA threads, which ThreadSanitizer finds: each planted one is reported with kernel, block and thread,
// and what is ordered as CUDA demands is not reported.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/cp_async.h"
#include "kernels/cuda/tensor_map.h"
#include "tests/simt/support.h"

namespace sandglass::test {
namespace {

class Race : public InThreadOrder {
 protected:
  void SetUp() override {
    InThreadOrder::SetUp();
#ifndef SANDGLASS_THREAD_SANITIZER
    GTEST_SKIP() << "this build is not one for ThreadSanitizer (cmake --preset tsan)";
#endif
  }
};
INSTANTIATE_TEST_SUITE_P(Orders, Race, all_thread_orders(), thread_order_name);

// The program reports `kernel` (or nothing, if it is empty) and goes on. ThreadSanitizer then makes its exit status 66.
void expect_race(const std::function<void()>& action, const std::string& kernel) {
  const auto run_alone = [&] {
    action();
    std::exit(0);
  };
  if (kernel.empty())
    EXPECT_EXIT(run_alone(), testing::ExitedWithCode(0), "");
  else
    EXPECT_EXIT(run_alone(), testing::ExitedWithCode(66),
                "ThreadSanitizer: data race(.|\n)*by thread T[0-9]+:(.|\n)*Thread T[0-9]+ .CUDA thread [0-9]+ of its "
                "block(.|\n)*"
                "sandglass: simt: kernel '" +
                    kernel + "', block .1, 0, 0., thread .[0-9]+, 0, 0.");
}

// Warp 1 reads what warp 0 wrote in block 1; nothing is shared in block 0.
__global__ void pass_between_warps(float* y, bool wait) {
  SIMT_SHARED(float, tile, [32]);
  if (blockIdx.x == 0) return;
  if (threadIdx.x < 32) tile[threadIdx.x] = 1;
  if (wait) __syncthreads();
  if (threadIdx.x >= 32) y[threadIdx.x] = tile[threadIdx.x - 32];
}

TEST_P(Race, missing_barrier_between_warps) {
  const auto pass = [](bool wait) {
    return [wait] {
      float y[64];
      run(KERNEL(pass_between_warps), 2, 64, 0, y, wait);
    };
  };
  expect_race(pass(true), "");
  expect_race(pass(false), "pass_between_warps");
}

enum class Between { nothing, shuffle, syncwarp };

__global__ void pass_between_lanes(float* y, Between between) {
  SIMT_SHARED(float, tile, [32]);
  if (blockIdx.x == 0) return;
  const auto lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 3; ++i) {
    tile[lane] = static_cast<float>(lane + i);
    if (between == Between::shuffle) y[lane] = __shfl_xor_sync(0xffffffff, y[lane], 1);
    if (between == Between::syncwarp) __syncwarp();
    y[lane] = tile[lane ^ 1];
    if (between == Between::syncwarp) __syncwarp();
  }
}

TEST_P(Race, missing_syncwarp_between_lanes) {
  const auto pass = [](Between between) {
    return [between] {
      float y[32] = {};
      run(KERNEL(pass_between_lanes), 2, 32, 0, y, between);
    };
  };
  expect_race(pass(Between::syncwarp), "");
  expect_race(pass(Between::nothing), "pass_between_lanes");
  expect_race(pass(Between::shuffle), "pass_between_lanes");  // orders no accesses to memory
}

// A ring of two places: the barrier before a place is written again may be missing.
__global__ void go_round(float* y, bool wait_for_readers) {
  SIMT_SHARED(float, ring, [64]);
  if (blockIdx.x == 0) return;
  const auto i = static_cast<int>(threadIdx.x);
  for (int round = 0; round < 4; ++round) {
    ring[i] = static_cast<float>(i);
    __syncthreads();
    y[i] = ring[63 - i];
    if (wait_for_readers) __syncthreads();
  }
}

TEST_P(Race, overwritten_before_all_have_read) {
  const auto go = [](bool wait) {
    return [wait] {
      float y[64];
      run(KERNEL(go_round), 2, 64, 0, y, wait);
    };
  };
  expect_race(go(true), "");
  expect_race(go(false), "go_round");
}

__global__ void write_together(float* x) {
  if (blockIdx.x == 1 && threadIdx.x % 32 == 0) *x = static_cast<float>(threadIdx.x);
}

TEST_P(Race, two_warps_write_the_same_global_address) {
  const auto write = [] {
    float x = 0;
    run(KERNEL(write_together), 2, 64, 0, &x);
  };
  expect_race(write, "write_together");
}

// A thread waits for its own asynchronous copies; the others see them behind a barrier.
__global__ void read_copies_of_others(const float* x, float* y, bool wait) {
  SIMT_SHARED(float, tile, [256]);
  if (blockIdx.x == 0) return;
  const auto i = static_cast<int>(threadIdx.x);
  start_async_copy(&tile[4 * i], &x[4 * i], true);
  commit_async_copies();
  wait_for_async_copies<0>();
  if (wait) __syncthreads();
  y[i] = tile[4 * (63 - i)];
}

TEST_P(Race, missing_barrier_behind_asynchronous_copies) {
  const auto read = [](bool wait) {
    return [wait] {
      alignas(16) float x[256] = {};
      float y[64];
      run(KERNEL(read_copies_of_others), 2, 64, 0, x, y, wait);
    };
  };
  expect_race(read(true), "");
  expect_race(read(false), "read_copies_of_others");
}

// What one warp hands over to another by an mbarrier.
__global__ void hand_over(float* y, bool wait) {
  SIMT_SHARED(float, tile, [32]);
  SIMT_SHARED(uint64_t, full, [1]);
  if (blockIdx.x == 0) return;
  if (threadIdx.x == 0) mbarrier_init(full, 32);
  __syncthreads();
  if (threadIdx.x < 32) {
    tile[threadIdx.x] = 1;
    mbarrier_arrive(full);
  } else {
    if (wait) mbarrier_wait(full, 0);
    y[threadIdx.x] = tile[63 - threadIdx.x];
  }
}

TEST_P(Race, missing_wait_for_an_mbarrier) {
  const auto hand = [](bool wait) {
    return [wait] {
      float y[64];
      run(KERNEL(hand_over), 2, 64, 0, y, wait);
    };
  };
  expect_race(hand(true), "");
  expect_race(hand(false), "hand_over");
}

}  // namespace
}  // namespace sandglass::test
