// How threads share a pass over the 2x2 windows of an NHWC map: a thread takes a window's pixels in its channels.
//
//   threadIdx.x: groups of kWidth channels    threadIdx.y: windows of a row
//   blockIdx.x: rows of windows of all pictures    blockIdx.y: windows of a row beyond    blockIdx.z: groups beyond 256
#pragma once

#include <algorithm>

#include "kernels/cuda/pixel_pass.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// `rows`: rows of windows of all pictures together; `columns`: windows in a row.
inline PassShape window_pass(int64_t rows, int columns, int channels, int width) {
  const int groups = channels / width, across = std::min(groups, kPassThreads);
  const int along = std::min(columns, kPassThreads / across);
  return {dim3(static_cast<unsigned>(rows), (columns + along - 1) / along, (groups + across - 1) / across),
          dim3(across, along)};
}

/// First channel of the thread; may be beyond the last.
template <int kWidth>
__device__ __forceinline__ int window_channel() {
  return static_cast<int>(blockIdx.z * blockDim.x + threadIdx.x) * kWidth;
}
/// The thread's window in its row; may be beyond the last.
__device__ __forceinline__ int window_column() { return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); }

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
