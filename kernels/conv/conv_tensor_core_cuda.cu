// Convolution on tensor cores (sm_80 and up): implicit GEMM in bfloat16, or in tf32 on float maps.
//
//                      row of D    column of D    summed over    A                B
//   forward            n, p, q     k              r, s, c        patches of x     weights
//   backward data      n, h, w     c              r, s, k        patches of dy    weights, filter turned round
//   backward weights   k           r, s, c        n, p, q        dy               patches of x
//
// A block of four warps computes a tile of D, 128 x 64 (backward weights: 64 x 128), each warp 64 x 32 of it, in steps
// of 64 (tf32: 32) products. The tiles of A and B of three steps are in shared memory: cp.async fills one while the
// tensor cores read another. The input transform is applied by each thread to the chunks that it has copied itself,
// after its wait and before the barrier, so that it costs no synchronisation of its own; what is outside of the picture
// stays zero. Finished tiles go through shared memory to 128-bit stores, on the way through bias, residual, ReLU, mask
// and the sums per channel (double, of the stored numbers).
//
// Where there are few tiles, the sum is cut into slices, one for each blockIdx.z, whose results are added in order by a
// second kernel; backward weights always.
//
// The network's first convolution (7x7, stride 2, C = 3) reads pictures of 4 channels: a row of the filter is 7 pixels
// of 4 channels, which lie side by side. Read from one pixel further left, so that it begins at a multiple of 16 bytes,
// a row is one tap of 32 "channels"; its weights are packed to match, with zeros.
//
// Limits: plain NHWC maps of the operands' type; C and K multiples of 8 (tf32: 4); fewer than 2^31 elements a map and
// H, W, P, Q < 2^14; backward data with stride 1; the first convolution with even W and without transform; everything
// at multiples of 16 bytes. make_tensor_core_conv returns null for other shapes.
#include <functional>

#include "engine/bfloat16.h"
#include "kernels/conv/conv_output.h"
#include "kernels/conv/conv_tensor_core.h"
#include "kernels/cuda/cp_async.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/divisor.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/mma.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {
namespace {

constexpr int kThreads = 128, kWarpRows = 64, kWarpColumns = 32, kStages = 3;
// A step takes as many elements of the sum as 128 bytes hold.
constexpr int kStepBytes = 128;
template <typename T>
constexpr int kDepth = kStepBytes / static_cast<int>(sizeof(T));

// The tile of D that a block computes.
template <int kTileRows, int kTileColumns>
struct TileShape : OutputTile<kTileRows, kTileColumns> {
  static constexpr int kLeftBytes = kTileRows * kStepBytes, kStageBytes = (kTileRows + kTileColumns) * kStepBytes;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kTileRows / kWarpRows * (kTileColumns / kWarpColumns) * 32 == kThreads);
};
using PixelTile = TileShape<128, 64>;
using FilterTile = TileShape<64, 128>;

// ---- Operands in global memory -------------------------------------------------------------------------------------

// A map seen as a matrix of patches: a row for each pixel (n, p, q) of a grid, and in it the elements (r, s, c) of the
// map's pixels (p*stride + r - padding_h, q*stride + s - padding_w).
struct Patches {
  const void* map = nullptr;
  int h = 0, w = 0;        // of the map
  int pixel_elements = 0;  // from one pixel to the next
  int tap_elements = 0;    // of a tap that lie side by side: pixel_elements, or a row of the first filter
  int stride = 1, padding_h = 0, padding_w = 0;
  int pixels = 0;                                 // rows of the matrix
  int elements = 0;                               // columns of the matrix
  Divisor per_picture, per_row, per_tap, across;  // p*q, q, tap_elements, taps in a row of the filter
};

// Where a patch begins in the map: its first element, which may lie outside, and that element's coordinates.
struct Corner {
  int offset, h, w;
};

__device__ __forceinline__ Corner find_corner(const Patches& patches, int pixel) {
  constexpr int kNowhere = -(1 << 15);
  if (pixel >= patches.pixels) return {0, kNowhere, 0};
  int q = pixel;
  const int n = patches.per_picture.divide(q), p = patches.per_row.divide(q);
  const int h = p * patches.stride - patches.padding_h, w = q * patches.stride - patches.padding_w;
  return {((n * patches.h + h) * patches.w + w) * patches.pixel_elements, h, w};
}

// Some elements of a tap, relative to the patch's corner; h is nowhere if they are beyond the matrix.
struct Tap {
  int offset, h, w, c;
};

// kPicture: the tap is a row of the filter over pictures of 4 channels.
template <bool kPicture>
__device__ __forceinline__ Tap find_tap(const Patches& patches, int element) {
  constexpr int kNowhere = 1 << 20;  // beyond every picture from every corner
  if (element >= patches.elements) return {0, kNowhere, 0, 0};
  int c = element;
  int s = patches.per_tap.divide(c);
  const int r = patches.across.divide(s);
  return {(r * patches.w + s) * patches.pixel_elements + c, r, kPicture ? c / 4 : s, c};
}

__device__ __forceinline__ bool is_inside(const Patches& patches, const Corner& corner, const Tap& tap) {
  return static_cast<unsigned>(corner.h + tap.h) < static_cast<unsigned>(patches.h) &&
         static_cast<unsigned>(corner.w + tap.w) < static_cast<unsigned>(patches.w);
}

// The weights as they lie in memory: [filter][tap][c].
struct Weights {
  const void* data = nullptr;
  int filters = 0, taps = 0, channels = 0;
  Divisor per_tap;  // filters
};

// The chunks of a tile that a thread copies: one column of them, and of that every kStep-th row.
template <int kTileRows, int kRowBytes>
struct Share {
  static constexpr int kChunks = kRowBytes / kChunkBytes, kStep = kThreads / kChunks, kCount = kTileRows / kStep;
  __device__ static int chunk() { return static_cast<int>(threadIdx.x) % kChunks; }
  __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / kChunks + i * kStep; }
  __device__ static int place(int i) { return place_in_tile<kRowBytes>(row(i), chunk()); }
};

template <typename T>
__device__ __forceinline__ void transform_chunk(char* shared, const Channels<kVector<T>>& scale,
                                                const Channels<kVector<T>>& shift, bool with_relu) {
  Channels<kVector<T>> v = load_chunk(reinterpret_cast<const T*>(shared));
#pragma unroll
  for (int i = 0; i < kVector<T>; ++i) {
    v.v[i] = v.v[i] * scale.v[i] + shift.v[i];
    if (with_relu) v.v[i] = relu(v.v[i]);
  }
  store_chunk(reinterpret_cast<T*>(shared), v);
}

// The operands. Each is constructed by a thread for its block's rows or columns of D from `first`, and copies the
// thread's share of the tile of a step. kDepthMajor: the tile's rows are rows or columns of D, and what is summed over
// lies side by side; otherwise the other way round.

// Forward's x and backward data's dy: rows are pixels.
template <typename T, int kExtent, bool kPicture>
class PatchRows {
 public:
  static constexpr bool kDepthMajor = true;
  using Thread = Share<kExtent, kStepBytes>;

  __device__ PatchRows(const Patches& patches, int first) : patches_(patches) {
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i) {
      const Corner corner = find_corner(patches, first + Thread::row(i));
      offset_[i] = corner.offset;
      place_[i] = corner.h * (1 << 16) | (corner.w & 0xffff);
    }
  }
  __device__ __forceinline__ void copy(char* tile, int step) const {
    const Tap tap = find_tap<kPicture>(patches_, element(step));
    const T* const map = static_cast<const T*>(patches_.map);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i) {
      const bool inside = is_inside(patches_, corner(i), tap);
      start_async_copy(tile + Thread::place(i), map + (inside ? offset_[i] + tap.offset : 0), inside);
    }
  }
  __device__ __forceinline__ void transform(char* tile, int step, const InputTransform& transform) const {
    const Tap tap = find_tap<kPicture>(patches_, element(step));
    const auto scale = load_coefficients<kVector<T>>(transform.scale + tap.c),
               shift = load_coefficients<kVector<T>>(transform.shift + tap.c);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i)
      if (is_inside(patches_, corner(i), tap))
        transform_chunk<T>(tile + Thread::place(i), scale, shift, transform.relu);
  }

 private:
  __device__ static int element(int step) { return step * kDepth<T> + Thread::chunk() * kVector<T>; }
  __device__ __forceinline__ Corner corner(int i) const {
    return {offset_[i], place_[i] >> 16, static_cast<int16_t>(place_[i])};
  }

  const Patches& patches_;
  int offset_[Thread::kCount], place_[Thread::kCount];  // h and w of the corner in 16 bits each
};

// Forward's weights: rows are filters.
template <typename T, int kExtent>
class FilterRows {
 public:
  static constexpr bool kDepthMajor = true;
  using Thread = Share<kExtent, kStepBytes>;

  __device__ FilterRows(const Weights& weights, int first) : weights_(weights), first_(first) {}
  __device__ __forceinline__ void copy(char* tile, int step) const {
    const int elements = weights_.taps * weights_.channels;
    const int element = step * kDepth<T> + Thread::chunk() * kVector<T>;
    const T* const data = static_cast<const T*>(weights_.data);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i) {
      const int filter = first_ + Thread::row(i);
      const bool inside = filter < weights_.filters && element < elements;
      start_async_copy(tile + Thread::place(i), data + (inside ? filter * elements + element : 0), inside);
    }
  }

 private:
  const Weights& weights_;
  int first_;
};

// Backward data's weights: rows are (tap, filter), taps from the last to the first; columns are channels.
template <typename T, int kExtent>
class TurnedFilters {
 public:
  static constexpr bool kDepthMajor = false;
  using Thread = Share<kDepth<T>, kExtent* static_cast<int>(sizeof(T))>;

  __device__ TurnedFilters(const Weights& weights, int first)
      : weights_(weights), channel_(first + Thread::chunk() * kVector<T>) {}
  __device__ __forceinline__ void copy(char* tile, int step) const {
    const T* const data = static_cast<const T*>(weights_.data);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i) {
      int filter = step * kDepth<T> + Thread::row(i);
      const int tap = weights_.taps - 1 - weights_.per_tap.divide(filter);
      const bool inside = tap >= 0 && channel_ < weights_.channels;
      start_async_copy(tile + Thread::place(i),
                       data + (inside ? (filter * weights_.taps + tap) * weights_.channels + channel_ : 0), inside);
    }
  }

 private:
  const Weights& weights_;
  int channel_;
};

// Backward weights' dy: rows are pixels, columns are filters.
template <typename T, int kExtent>
class PixelChannels {
 public:
  static constexpr bool kDepthMajor = false;
  using Thread = Share<kDepth<T>, kExtent* static_cast<int>(sizeof(T))>;

  __device__ PixelChannels(const Patches& pixels, int first)
      : pixels_(pixels), channel_(first + Thread::chunk() * kVector<T>) {}
  __device__ __forceinline__ void copy(char* tile, int step) const {
    const T* const map = static_cast<const T*>(pixels_.map);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i) {
      const int pixel = step * kDepth<T> + Thread::row(i);
      const bool inside = pixel < pixels_.pixels && channel_ < pixels_.elements;
      start_async_copy(tile + Thread::place(i), map + (inside ? pixel * pixels_.elements + channel_ : 0), inside);
    }
  }

 private:
  const Patches& pixels_;
  int channel_;
};

// Backward weights' x: rows are pixels, columns are elements of their patches.
template <typename T, int kExtent, bool kPicture>
class PatchColumns {
 public:
  static constexpr bool kDepthMajor = false;
  using Thread = Share<kDepth<T>, kExtent* static_cast<int>(sizeof(T))>;

  __device__ PatchColumns(const Patches& patches, int first)
      : patches_(patches), tap_(find_tap<kPicture>(patches, first + Thread::chunk() * kVector<T>)) {}
  __device__ __forceinline__ void copy(char* tile, int step) const {
    const T* const map = static_cast<const T*>(patches_.map);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i) {
      const Corner corner = find_corner(patches_, step * kDepth<T> + Thread::row(i));
      const bool inside = is_inside(patches_, corner, tap_);
      start_async_copy(tile + Thread::place(i), map + (inside ? corner.offset + tap_.offset : 0), inside);
    }
  }
  __device__ __forceinline__ void transform(char* tile, int step, const InputTransform& transform) const {
    const auto scale = load_coefficients<kVector<T>>(transform.scale + tap_.c),
               shift = load_coefficients<kVector<T>>(transform.shift + tap_.c);
#pragma unroll
    for (int i = 0; i < Thread::kCount; ++i)
      if (is_inside(patches_, find_corner(patches_, step * kDepth<T> + Thread::row(i)), tap_))
        transform_chunk<T>(tile + Thread::place(i), scale, shift, transform.relu);
  }

 private:
  const Patches& patches_;
  Tap tap_;
};

// ---- The product of a block's tiles --------------------------------------------------------------------------------

// Fragments of a step's part `part` (of 32 bytes of the sum) of the warp's rows or columns from `first`.
template <typename T, bool kDepthMajor, int kExtent>
__device__ __forceinline__ void load_left(const char* tile, int first, int part, LeftFragments<kWarpRows>& left) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  constexpr int kTiles = kWarpRows / 16, kRowBytes = kDepthMajor ? kStepBytes : kExtent * static_cast<int>(sizeof(T));
  if constexpr (kDepthMajor || sizeof(T) == 2) {
    const void* rows[kTiles];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const int row = first + 16 * i;
      rows[i] =
          tile + (kDepthMajor ? place_in_tile<kRowBytes>(row + lane % 16, 2 * part + lane / 16)
                              : place_in_tile<kRowBytes>(16 * part + lane % 8 + lane / 16 * 8, row / 8 + lane / 8 % 2));
    }
    load_matrices<!kDepthMajor>(left.v, rows);
  } else {
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int row = first + 16 * i + lane / 4 + 8 * (j % 2), depth = 8 * part + lane % 4 + 4 * (j / 2);
        left.v[i][j] =
            *reinterpret_cast<const uint32_t*>(tile + place_in_tile<kRowBytes>(depth, row / 4) + row % 4 * 4);
      }
  }
  if constexpr (sizeof(T) == 4)
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) left.v[i][j] = round_to_tf32(left.v[i][j]);
}

template <typename T, bool kDepthMajor, int kExtent>
__device__ __forceinline__ void load_right(const char* tile, int first, int part, RightFragments<kWarpColumns>& right) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  constexpr int kTiles = kWarpColumns / 16,
                kRowBytes = kDepthMajor ? kStepBytes : kExtent * static_cast<int>(sizeof(T));
  if constexpr (kDepthMajor || sizeof(T) == 2) {
    const void* rows[kTiles];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const int column = first + 16 * i;
      rows[i] =
          tile + (kDepthMajor ? place_in_tile<kRowBytes>(column + lane % 8 + lane / 16 * 8, 2 * part + lane / 8 % 2)
                              : place_in_tile<kRowBytes>(16 * part + lane % 16, column / 8 + lane / 16));
    }
    load_matrices<!kDepthMajor>(right.v, rows);
  } else {
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int column = first + 16 * i + 8 * (j / 2) + lane / 4, depth = 8 * part + lane % 4 + 4 * (j % 2);
        right.v[i][j] =
            *reinterpret_cast<const uint32_t*>(tile + place_in_tile<kRowBytes>(depth, column / 4) + column % 4 * 4);
      }
  }
  if constexpr (sizeof(T) == 4)
#pragma unroll
    for (int i = 0; i < kTiles; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) right.v[i][j] = round_to_tf32(right.v[i][j]);
}

// The warp's place in the block's tile.
template <typename Tile>
__device__ __forceinline__ int warp_row() {
  return static_cast<int>(threadIdx.x) / 32 / (Tile::kColumns / kWarpColumns) * kWarpRows;
}
template <typename Tile>
__device__ __forceinline__ int warp_column() {
  return static_cast<int>(threadIdx.x) / 32 % (Tile::kColumns / kWarpColumns) * kWarpColumns;
}

// Leaves the tile of D in shared memory, as kRows x kColumns floats in the places of place_in_tile. `transformed` is
// the operand, left or right, that the transform, if there is one, is applied to. `look(left tile)` is called once for
// each step between barriers.
template <typename T, typename Tile, bool kTransformsLeft, typename Left, typename Right, typename Look>
__device__ __forceinline__ void multiply_tiles(const Left& left, const Right& right, const InputTransform& transform,
                                               Steps steps, char* shared, const Look& look) {
  Accumulators<kWarpRows, kWarpColumns> sum;
#pragma unroll
  for (int i = 0; i < kWarpRows / 16; ++i)
#pragma unroll
    for (int j = 0; j < kWarpColumns / 8; ++j)
#pragma unroll
      for (int m = 0; m < 4; ++m) sum.v[i][j][m] = 0;

  const auto copy_step = [&](int i) {
    if (i < steps.count) {
      char* const stage = shared + i % kStages * Tile::kStageBytes;
      left.copy(stage, steps.first + i);
      right.copy(stage + Tile::kLeftBytes, steps.first + i);
    }
    commit_async_copies();
  };
  for (int i = 0; i < kStages - 1; ++i) copy_step(i);
  for (int i = 0; i < steps.count; ++i) {
    char* const stage = shared + i % kStages * Tile::kStageBytes;
    wait_for_async_copies<kStages - 2>();
    if (transform.scale) {
      if constexpr (kTransformsLeft)
        left.transform(stage, steps.first + i, transform);
      else
        right.transform(stage + Tile::kLeftBytes, steps.first + i, transform);
    }
    __syncthreads();
    copy_step(i + kStages - 1);  // into the stage that all warps have read before the barrier
#pragma unroll
    for (int part = 0; part < kStepBytes / 32; ++part) {
      LeftFragments<kWarpRows> a;
      RightFragments<kWarpColumns> b;
      load_left<T, Left::kDepthMajor, Tile::kRows>(stage, warp_row<Tile>(), part, a);
      load_right<T, Right::kDepthMajor, Tile::kColumns>(stage + Tile::kLeftBytes, warp_column<Tile>(), part, b);
      multiply_add<T>(sum, a, b);
    }
    look(stage);
  }

  wait_for_async_copies<0>();
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < kWarpRows / 16; ++i)
#pragma unroll
    for (int j = 0; j < kWarpColumns / 8; ++j)
#pragma unroll
      for (int m = 0; m < 4; m += 2) {
        const int row = warp_row<Tile>() + 16 * i + lane / 4 + 4 * m,
                  column = warp_column<Tile>() + 8 * j + lane % 4 * 2;
        auto* const to =
            reinterpret_cast<float2*>(shared + place_in_tile<Tile::kColumns * 4>(row, column / 4) + column % 4 * 4);
        *to = float2{sum.v[i][j][m], sum.v[i][j][m + 1]};
      }
  __syncthreads();
}

// ---- What becomes of D: forward and backward data ------------------------------------------------------------------

// Ends forward and backward data. The block's tile is blockIdx.
template <typename T, bool kBackward>
__device__ __forceinline__ void finish_or_keep(const TileEpilogue& epilogue, const TileGrid& grid, float* slices,
                                               char* shared) {
  static_assert(PixelTile::kBytes + Finish<T, kBackward, PixelTile::kRows, PixelTile, kThreads>::kSumBytes <=
                PixelTile::kSharedBytes);
  finish_or_keep<T, kBackward, PixelTile, kThreads>(epilogue, grid, static_cast<int>(blockIdx.x),
                                                    static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z), slices,
                                                    shared);
}

// D of forward. Grid: tiles of rows, tiles of columns, slices of the sum.
template <typename T, bool kPicture>
__global__ void __launch_bounds__(kThreads)
    conv_fprop_implicit_gemm(const Patches x, const Weights weights, InputTransform transform, const TileGrid grid,
                             const TileEpilogue epilogue, float* slices) {
  SIMT_DYNAMIC_SHARED(char, shared);
  using Tile = PixelTile;
  const PatchRows<T, Tile::kRows, kPicture> left(x, static_cast<int>(blockIdx.x) * Tile::kRows);
  const FilterRows<T, Tile::kColumns> right(weights, static_cast<int>(blockIdx.y) * Tile::kColumns);
  multiply_tiles<T, Tile, true>(left, right, transform, steps_of_slice(grid, static_cast<int>(blockIdx.z)), shared,
                                [](const char*) {});
  finish_or_keep<T, false>(epilogue, grid, slices, shared);
}

// D of backward data; x is dy.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    conv_dgrad_implicit_gemm(const Patches dy, const Weights weights, const TileGrid grid, const TileEpilogue epilogue,
                             float* slices) {
  SIMT_DYNAMIC_SHARED(char, shared);
  using Tile = PixelTile;
  const PatchRows<T, Tile::kRows, false> left(dy, static_cast<int>(blockIdx.x) * Tile::kRows);
  const TurnedFilters<T, Tile::kColumns> right(weights, static_cast<int>(blockIdx.y) * Tile::kColumns);
  multiply_tiles<T, Tile, true>(left, right, InputTransform(), steps_of_slice(grid, static_cast<int>(blockIdx.z)),
                                shared, [](const char*) {});
  finish_or_keep<T, true>(epilogue, grid, slices, shared);
}

// ---- Backward weights ----------------------------------------------------------------------------------------------

// The slices of dw and, if not null, of db: partial_bias[slice][row of D]. Grid: tiles of filters, tiles of patches'
// elements, slices of the pixels.
template <typename T, bool kPicture>
__global__ void __launch_bounds__(kThreads)
    conv_wgrad_implicit_gemm(const Patches dy, const Patches x, InputTransform transform, const TileGrid grid,
                             float* slices, double* partial_bias) {
  SIMT_DYNAMIC_SHARED(char, shared);
  using Tile = FilterTile;
  const int row = static_cast<int>(blockIdx.x), column = static_cast<int>(blockIdx.y),
            slice = static_cast<int>(blockIdx.z), thread = static_cast<int>(threadIdx.x);
  const PixelChannels<T, Tile::kRows> left(dy, row * Tile::kRows);
  const PatchColumns<T, Tile::kColumns, kPicture> right(x, column * Tile::kColumns);
  const bool sums_bias = partial_bias && column == 0 && thread < Tile::kRows;
  double bias = 0;  // of filter row * kRows + thread
  multiply_tiles<T, Tile, false>(left, right, transform, steps_of_slice(grid, static_cast<int>(blockIdx.z)), shared,
                                 [&](const char* tile) {
                                   if (!sums_bias) return;
                                   constexpr int kRowBytes = Tile::kRows * static_cast<int>(sizeof(T));
                                   for (int i = 0; i < kDepth<T>; ++i) {
                                     const char* const chunk = tile + place_in_tile<kRowBytes>(i, thread / kVector<T>);
                                     bias += static_cast<float>(reinterpret_cast<const T*>(chunk)[thread % kVector<T>]);
                                   }
                                 });
  if (sums_bias) partial_bias[(int64_t{slice} * grid.rows + row) * Tile::kRows + thread] = bias;
  store_slice<Tile, kThreads>(shared, slices + slice_tile<Tile>(grid, slice, row, column));
}

// ---- The first convolution's weights -------------------------------------------------------------------------------

// What the first convolution reads: [K][7][8 pixels][4 channels], zero where the filter has nothing.
constexpr int kPictureChannels = 4, kFirstFilter = 7, kFirstPixels = 8;
constexpr int kFirstTap = kFirstPixels * kPictureChannels;

// KRSC weights rounded to T and laid out so; one thread an element of `packed`.
template <typename From, typename T>
__global__ void __launch_bounds__(kPackThreads)
    conv_pack_picture_weights(const From* weights, int elements, T* packed) {
  const int element = static_cast<int>(blockIdx.x * kPackThreads + threadIdx.x);
  if (element >= elements) return;
  const int c = element % kPictureChannels, s = element / kPictureChannels % kFirstPixels - 1,
            row = element / kFirstTap;  // k * 7 + r
  const bool inside = c < 3 && s >= 0;
  packed[element] = T(inside ? static_cast<float>(weights[(row * kFirstFilter + s) * 3 + c]) : 0.0f);
}

// ---- The operations ------------------------------------------------------------------------------------------------

template <typename T>
constexpr DataType kDataType = sizeof(T) == 2 ? DataType::bfloat16 : DataType::float32;

bool is_first_convolution(const ConvShape& s, const TensorDesc& x) {
  return s.c == 3 && x.block == kPictureChannels && s.r == kFirstFilter && s.s == kFirstFilter && s.stride == 2 &&
         s.padding == 3 && s.w % 2 == 0;
}

template <typename T>
const char* implementation_name() {
  return sizeof(T) == 2 ? "implicit_gemm_bf16" : "implicit_gemm_tf32";
}

// The patches of `map` that a grid of p x q pixels sees.
Patches patches(const ConvShape& s, const Shape& map, const Shape& grid, bool picture) {
  Patches result;
  result.h = map.h, result.w = map.w;
  result.pixel_elements = picture ? kPictureChannels : map.c;
  result.tap_elements = picture ? kFirstTap : map.c;
  result.stride = s.stride;
  result.padding_h = s.padding, result.padding_w = s.padding + (picture ? 1 : 0);
  result.pixels = static_cast<int>(grid.pixels());
  const int taps_across = picture ? 1 : s.s;
  result.elements = s.r * taps_across * result.tap_elements;
  result.per_picture = Divisor(grid.h * grid.w), result.per_row = Divisor(grid.w);
  result.per_tap = Divisor(result.tap_elements), result.across = Divisor(taps_across);
  return result;
}

// Forward, or backward data as the forward convolution of dy with the filter turned round.
template <typename T, bool kBackward>
class PixelGemm {
 public:
  PixelGemm(const ConvShape& s, const TensorDesc& from, const TensorDesc& to, DataType weights, bool sums)
      : picture_(!kBackward && is_first_convolution(s, from)),
        weights_type_(weights),
        rows_(static_cast<int>(to.shape.pixels())),
        columns_(to.shape.c),
        patches_(patches_of(s, from.shape, to.shape, picture_)),
        grid_(cut_sum(parts(rows_, PixelTile::kRows), parts(columns_, PixelTile::kColumns),
                      parts(patches_.elements, kDepth<T>), kEnoughTiles, kLeastSteps)),
        sums_(grid_, columns_, sums) {
    weights_.filters = s.k;
    weights_.taps = picture_ ? s.r : s.r * s.s;
    weights_.channels = picture_ ? kFirstTap : s.c;
    weights_.per_tap = Divisor(s.k);
  }

  std::string implementation() const { return implementation_name<T>(); }
  size_t workspace_bytes() const { return sums_.workspace_bytes(); }
  size_t packed_weight_bytes() const {
    return picture_ || weights_type_ != kDataType<T> ? sizeof(T) * weight_elements() : 0;
  }
  void pack_weights(const void* weights, void* packed, Stream stream) const {
    if (!picture_) return round_weights<T>(weights, weight_elements(), packed, stream);
    with_type(weights_type_, [&]<typename From>() {
      launch(KERNEL(conv_pack_picture_weights<From, T>), parts(weight_elements(), kPackThreads), kPackThreads, 0,
             stream, static_cast<const From*>(weights), weight_elements(), static_cast<T*>(packed));
    });
  }

  void run(const char* name, const void* map, const void* weights, const InputTransform& transform,
           const Epilogue& terms, double* sum, double* sum_of_products, void* workspace, Stream stream) const {
    check_chunks(name, {map, weights, terms.out, terms.addend, terms.z});
    Patches patches = patches_;
    patches.map = map;
    Weights filters = weights_;
    filters.data = weights;
    TileEpilogue epilogue{terms, rows_, columns_};
    epilogue.partial = sums_.partial(workspace);
    float* const slices = sums_.slices(workspace);
    const dim3 blocks(grid_.rows, grid_.columns, grid_.slices);
    if constexpr (kBackward) {
      launch(KERNEL(conv_dgrad_implicit_gemm<T>), blocks, kThreads, PixelTile::kSharedBytes, stream, patches, filters,
             grid_, epilogue, slices);
    } else {
      const auto launch_kernel = [&](const auto& kernel) {
        launch(kernel, blocks, kThreads, PixelTile::kSharedBytes, stream, patches, filters, transform, grid_, epilogue,
               slices);
      };
      if (picture_)
        launch_kernel(KERNEL(conv_fprop_implicit_gemm<T, true>));
      else
        launch_kernel(KERNEL(conv_fprop_implicit_gemm<T, false>));
    }
    sums_.add_up(epilogue, sum, sum_of_products, workspace, stream);
  }

 private:
  // Tiles that fill an H100 twice; a slice has at least so many steps that its sums are not most of the traffic.
  static constexpr int kEnoughTiles = 256, kLeastSteps = 4;

  static Patches patches_of(ConvShape s, const Shape& map, const Shape& grid, bool picture) {
    if (!kBackward) return patches(s, map, grid, picture);
    const int padding = s.padding;
    s.padding = 0;
    Patches result = patches(s, map, grid, picture);
    result.padding_h = s.r - 1 - padding, result.padding_w = s.s - 1 - padding;
    return result;
  }
  int weight_elements() const { return weights_.filters * weights_.taps * weights_.channels; }

  bool picture_;
  DataType weights_type_;
  int rows_, columns_;
  Patches patches_;
  Weights weights_;
  TileGrid grid_;
  OutputSums<T, kBackward, PixelTile> sums_;
};

template <typename T>
using Forward = GemmForward<PixelGemm<T, false>>;
template <typename T>
using BackwardData = GemmBackwardData<PixelGemm<T, true>>;

template <typename T>
class BackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeights(const ConvBackwardWeights& spec)
      : spec_(spec),
        picture_(is_first_convolution(spec.shape, spec.x)),
        x_(patches(spec.shape, spec.x.shape, spec.dy.shape, picture_)),
        dy_(patches(ConvShape(), spec.dy.shape, spec.dy.shape, false)),
        grid_(cut_sum(parts(spec.shape.k, FilterTile::kRows), parts(x_.elements, FilterTile::kColumns),
                      parts(x_.pixels, kDepth<T>), kEnoughTiles, kLeastSteps)),
        sums_({spec.shape.k, spec.shape.r * spec.shape.s, spec.shape.c, x_.tap_elements,
               picture_ ? kPictureChannels : 0, picture_ ? spec.shape.s : 1, x_.pixel_elements},
              grid_, spec.bias) {}
  std::string implementation() const override { return implementation_name<T>(); }
  size_t workspace_bytes() const override { return sums_.workspace_bytes(); }
  void run(const ConvBackwardWeightsArguments& a, Stream stream) override {
    check_chunks(ConvBackwardWeights::kName, {a.x, a.dy});
    Patches x = x_, dy = dy_;
    x.map = a.x, dy.map = a.dy;
    const InputTransform transform = spec_.input_transform ? a.transform : InputTransform();
    const auto launch_kernel = [&](const auto& kernel) {
      launch(kernel, dim3(grid_.rows, grid_.columns, grid_.slices), kThreads, FilterTile::kSharedBytes, stream, dy, x,
             transform, grid_, sums_.slices(a.workspace), sums_.partial_bias(a.workspace));
    };
    if (picture_)
      launch_kernel(KERNEL(conv_wgrad_implicit_gemm<T, true>));
    else
      launch_kernel(KERNEL(conv_wgrad_implicit_gemm<T, false>));
    sums_.add_up(a.workspace, a.dw, a.db, stream);
  }

 private:
  static constexpr int kEnoughTiles = 512, kLeastSteps = 8;

  ConvBackwardWeights spec_;
  bool picture_;
  Patches x_, dy_;
  TileGrid grid_;
  WeightSums<FilterTile> sums_;
};

// ---- Dispatch ------------------------------------------------------------------------------------------------------

bool fits(const TensorDesc& map, DataType type, bool picture) {
  constexpr int kMostAcross = 1 << 14;
  const int vector = kChunkBytes / static_cast<int>(bytes_per_element(type));
  return map.type == type && map.elements() < (size_t{1} << 31) && map.shape.h < kMostAcross &&
         map.shape.w < kMostAcross && (picture || (map.block == map.shape.c && map.shape.c % vector == 0));
}

bool fits(const ConvShape& s) {
  constexpr int kMostFilter = 64;
  return s.r <= kMostFilter && s.s <= kMostFilter && s.padding <= kMostFilter && s.stride <= kMostFilter;
}

// The operation for the device's precision: Conv<bfloat16>, Conv<float> or none.
template <template <typename> typename Conv, typename Spec>
std::unique_ptr<typename Spec::Operation> make(const Device& device, const Spec& spec,
                                               const std::function<bool(DataType)>& fits_type) {
  if (!fits(spec.shape)) return nullptr;
  if (device.precision() == Precision::bf16 && fits_type(DataType::bfloat16))
    return std::make_unique<Conv<bfloat16>>(spec);
  if (device.precision() == Precision::tf32 && fits_type(DataType::float32)) return std::make_unique<Conv<float>>(spec);
  return nullptr;
}

}  // namespace

std::unique_ptr<ConvForward::Operation> make_tensor_core_conv(Device& device, const ConvForward& spec) {
  const bool picture = is_first_convolution(spec.shape, spec.x);
  if (picture && spec.input_transform) return nullptr;
  return make<Forward>(device, spec,
                       [&](DataType type) { return fits(spec.x, type, picture) && fits(spec.y, type, false); });
}

std::unique_ptr<ConvBackwardData::Operation> make_tensor_core_conv(Device& device, const ConvBackwardData& spec) {
  if (spec.shape.stride != 1) return nullptr;
  return make<BackwardData>(device, spec,
                            [&](DataType type) { return fits(spec.dy, type, false) && fits(spec.dx, type, false); });
}

std::unique_ptr<ConvBackwardWeights::Operation> make_tensor_core_conv(Device& device, const ConvBackwardWeights& spec) {
  const bool picture = is_first_convolution(spec.shape, spec.x);
  if (picture && spec.input_transform) return nullptr;
  return make<BackwardWeights>(
      device, spec, [&](DataType type) { return fits(spec.x, type, picture) && fits(spec.dy, type, false); });
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
