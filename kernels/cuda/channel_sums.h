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

// A block takes few channels, 32 bytes of doubles side by side, and many rows of them at once: it waits for memory.
constexpr int kPartialColumns = 4, kPartialThreads = 256, kPartialRows = kPartialThreads / kPartialColumns;

/// result[channel] = sum over blocks of partial[block][sum][channel], sum = blockIdx.y; null results are left out.
template <int kSums>
__global__ void __launch_bounds__(kPartialThreads) add_partial_sums(const double* partial, int blocks, int channels,
                                                                    double* result0, double* result1, double* result2) {
  constexpr int kWarps = kPartialThreads / 32;
  SIMT_SHARED(double, tile, [kWarps][kPartialColumns]);
  const int thread = static_cast<int>(threadIdx.x), column = thread % kPartialColumns;
  const int channel = static_cast<int>(blockIdx.x) * kPartialColumns + column, s = static_cast<int>(blockIdx.y);
  double sum = 0;
  if (channel < channels)
#pragma unroll 8
    for (int block = thread / kPartialColumns; block < blocks; block += kPartialRows)
      sum += partial[(int64_t{block} * kSums + s) * channels + channel];
  for (int distance = 16; distance >= kPartialColumns; distance /= 2)
    sum += __shfl_down_sync(0xffffffff, sum, distance);
  if (thread % 32 < kPartialColumns) tile[thread / 32][column] = sum;
  __syncthreads();
  if (thread >= kPartialColumns || channel >= channels) return;
  for (int i = 1; i < kWarps; ++i) sum += tile[i][column];
  double* const result = s == 0 ? result0 : s == 1 ? result1 : result2;
  if (result) result[channel] = sum;
}

template <int kSums>
void launch_add_partial_sums(const double* partial, int blocks, int channels, double* result0, double* result1,
                             double* result2, Stream stream) {
  launch(KERNEL(add_partial_sums<kSums>), dim3((channels + kPartialColumns - 1) / kPartialColumns, kSums),
         kPartialThreads, 0, stream, partial, blocks, channels, result0, result1, result2);
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
    launch_add_partial_sums<kSums>(partial(), static_cast<int>(pass_.grid.x), channels_, result0, result1, result2,
                                   stream);
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
