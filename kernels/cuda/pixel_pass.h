// How threads share a pass over an NHWC map of `pixels` rows of `channels`: a thread keeps its channels, so that it
// loads their coefficients once, and goes from pixel to pixel. Neighbouring threads touch neighbouring addresses.
//
//   threadIdx.x: groups of kWidth channels    threadIdx.y: pixels    blockIdx.x: pixels    blockIdx.y: groups beyond
//   256
#pragma once

#include <algorithm>

#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

constexpr int kPassThreads = 256;

struct PassShape {
  dim3 grid, block;
};

/// `pixels_per_thread`: how many a thread takes as long as there are at most `most_blocks` blocks; more beyond.
inline PassShape pixel_pass(int64_t pixels, int channels, int width, int64_t pixels_per_thread,
                            int64_t most_blocks = 0x7fffffff) {
  const int groups = channels / width, columns = std::min(groups, kPassThreads), rows = kPassThreads / columns;
  const int64_t pixels_per_block = rows * pixels_per_thread;
  const int64_t blocks = std::clamp<int64_t>((pixels + pixels_per_block - 1) / pixels_per_block, 1, most_blocks);
  return {dim3(static_cast<unsigned>(blocks), (groups + columns - 1) / columns), dim3(columns, rows)};
}

/// First channel of the thread; may be beyond the last.
template <int kWidth>
__device__ __forceinline__ int pass_channel() {
  return static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * kWidth;
}
__device__ __forceinline__ int64_t pass_first_pixel() { return int64_t{blockIdx.x} * blockDim.y + threadIdx.y; }
__device__ __forceinline__ int64_t pass_pixel_step() { return int64_t{gridDim.x} * blockDim.y; }

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
