// Convolution on Hopper's tensor cores (sm_90a): implicit GEMM in bfloat16 by TMA and wgmma, warp-specialised.
//
//                      row of D            column of D    summed over    A                      B
//   forward            n, p, q             k              r, s, c        patches of x           weights
//   backward data      n, h, w             c              r, s, k        patches of dy          weights, turned round
//   backward weights   r, s, c             k              n, p, q        patches of x           dy
//
// A block computes a tile of D of 128 rows and kN columns, 64 or 128, in steps of 64 products. It has two warpgroups of
// consumers, each with 64 rows of the tile in its registers, and one warp that produces: a single thread of it starts
// the tensor copies (TMA) of a step's tiles of A and B into the next free stage of shared memory. Two mbarriers a stage
// say that it is full (all bytes have come) and empty (all consumers' warps have read it). Patches are copied by TMA's
// im2col mode, which also puts zeros where a tap is outside of the picture, and beyond the last channel and pixel.
//
// All operands lie in shared memory as 64-row or 64-column blocks of 64 x 64 elements, 128 bytes a row, with 128-byte
// swizzle, where wgmma reads them. With an input transform and a filter of one tap the consumers load their part of A
// by ldmatrix, transform it in registers and give wgmma A in registers. With more taps each element would be
// transformed once a tap: then x is transformed first, into the workspace (TransformFirst).
//
// Finished tiles go through shared memory, where the stages were, to the epilogue of conv_output.h. Two blocks fit on a
// multiprocessor, three with 64 columns, so that one computes while another fills its stages or stores. Where there are
// few tiles the sum is cut into slices, backward weights always, as in conv_tensor_core_cuda.cu.
//
// Limits: the precision bf16 and plain NHWC maps of bfloat16; C and K multiples of 8 and at least 32; square filters,
// up to 64 x 64, that are not padded by more than a filter's size less one; stride up to 8, backward data 1; fewer than
// 2^31 elements a map and H, W, P, Q < 2^14; C <= 1024 with an input transform and one tap; everything at multiples of
// 16 bytes. make_sm90_conv returns null for other shapes: the first convolution (C = 3) and the last (K = the number of
// AUs) are among them.
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv/conv_output.h"
#include "kernels/conv/conv_sm90.h"
#include "kernels/cuda/divisor.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/mma.h"
#include "kernels/cuda/tensor_map.h"
#include "kernels/cuda/wgmma.h"
#ifndef __CUDACC__
#include "kernels/simt/architecture.h"
#endif

#if !SANDGLASS_SM90A
#pragma nv_diag_suppress 177  // what the kernels do not use where they are empty
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {
namespace {

constexpr int kWarpgroup = 128, kWarpgroups = 2, kConsumers = kWarpgroups * kWarpgroup, kThreads = kConsumers + 32;
template <int kN>
constexpr int kBlocksPerMultiprocessor = kN == 64 ? 3 : 2;
// A block of an operand: 64 rows of 128 bytes, or 64 elements. A step's products, a warpgroup's rows of D.
constexpr int kSide = 64, kRowBytes = 128, kBlockBytes = kSide * kRowBytes;
constexpr int kRows = kWarpgroups * kSide;
// wgmma and ldmatrix take a step in parts of 16 products.
constexpr int kParts = kSide / 16, kMostTransformed = 1024;

// The stages of shared memory: A's two blocks, then B's.
template <int kN>
struct Stages {
  static constexpr int kBytes = (kWarpgroups + kN / kSide) * kBlockBytes, kCount = 3;
  static constexpr int kB = kWarpgroups * kBlockBytes;
};

// Where a block's rows and steps lie in the map that is convolved.
struct Window {
  int channels = 0, padded_channels = 0;  // of the map; padded to whole blocks
  int filter = 1, stride = 1, padding = 0;
  int pixels = 0;                                          // n, p, q of the grid that sees the map
  Divisor per_picture, per_row, blocks_per_tap, tap_side;  // p*q, q, blocks of 64 channels, filter
};

// A block of 64 channels of a tap.
struct TapBlock {
  int r, s, channel;
};
__device__ __forceinline__ TapBlock find_tap(const Window& window, int index) {
  int s = window.blocks_per_tap.divide(index);
  const int r = window.tap_side.divide(s);
  return {r, s, index * kSide};
}

// What the first tap of a pixel's patch meets.
struct Corner {
  int n, h, w;
};
__device__ __forceinline__ Corner find_corner(const Window& window, int pixel) {
  const int n = window.per_picture.divide(pixel), p = window.per_row.divide(pixel);
  return {n, p * window.stride - window.padding, pixel * window.stride - window.padding};
}
__device__ __forceinline__ void start_patch_copy(char* shared, const TensorMap& map, uint64_t* full,
                                                 const Corner& corner, const TapBlock& tap) {
  start_im2col_copy(shared, map, full, tap.channel, corner.w, corner.h, corner.n, tap.s, tap.r);
}

// ---- The pipeline --------------------------------------------------------------------------------------------------

template <int kN>
class Pipeline {
 public:
  using Own = Stages<kN>;

  // All threads of the block construct it.
  __device__ __forceinline__ Pipeline(char* memory, uint64_t* full, uint64_t* empty)
      : memory_(memory), full_(full), empty_(empty) {
    if (threadIdx.x == 0) {
#pragma unroll
      for (int i = 0; i < Own::kCount; ++i) {
        mbarrier_init(&full_[i], 1);
        mbarrier_init(&empty_[i], kConsumers / 32);
      }
      fence_mbarrier_init();
    }
    __syncthreads();
  }

  // The thread that produces: `copy(i, stage's memory, barrier)` starts the copies of step i, all bytes of a stage.
  template <typename Copy>
  __device__ __forceinline__ void produce(int steps, const Copy& copy) const {
    for (int i = 0; i < steps; ++i) {
      const int stage = i % Own::kCount;
      mbarrier_wait(&empty_[stage], i / Own::kCount % 2 ^ 1);
      mbarrier_arrive_expecting(&full_[stage], Own::kBytes);
      copy(i, memory_ + stage * Own::kBytes, &full_[stage]);
    }
  }

  // The consumers: the stage of step i, once it is full, and that it has been read.
  __device__ __forceinline__ const char* wait(int i) const {
    const int stage = i % Own::kCount;
    mbarrier_wait(&full_[stage], i / Own::kCount % 2);
    return memory_ + stage * Own::kBytes;
  }
  __device__ __forceinline__ void release(int i) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) mbarrier_arrive(&empty_[i % Own::kCount]);
  }

 private:
  char* memory_;
  uint64_t *full_, *empty_;
};

__device__ __forceinline__ bool is_producer() { return threadIdx.x >= kConsumers; }
__device__ __forceinline__ int warpgroup() { return static_cast<int>(threadIdx.x) / kWarpgroup; }
__device__ __forceinline__ int warp_of_warpgroup() { return static_cast<int>(threadIdx.x) % kWarpgroup / 32; }
__device__ __forceinline__ int lane_of_warp() { return static_cast<int>(threadIdx.x) % 32; }

// The descriptors of a step's A, the warpgroup's block of it, and B for the products 16 part ... 16 part + 15.
// mn-major: blocks of 64 rows or columns.
template <Major kMajorA>
__device__ __forceinline__ uint64_t left_descriptor(const char* stage, int part) {
  return operand_descriptor(stage + warpgroup() * kBlockBytes, part * (kMajorA == Major::k ? 32 : 2048));
}
template <int kN, Major kMajorB>
__device__ __forceinline__ uint64_t right_descriptor(const char* stage, int part) {
  const char* const b = stage + Stages<kN>::kB;
  return kMajorB == Major::k ? operand_descriptor(b, part * 32) : operand_descriptor(b, part * 2048, kBlockBytes);
}

// How many parts of A lie in registers at a time; more would need more registers than the blocks have.
template <int kN>
constexpr int kPartsAtOnce = kN == 64 ? 2 : 1;

template <int kN>
__device__ __forceinline__ void clear(float (&d)[kN / 2]) {
#pragma unroll
  for (int i = 0; i < kN / 2; ++i) d[i] = 0;
}

// D = A B over all steps, both in shared memory. The products of a step run while `visit(stage)` looks at it and while
// the next stage is waited for.
template <int kN, Major kMajorA, Major kMajorB, typename Visit>
__device__ __forceinline__ void multiply_shared(const Pipeline<kN>& pipeline, int steps, const Visit& visit,
                                                float (&d)[kN / 2]) {
  clear<kN>(d);
  for (int i = 0; i < steps; ++i) {
    const char* const stage = pipeline.wait(i);
    wgmma_fence();
#pragma unroll
    for (int part = 0; part < kParts; ++part)
      wgmma<kN, kMajorA, kMajorB>(d, left_descriptor<kMajorA>(stage, part), right_descriptor<kN, kMajorB>(stage, part),
                                  true);
    wgmma_commit();
    visit(stage);
    wgmma_wait<1>();
    if (i > 0) pipeline.release(i - 1);
  }
  wgmma_wait<0>();
}

// The same with A in registers: `a.load(i, stage, part, v)` leaves in v the thread's registers of a part of step i's A
// as wgmma.h says. Products whose A is in registers must be done before others are loaded; meanwhile the block's other
// warpgroup and those of other blocks multiply.
template <int kN, Major kMajorB, typename A, typename Visit>
__device__ __forceinline__ void multiply_registers(const Pipeline<kN>& pipeline, int steps, const A& a,
                                                   const Visit& visit, float (&d)[kN / 2]) {
  clear<kN>(d);
  for (int i = 0; i < steps; ++i) {
    const char* const stage = pipeline.wait(i);
    visit(stage);
#pragma unroll
    for (int first = 0; first < kParts; first += kPartsAtOnce<kN>) {
      uint32_t v[kPartsAtOnce<kN>][4];
#pragma unroll
      for (int j = 0; j < kPartsAtOnce<kN>; ++j) a.load(i, stage, first + j, v[j]);
      wgmma_fence();
#pragma unroll
      for (int j = 0; j < kPartsAtOnce<kN>; ++j)
        wgmma<kN, kMajorB>(d, v[j], right_descriptor<kN, kMajorB>(stage, first + j), true);
      wgmma_commit();
      wgmma_wait<0>();
    }
    pipeline.release(i);
  }
}

// Four matrices of a part of a step: ldmatrix.
template <bool kTransposed>
__device__ __forceinline__ void load_part(uint32_t (&v)[4], const char* row) {
  uint32_t four[1][4];
  const void* const rows[1] = {row};
  load_matrices<kTransposed>(four, rows);
#pragma unroll
  for (int i = 0; i < 4; ++i) v[i] = four[0][i];
}

// Two elements of A, the first in the low half, transformed.
struct Coefficients {
  float scale, shift;
};
__device__ __forceinline__ float transform(float v, const Coefficients& c, bool with_relu) {
  v = v * c.scale + c.shift;
  return with_relu ? relu(v) : v;
}
__device__ __forceinline__ uint32_t transform_pair(uint32_t pair, const Coefficients& low, const Coefficients& high,
                                                   bool with_relu) {
  constexpr uint32_t kHigh = 0xffff0000;
  return pack_pair(transform(as_float(pair << 16), low, with_relu), transform(as_float(pair & kHigh), high, with_relu));
}

// ---- D in shared memory --------------------------------------------------------------------------------------------

template <int kN>
using PixelTile = OutputTile<kRows, kN>;
// Backward weights stores D turned, filters down.
template <int kN>
using FilterTile = OutputTile<kN, kRows>;

// Stores the thread's elements of D in the places of place_in_tile, or turned, columns as rows. The warp's lanes hold
// 8 rows and 8 columns at a time, so that what place_in_tile exchanges depends on the lane, and the rest on i.
template <int kN>
__device__ __forceinline__ void store_sums(const float (&d)[kN / 2], char* memory) {
  constexpr int kTileBytes = kN * static_cast<int>(sizeof(float));
  const int lane = lane_of_warp(), row = warpgroup() * kSide + warp_of_warpgroup() * 16 + lane / 4;
  char* const to = memory + row * kTileBytes;
  const int place = place_in_tile<kTileBytes>(lane / 4, lane % 4 / 2) - lane / 4 * kTileBytes + lane % 2 * 8;
#pragma unroll
  for (int i = 0; i < kN / 2; i += 2)
    *reinterpret_cast<float2*>(to + i / 2 % 2 * 8 * kTileBytes + (place ^ i / 4 * 32)) = float2{d[i], d[i + 1]};
}
template <int kN>
__device__ __forceinline__ void store_turned_sums(const float (&d)[kN / 2], char* memory) {
  constexpr int kTileBytes = kRows * static_cast<int>(sizeof(float));
  const int lane = lane_of_warp(), row = warpgroup() * kSide + warp_of_warpgroup() * 16 + lane / 4;
#pragma unroll
  for (int odd = 0; odd < 2; ++odd)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int column = lane % 4 * 2 + odd;
      char* const to = memory + place_in_tile<kTileBytes>(column, row / 4 + half * 2) + lane / 4 % 4 * 4;
#pragma unroll
      for (int i = 0; i < kN / 8; ++i) *reinterpret_cast<float*>(to + i * 8 * kTileBytes) = d[4 * i + 2 * half + odd];
    }
}

// What D and the epilogue's sums take; the stages lie there before.
template <int kN>
constexpr int kEpilogueBytes =
    PixelTile<kN>::kBytes + Finish<bfloat16, false, kRows, PixelTile<kN>, kThreads>::kSumBytes;
template <int kN>
constexpr int kMemoryBytes = std::max(Stages<kN>::kCount* Stages<kN>::kBytes, kEpilogueBytes<kN>);

// ---- Forward and backward data -------------------------------------------------------------------------------------

// The thread's part of A, transformed. Step i is 64 channels of the only tap.
struct TransformedPixels {
  int first_step;
  const Coefficients* coefficients;
  bool with_relu;

  __device__ __forceinline__ void load(int i, const char* stage, int part, uint32_t (&v)[4]) const {
    const int lane = lane_of_warp(), channel = (first_step + i) * kSide + part * 16 + lane % 4 * 2;
    load_part<false>(v, stage + warpgroup() * kBlockBytes + (warp_of_warpgroup() * 16 + lane % 16) * kRowBytes +
                            ((2 * part + lane / 16) ^ lane % 8) * kChunkBytes);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const Coefficients* const c = coefficients + channel + j / 2 * 8;
      v[j] = transform_pair(v[j], c[0], c[1], with_relu);
    }
  }
};

// D of forward and backward data. `map` is x or dy, copied in patches of 128 pixels; `weights` are [K][taps][C]. Grid:
// tiles, those with the same rows after each other so that these come from the L2 cache; slices of the sum. Dynamic
// shared memory: kMemoryBytes, the coefficients and what swizzle_aligned takes.
template <int kN, bool kBackward, bool kTransform>
__device__ __forceinline__ void multiply_patches(const TensorMap& map, const TensorMap& weights, const Window& window,
                                                 const InputTransform& input, const TileGrid& grid,
                                                 const TileEpilogue& epilogue, float* slices) {
  SIMT_DYNAMIC_SHARED(char, dynamic);
  SIMT_SHARED(uint64_t, full, [Stages<kN>::kCount]);
  SIMT_SHARED(uint64_t, empty, [Stages<kN>::kCount]);
  constexpr Major kMajorB = kBackward ? Major::mn : Major::k;
  char* const memory = swizzle_aligned(dynamic);
  const int tile_row = static_cast<int>(blockIdx.x) / grid.columns,
            tile_column = static_cast<int>(blockIdx.x) % grid.columns, slice = static_cast<int>(blockIdx.y);
  const Steps steps = steps_of_slice(grid, slice);
  auto* const coefficients = reinterpret_cast<Coefficients*>(memory + kMemoryBytes<kN>);
  if constexpr (kTransform)
    for (int c = static_cast<int>(threadIdx.x); c < window.padded_channels; c += kThreads)
      coefficients[c] = c < window.channels ? Coefficients{input.scale[c], input.shift[c]} : Coefficients{0, 0};
  const Pipeline<kN> pipeline(memory, full, empty);

  float d[kN / 2];
  if (threadIdx.x == kConsumers) {
    prefetch_tensor_map(map);
    prefetch_tensor_map(weights);
    const Corner corner = find_corner(window, tile_row * kRows);
    const int column = tile_column * kN, last_tap = window.filter * window.filter - 1;
    pipeline.produce(steps.count, [&](int i, char* stage, uint64_t* barrier) {
      const TapBlock tap = find_tap(window, steps.first + i);
      const int number = tap.r * window.filter + tap.s;
      start_patch_copy(stage, map, barrier, corner, tap);
      char* const b = stage + Stages<kN>::kB;
      if constexpr (kBackward) {
#pragma unroll
        for (int j = 0; j < kN / kSide; ++j)
          start_tensor_copy(b + j * kBlockBytes, weights, barrier, column + j * kSide, last_tap - number, tap.channel);
      } else {
        start_tensor_copy(b, weights, barrier, tap.channel, number, column);
      }
    });
  } else if (!is_producer()) {
    const auto nothing = [](const char*) {};
    if constexpr (kTransform) {
      const TransformedPixels a{steps.first, coefficients, input.relu};
      multiply_registers<kN, kMajorB>(pipeline, steps.count, a, nothing, d);
    } else {
      multiply_shared<kN, Major::k, kMajorB>(pipeline, steps.count, nothing, d);
    }
  }

  __syncwarp();
  __syncthreads();  // all stages have been read
  using Tile = PixelTile<kN>;
  if (!is_producer()) store_sums<kN>(d, memory);
  __syncthreads();
  finish_or_keep<bfloat16, kBackward, Tile, kThreads>(epilogue, grid, tile_row, tile_column, slice, slices, memory);
}

template <int kN, bool kTransform>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor<kN>)
    conv_fprop_wgmma(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap weights,
                     const Window window, const InputTransform input, const TileGrid grid, const TileEpilogue epilogue,
                     float* slices) {
#if SANDGLASS_SM90A
  multiply_patches<kN, false, kTransform>(x, weights, window, input, grid, epilogue, slices);
#endif
}

template <int kN>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor<kN>)
    conv_dgrad_wgmma(const __grid_constant__ TensorMap dy, const __grid_constant__ TensorMap weights,
                     const Window window, const TileGrid grid, const TileEpilogue epilogue, float* slices) {
#if SANDGLASS_SM90A
  multiply_patches<kN, true, false>(dy, weights, window, InputTransform(), grid, epilogue, slices);
#endif
}

// ---- Backward weights ----------------------------------------------------------------------------------------------

// The thread's part of A, transformed: 16 channels for each warp. Beyond the last pixel it is not zero, but dy is.
class TransformedChannels {
 public:
  __device__ __forceinline__ TransformedChannels(const Window& window, int first_channel, const InputTransform& input)
      : with_relu_(input.relu) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int channel = first_channel + warp_of_warpgroup() * 16 + lane_of_warp() / 4 + 8 * i;
      coefficients_[i] =
          channel < window.channels ? Coefficients{input.scale[channel], input.shift[channel]} : Coefficients{0, 0};
    }
  }
  __device__ __forceinline__ void load(int, const char* stage, int part, uint32_t (&v)[4]) const {
    const int lane = lane_of_warp(), chunk = warp_of_warpgroup() * 2 + lane / 8 % 2;
    load_part<true>(v, stage + warpgroup() * kBlockBytes + (part * 16 + lane % 8 + lane / 16 * 8) * kRowBytes +
                           (chunk ^ lane % 8) * kChunkBytes);
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = transform_pair(v[j], coefficients_[j % 2], coefficients_[j % 2], with_relu_);
  }

 private:
  bool with_relu_;
  Coefficients coefficients_[2];
};

// The sum of dy's column `thread` over a step's pixels.
template <int kN>
__device__ __forceinline__ double column_sum(const char* stage) {
  const int column = static_cast<int>(threadIdx.x), chunk = column % kSide / 8;
  const char* const block = stage + Stages<kN>::kB + column / kSide * kBlockBytes;
  double sum = 0;
#pragma unroll 4
  for (int row = 0; row < kSide; ++row) {
    const char* const address = block + row * kRowBytes + (chunk ^ row % 8) * kChunkBytes;
    sum += static_cast<float>(reinterpret_cast<const bfloat16*>(address)[column % 8]);
  }
  return sum;
}

// The slices of dw and, if not null, of db: partial_bias[slice][filter]. `x` is copied in patches of 64 pixels, `dy` is
// [n, p, q][K]. Grid: tiles of the same pixels after each other; slices of the pixels. Dynamic shared memory:
// kMemoryBytes and what swizzle_aligned takes.
template <int kN, bool kTransform>
__global__ void __launch_bounds__(kThreads, kBlocksPerMultiprocessor<kN>)
    conv_wgrad_wgmma(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap dy, const Window window,
                     const InputTransform input, const TileGrid grid, float* slices, double* partial_bias) {
#if SANDGLASS_SM90A
  SIMT_DYNAMIC_SHARED(char, dynamic);
  SIMT_SHARED(uint64_t, full, [Stages<kN>::kCount]);
  SIMT_SHARED(uint64_t, empty, [Stages<kN>::kCount]);
  char* const memory = swizzle_aligned(dynamic);
  const int tile_row = static_cast<int>(blockIdx.x) / grid.columns,
            tile_column = static_cast<int>(blockIdx.x) % grid.columns, slice = static_cast<int>(blockIdx.y),
            thread = static_cast<int>(threadIdx.x);
  const Steps steps = steps_of_slice(grid, slice);
  const Pipeline<kN> pipeline(memory, full, empty);

  float d[kN / 2];
  if (thread == kConsumers) {
    prefetch_tensor_map(x);
    prefetch_tensor_map(dy);
    // The second block may be one behind the last tap: what is computed of it is not used.
    const TapBlock taps[kWarpgroups] = {find_tap(window, tile_column * kWarpgroups),
                                        find_tap(window, tile_column * kWarpgroups + 1)};
    pipeline.produce(steps.count, [&](int i, char* stage, uint64_t* barrier) {
      const int pixel = (steps.first + i) * kSide;
      const Corner corner = find_corner(window, pixel);
#pragma unroll
      for (int j = 0; j < kWarpgroups; ++j) start_patch_copy(stage + j * kBlockBytes, x, barrier, corner, taps[j]);
#pragma unroll
      for (int j = 0; j < kN / kSide; ++j)
        start_tensor_copy(stage + Stages<kN>::kB + j * kBlockBytes, dy, barrier, tile_row * kN + j * kSide, pixel);
    });
  } else if (!is_producer()) {
    const bool sums_bias = partial_bias && tile_column == 0 && thread < kN;
    double bias = 0;
    const auto visit = [&](const char* stage) {
      if (sums_bias) bias += column_sum<kN>(stage);
    };
    if constexpr (kTransform) {
      const TransformedChannels a(window, (tile_column * kWarpgroups + warpgroup()) * kSide, input);
      multiply_registers<kN, Major::mn>(pipeline, steps.count, a, visit, d);
    } else {
      multiply_shared<kN, Major::mn, Major::mn>(pipeline, steps.count, visit, d);
    }
    if (sums_bias) partial_bias[(int64_t{slice} * grid.rows + tile_row) * kN + thread] = bias;
  }

  __syncwarp();
  __syncthreads();  // all stages have been read
  using Tile = FilterTile<kN>;
  if (!is_producer()) store_turned_sums<kN>(d, memory);
  __syncthreads();
  store_slice<Tile, kThreads>(memory, slices + slice_tile<Tile>(grid, slice, tile_row, tile_column));
#endif
}

// ---- The operations ------------------------------------------------------------------------------------------------

constexpr const char* kImplementation = "implicit_gemm_wgmma_bf16";

// The host's side of swizzle_aligned.
constexpr int kAlignment = 1024;

Window window_of(const ConvShape& s, const Shape& map, const Shape& grid) {
  Window result;
  result.channels = map.c, result.padded_channels = parts(map.c, kSide) * kSide;
  result.filter = s.r, result.stride = s.stride, result.padding = s.padding;
  result.pixels = static_cast<int>(grid.pixels());
  result.per_picture = Divisor(grid.h * grid.w), result.per_row = Divisor(grid.w);
  result.blocks_per_tap = Divisor(result.padded_channels / kSide), result.tap_side = Divisor(s.r);
  return result;
}

// Backward data is the forward convolution of dy with the filter turned round.
ConvShape turned(ConvShape s) {
  s.padding = s.r - 1 - s.padding;
  return s;
}

int steps_of(const Window& window) { return window.filter * window.filter * (window.padded_channels / kSide); }

// Forward, or backward data.
template <int kN, bool kBackward>
class PixelGemm {
 public:
  PixelGemm(const ConvShape& s, const TensorDesc& from, const TensorDesc& to, DataType weights, bool sums)
      : shape_(kBackward ? turned(s) : s),
        map_(from.shape),
        weights_type_(weights),
        rows_(static_cast<int>(to.shape.pixels())),
        columns_(to.shape.c),
        window_(window_of(shape_, from.shape, to.shape)),
        grid_(cut_sum(parts(rows_, kRows), parts(columns_, kN), steps_of(window_), kEnoughTiles, kLeastSteps)),
        sums_(grid_, columns_, sums) {}

  std::string implementation() const { return kImplementation; }
  size_t workspace_bytes() const { return sums_.workspace_bytes(); }
  size_t packed_weight_bytes() const {
    return weights_type_ != DataType::bfloat16 ? sizeof(bfloat16) * shape_.weight_elements() : 0;
  }
  void pack_weights(const void* weights, void* packed, Stream stream) const {
    round_weights<bfloat16>(weights, static_cast<int>(shape_.weight_elements()), packed, stream);
  }

  void run(const char* name, const void* map, const void* weights, const InputTransform& transform,
           const Epilogue& terms, double* sum, double* sum_of_products, void* workspace, Stream stream) const {
    check_chunks(name, {map, weights, terms.out, terms.addend, terms.z});
    const ConvShape& s = shape_;
    const TensorMap patches = im2col_tensor_map(map, map_, s.r, s.stride, s.padding, kRows);
    const TensorMap filters = tiled_tensor_map(weights, {s.c, s.r * s.s, s.k}, {kSide, 1, kBackward ? kSide : kN});
    TileEpilogue epilogue{terms, rows_, columns_};
    epilogue.partial = sums_.partial(workspace);
    const dim3 blocks(grid_.rows * grid_.columns, grid_.slices);
    constexpr int kBytes = kAlignment + kMemoryBytes<kN>;
    float* const slices = sums_.slices(workspace);
    if constexpr (kBackward)
      launch(KERNEL(conv_dgrad_wgmma<kN>), blocks, kThreads, kBytes, stream, patches, filters, window_, grid_, epilogue,
             slices);
    else if (transform.scale)
      launch(KERNEL(conv_fprop_wgmma<kN, true>), blocks, kThreads,
             kBytes + sizeof(Coefficients) * window_.padded_channels, stream, patches, filters, window_, transform,
             grid_, epilogue, slices);
    else
      launch(KERNEL(conv_fprop_wgmma<kN, false>), blocks, kThreads, kBytes, stream, patches, filters, window_,
             transform, grid_, epilogue, slices);
    sums_.add_up(epilogue, sum, sum_of_products, workspace, stream);
  }

 private:
  // As on sm_80: tiles that nearly fill an H100, two blocks a multiprocessor, and least steps of a slice.
  static constexpr int kEnoughTiles = 256, kLeastSteps = 4;

  ConvShape shape_;
  Shape map_;
  DataType weights_type_;
  int rows_, columns_;
  Window window_;
  TileGrid grid_;
  OutputSums<bfloat16, kBackward, PixelTile<kN>> sums_;
};

template <int kN>
using Forward = GemmForward<PixelGemm<kN, false>>;
template <int kN>
using BackwardData = GemmBackwardData<PixelGemm<kN, true>>;

template <int kN>
class BackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeights(const ConvBackwardWeights& spec)
      : spec_(spec),
        window_(window_of(spec.shape, spec.x.shape, spec.dy.shape)),
        grid_(cut_sum(parts(spec.shape.k, kN), parts(steps_of(window_), kWarpgroups), parts(window_.pixels, kSide),
                      kEnoughTiles, kLeastSteps)),
        sums_({spec.shape.k, spec.shape.r * spec.shape.s, spec.shape.c, window_.padded_channels, 0, 1, 0}, grid_,
              spec.bias) {}
  std::string implementation() const override { return kImplementation; }
  size_t workspace_bytes() const override { return sums_.workspace_bytes(); }
  void run(const ConvBackwardWeightsArguments& a, Stream stream) override {
    check_chunks(ConvBackwardWeights::kName, {a.x, a.dy});
    const ConvShape& s = spec_.shape;
    const TensorMap x = im2col_tensor_map(a.x, spec_.x.shape, s.r, s.stride, s.padding, kSide);
    const TensorMap dy = tiled_tensor_map(a.dy, {s.k, window_.pixels}, {kSide, kSide});
    const auto multiply = [&](const auto& kernel) {
      launch(kernel, dim3(grid_.rows * grid_.columns, grid_.slices), kThreads, kAlignment + kMemoryBytes<kN>, stream, x,
             dy, window_, a.transform, grid_, sums_.slices(a.workspace), sums_.partial_bias(a.workspace));
    };
    if (spec_.input_transform)
      multiply(KERNEL(conv_wgrad_wgmma<kN, true>));
    else
      multiply(KERNEL(conv_wgrad_wgmma<kN, false>));
    sums_.add_up(a.workspace, a.dw, a.db, stream);
  }

 private:
  static constexpr int kEnoughTiles = 256, kLeastSteps = 8;

  ConvBackwardWeights spec_;
  Window window_;
  TileGrid grid_;
  WeightSums<FilterTile<kN>> sums_;
};

// What a convolution with an input transform is here where the filter has more than one tap: batch norm's pass over x,
// rounded as the operand would be, and the convolution of the result.
template <typename Spec>
class TransformFirst : public Spec::Operation {
 public:
  TransformFirst(Device& device, Spec spec)
      : map_bytes_(parts(spec.x.bytes(), kWorkspaceUnit) * size_t{kWorkspaceUnit}) {
    for (const bool relu : {false, true}) apply_[relu] = make_operation(device, BatchNormApply{spec.x, relu});
    spec.input_transform = false;
    conv_ = make_sm90_conv(device, spec);
  }
  std::string implementation() const override { return conv_->implementation(); }
  size_t workspace_bytes() const override { return map_bytes_ + conv_->workspace_bytes(); }
  void run(const typename Spec::Arguments& arguments, Stream stream) override {
    const InputTransform& t = arguments.transform;
    const BatchNormApplyArguments pass{arguments.x, t.scale, t.shift, arguments.workspace};
    apply_[t.relu]->run(pass, stream);
    auto a = arguments;
    a.x = arguments.workspace;
    a.transform = {};
    a.workspace = static_cast<char*>(arguments.workspace) + map_bytes_;
    conv_->run(a, stream);
  }

 protected:
  std::unique_ptr<typename Spec::Operation> conv_;

 private:
  static constexpr int kWorkspaceUnit = 64;

  size_t map_bytes_;
  std::unique_ptr<BatchNormApply::Operation> apply_[2];  // without and with ReLU
};

class TransformFirstForward final : public TransformFirst<ConvForward> {
 public:
  using TransformFirst::TransformFirst;
  size_t packed_weight_bytes() const override { return conv_->packed_weight_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream stream) override {
    conv_->pack_weights(weights, packed, stream);
  }
};

// ---- Dispatch ------------------------------------------------------------------------------------------------------

#ifdef __CUDACC__
// Of the code that the current GPU runs: only a GPU of sm_90 takes that for sm_90a.
__device__ bool has_wgmma = SANDGLASS_SM90A;
#endif

bool runs_wgmma() {
#ifdef __CUDACC__
  bool result = false;
  if (cudaMemcpyFromSymbol(&result, has_wgmma, sizeof(result)) != cudaSuccess) cudaGetLastError();
  return result;
#else
  return simt::architecture() == simt::Architecture::sm_90;
#endif
}

bool fits(const TensorDesc& map) {
  constexpr int kLeastChannels = 32, kMultiple = 8, kMostAcross = 1 << 14;
  return map.type == DataType::bfloat16 && map.block == map.shape.c && map.shape.c >= kLeastChannels &&
         map.shape.c % kMultiple == 0 && map.elements() < (size_t{1} << 31) && map.shape.h < kMostAcross &&
         map.shape.w < kMostAcross;
}

bool fits(const Device& device, const ConvShape& s, const TensorDesc& x, const TensorDesc& y, bool transform) {
  constexpr int kMostFilter = 64, kMostStride = 8;
  return device.precision() == Precision::bf16 && s.r == s.s && s.r <= kMostFilter && s.padding < s.r &&
         s.stride <= kMostStride && fits(x) && fits(y) && (!transform || s.r > 1 || s.c <= kMostTransformed) &&
         runs_wgmma();
}

// Conv<128> or, where that would be half empty, Conv<64>.
template <template <int> typename Conv, typename Spec>
std::unique_ptr<typename Spec::Operation> make(const Spec& spec, int columns) {
  if (columns <= 64) return std::make_unique<Conv<64>>(spec);
  return std::make_unique<Conv<128>>(spec);
}

}  // namespace

std::unique_ptr<ConvForward::Operation> make_sm90_conv(Device& device, const ConvForward& spec) {
  if (!fits(device, spec.shape, spec.x, spec.y, spec.input_transform)) return nullptr;
  if (spec.input_transform && spec.shape.r > 1) return std::make_unique<TransformFirstForward>(device, spec);
  return make<Forward>(spec, spec.shape.k);
}

std::unique_ptr<ConvBackwardData::Operation> make_sm90_conv(Device& device, const ConvBackwardData& spec) {
  if (spec.shape.stride != 1 || !fits(device, spec.shape, spec.dx, spec.dy, false)) return nullptr;
  return make<BackwardData>(spec, spec.shape.c);
}

std::unique_ptr<ConvBackwardWeights::Operation> make_sm90_conv(Device& device, const ConvBackwardWeights& spec) {
  if (!fits(device, spec.shape, spec.x, spec.dy, spec.input_transform)) return nullptr;
  if (spec.input_transform && spec.shape.r > 1)
    return std::make_unique<TransformFirst<ConvBackwardWeights>>(device, spec);
  return make<BackwardWeights>(spec, spec.shape.k);
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
