// Sum over the threads of a block.
#pragma once

#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// Adds up the threads of a one-dimensional block of kThreads, always in the same order; every thread gets the sum.
template <int kThreads>
__device__ double block_sum(double sum) {
  static_assert(kThreads % 32 == 0, "whole warps");
  SIMT_SHARED(double, warp_sums, [kThreads / 32]);
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffff, sum, distance);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = warp_sums[0];
  for (int i = 1; i < kThreads / 32; ++i) sum += warp_sums[i];
  __syncthreads();  // so that the next sum may overwrite them
  return sum;
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
