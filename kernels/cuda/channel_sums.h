// Sums per channel over all pixels, in two kernels and always in the same order:
//
//   a pixel pass, in which each thread adds in double what it sees of its channels; the block's threads are added as a
//   tree
//     -> partial[blockIdx.x][sum][channel]
//   add_partial_sums: the blocks' sums, again strided over threads and then in order
//
// Double, because a variance is the small difference of two large sums where a channel's mean is far from zero. It is
// free on GPUs with fast double arithmetic (sm_80, sm_90: the pass waits for memory), not on those for games (sm_86,
// sm_89).
#pragma once

#include "engine/device.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/pixel_pass.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// Adds up the block's threads and stores the block's sums. All threads of the block call it; `sums` of threads beyond
/// the last channel are ignored.
template <int kSums, int kWidth>
__device__ void store_block_sums(const double (&sums)[kSums][kWidth], int channels, double* partial) {
  SIMT_SHARED(double, tile, [kWidth][kPassThreads]);
  const int columns = static_cast<int>(blockDim.x), rows = static_cast<int>(blockDim.y);
  const int row = static_cast<int>(threadIdx.y), at = row * columns + static_cast<int>(threadIdx.x);
  const int channel = pass_channel<kWidth>();
  int half = 1;
  while (2 * half < rows) half *= 2;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) tile[i][at] = sums[s][i];
    __syncthreads();
    for (int distance = half; distance > 0; distance /= 2) {
      if (row < distance && row + distance < rows)
#pragma unroll
        for (int i = 0; i < kWidth; ++i) tile[i][at] += tile[i][at + distance * columns];
      __syncthreads();
    }
    if (row == 0 && channel < channels) {
      double* const to = partial + (int64_t{blockIdx.x} * kSums + s) * channels + channel;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) to[i] = tile[i][at];
    }
    __syncthreads();
  }
}

constexpr int kPartialColumns = 32, kPartialRows = 8;

/// result[channel] = sum over blocks of partial[block][sum][channel], sum = blockIdx.y; null results are left out.
template <int kSums>
__global__ void __launch_bounds__(kPartialColumns* kPartialRows)
    add_partial_sums(const double* partial, int blocks, int channels, double* result0, double* result1,
                     double* result2) {
  SIMT_SHARED(double, tile, [kPartialRows][kPartialColumns]);
  const int column = static_cast<int>(threadIdx.x), row = static_cast<int>(threadIdx.y);
  const int channel = static_cast<int>(blockIdx.x) * kPartialColumns + column, s = static_cast<int>(blockIdx.y);
  double sum = 0;
  if (channel < channels)
    for (int block = row; block < blocks; block += kPartialRows)
      sum += partial[(int64_t{block} * kSums + s) * channels + channel];
  tile[row][column] = sum;
  __syncthreads();
  if (row != 0 || channel >= channels) return;
  for (int i = 1; i < kPartialRows; ++i) sum += tile[i][column];
  double* const result = s == 0 ? result0 : s == 1 ? result1 : result2;
  if (result) result[channel] = sum;
}

/// The host's side: how the pass is cut (`width`: channels that a thread takes), and the memory between the kernels.
template <int kSums>
class ChannelSums {
 public:
  ChannelSums(Device& device, int64_t pixels, int channels, int width)
      : pass_(pixel_pass(pixels, channels, width, kPixelsPerThread, kMostBlocks)),
        channels_(channels),
        partial_(device, sizeof(double) * pass_.grid.x * kSums * channels) {}

  const PassShape& pass() const { return pass_; }
  double* partial() const { return reinterpret_cast<double*>(partial_.data()); }
  /// After the pass.
  void add_up(double* result0, double* result1, double* result2, Stream stream) const {
    launch(KERNEL(add_partial_sums<kSums>), dim3((channels_ + kPartialColumns - 1) / kPartialColumns, kSums),
           dim3(kPartialColumns, kPartialRows), 0, stream, partial(), static_cast<int>(pass_.grid.x), channels_,
           result0, result1, result2);
  }

 private:
  // Independent of the GPU, so that every GPU adds in the same order. 1024 blocks fill 132 multiprocessors evenly
  // enough.
  static constexpr int64_t kPixelsPerThread = 8, kMostBlocks = 1024;
  PassShape pass_;
  int channels_;
  DeviceMemory partial_;
};

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
