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
#include <algorithm>
#include <bit>
#include <functional>

#include "engine/bfloat16.h"
#include "kernels/conv/conv_tensor_core.h"
#include "kernels/conv/shared_tile.h"
#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/cp_async.h"
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
template <typename T>
constexpr int kVector = kChunkBytes / static_cast<int>(sizeof(T));

// The tile of D that a block computes.
template <int kTileRows, int kTileColumns>
struct TileShape {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns;
  static constexpr int kLeftBytes = kRows * kStepBytes, kStageBytes = (kRows + kColumns) * kStepBytes;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kRows / kWarpRows * (kColumns / kWarpColumns) * 32 == kThreads);
};
using PixelTile = TileShape<128, 64>;
using FilterTile = TileShape<64, 128>;

// ---- 16 bytes of elements ------------------------------------------------------------------------------------------

__device__ __forceinline__ float as_float(uint32_t bits) {
#ifdef __CUDACC__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
__device__ __forceinline__ uint32_t as_bits(float value) {
#ifdef __CUDACC__
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

__device__ __forceinline__ Channels<8> unpack(const uint4& v, bfloat16) {
  constexpr uint32_t kHigh = 0xffff0000;
  return {{as_float(v.x << 16), as_float(v.x & kHigh), as_float(v.y << 16), as_float(v.y & kHigh), as_float(v.z << 16),
           as_float(v.z & kHigh), as_float(v.w << 16), as_float(v.w & kHigh)}};
}
__device__ __forceinline__ Channels<4> unpack(const uint4& v, float) {
  return {{as_float(v.x), as_float(v.y), as_float(v.z), as_float(v.w)}};
}
__device__ __forceinline__ uint32_t pack_pair(float low, float high) {
  return bfloat16(low).bits | uint32_t{bfloat16(high).bits} << 16;
}
__device__ __forceinline__ uint4 pack(const Channels<8>& c) {
  return make_uint4(pack_pair(c.v[0], c.v[1]), pack_pair(c.v[2], c.v[3]), pack_pair(c.v[4], c.v[5]),
                    pack_pair(c.v[6], c.v[7]));
}
__device__ __forceinline__ uint4 pack(const Channels<4>& c) {
  return make_uint4(as_bits(c.v[0]), as_bits(c.v[1]), as_bits(c.v[2]), as_bits(c.v[3]));
}

template <typename T>
__device__ __forceinline__ Channels<kVector<T>> load_chunk(const T* address) {
  return unpack(*reinterpret_cast<const uint4*>(address), T());
}
template <typename T>
__device__ __forceinline__ void store_chunk(T* address, const Channels<kVector<T>>& channels) {
  *reinterpret_cast<uint4*>(address) = pack(channels);
}

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

// What a block sums over: `count` steps from `first`.
struct Steps {
  int first, count;
};
__device__ __forceinline__ Steps steps_of_slice(int steps, int steps_per_slice) {
  const int first = static_cast<int>(blockIdx.z) * steps_per_slice;
  return {first, steps - first < steps_per_slice ? steps - first : steps_per_slice};
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

// Part of the tile of D in shared memory that multiply_tiles has left: kVector<T> elements from `column`.
template <typename T, typename Tile>
__device__ __forceinline__ Channels<kVector<T>> load_sums(const char* shared, int row, int column) {
  constexpr int kRowBytes = Tile::kColumns * 4;
  if constexpr (sizeof(T) == 4) {
    return load<4>(reinterpret_cast<const float*>(shared + place_in_tile<kRowBytes>(row, column / 4)));
  } else {
    // Half of the lanes read their second chunk first, because 8 lanes' first ones lie in 4 banks of 16 bytes.
    const bool swapped = column / 32 % 2 == 1;
    const auto read = [&](bool second) {
      return load<4>(
          reinterpret_cast<const float*>(shared + place_in_tile<kRowBytes>(row, column / 4 + (second ? 1 : 0))));
    };
    const Channels<4> first = read(swapped), second = read(!swapped);
    Channels<8> result;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      result.v[i] = swapped ? second.v[i] : first.v[i];
      result.v[4 + i] = swapped ? first.v[i] : second.v[i];
    }
    return result;
  }
}

// ---- What becomes of D: forward and backward data ------------------------------------------------------------------

// out = relu?(D + bias? + addend?), and with z: out = z*scale + shift > 0 ? out : 0. The sums of out and of out * (z or
// out) over a block's rows go to partial[block of rows][2][columns].
struct Epilogue {
  void* out = nullptr;
  int rows = 0, columns = 0;     // of D and out
  const void* addend = nullptr;  // may be out
  const float* bias = nullptr;
  bool relu = false;
  const void* z = nullptr;
  const float *scale = nullptr, *shift = nullptr;
  double* partial = nullptr;
};

// Threads share a tile of kRows rows: a thread has one chunk of columns in every kStep-th row.
template <typename T, int kRows, typename Tile>
struct Finish {
  static constexpr int kWidth = kVector<T>, kAcross = Tile::kColumns / kWidth, kStep = kThreads / kAcross;
  static constexpr int kSumBytes = kStep * 2 * Tile::kColumns * static_cast<int>(sizeof(double));

  // `sums(row, column)` is D from the block's first row and column on; `scratch`: kSumBytes of shared memory.
  template <typename Sums>
  __device__ static void run(const Epilogue& e, int first_row, int row_block, int first_column, const Sums& sums,
                             double* scratch) {
    const int thread = static_cast<int>(threadIdx.x), group = thread / kAcross, own = thread % kAcross * kWidth;
    const int column = first_column + own;
    double total[2][kWidth] = {};
    if (column < e.columns) {
      const Channels<kWidth> bias = e.bias ? load_coefficients<kWidth>(e.bias + column) : Channels<kWidth>{};
      for (int row = group; row < kRows && first_row + row < e.rows; row += kStep) {
        const int64_t at = int64_t{first_row + row} * e.columns + column;
        Channels<kWidth> v = sums(row, own);
        const Channels<kWidth> addend =
            e.addend ? load_chunk(static_cast<const T*>(e.addend) + at) : Channels<kWidth>{};
        Channels<kWidth> z{};
        if (e.z) z = load_chunk(static_cast<const T*>(e.z) + at);
#pragma unroll
        for (int i = 0; i < kWidth; ++i) {
          v.v[i] += bias.v[i];
          v.v[i] += addend.v[i];
          if (e.relu) v.v[i] = relu(v.v[i]);
          if (e.z && !(z.v[i] * e.scale[column + i] + e.shift[column + i] > 0)) v.v[i] = 0;
          v.v[i] = static_cast<float>(T(v.v[i]));
        }
        store_chunk(static_cast<T*>(e.out) + at, v);
        if (e.partial)
#pragma unroll
          for (int i = 0; i < kWidth; ++i) {
            total[0][i] += v.v[i];
            total[1][i] += static_cast<double>(v.v[i]) * (e.z ? z.v[i] : v.v[i]);
          }
      }
    }
    if (!e.partial) return;
#pragma unroll
    for (int s = 0; s < 2; ++s)
#pragma unroll
      for (int i = 0; i < kWidth; ++i) scratch[(group * 2 + s) * Tile::kColumns + own + i] = total[s][i];
    __syncthreads();
    for (int i = thread; i < 2 * Tile::kColumns; i += kThreads) {
      const int s = i / Tile::kColumns, to = first_column + i % Tile::kColumns;
      if (to >= e.columns) continue;
      double sum = 0;
      for (int g = 0; g < kStep; ++g) sum += scratch[g * 2 * Tile::kColumns + i];
      e.partial[(int64_t{row_block} * 2 + s) * e.columns + to] = sum;
    }
  }
};

// Where the D of a slice's tile is kept until the slices are added, [kRows][kColumns].
template <typename Tile>
__device__ __forceinline__ float* slice_tile(float* slices, int slice, int tile_row, int tile_column) {
  const int64_t tile = (int64_t{slice} * gridDim.y + tile_column) * gridDim.x + tile_row;
  return slices + tile * (Tile::kRows * Tile::kColumns);
}

template <typename Tile>
__device__ __forceinline__ void store_slice(const char* shared, float* to) {
  constexpr int kAcross = Tile::kColumns / 4;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows * kAcross; i += kThreads)
    store(
        to + 4 * i,
        load<4>(reinterpret_cast<const float*>(shared + place_in_tile<Tile::kColumns * 4>(i / kAcross, i % kAcross))));
}

// Ends forward and backward data: a block's tile is finished, or if the sum is cut, kept.
template <typename T>
__device__ __forceinline__ void finish_or_keep(const Epilogue& epilogue, float* slices, char* shared) {
  using Tile = PixelTile;
  using OwnFinish = Finish<T, Tile::kRows, Tile>;
  constexpr int kTileBytes = Tile::kRows * Tile::kColumns * static_cast<int>(sizeof(float));
  static_assert(kTileBytes + OwnFinish::kSumBytes <= Tile::kSharedBytes);
  const int row = static_cast<int>(blockIdx.x), column = static_cast<int>(blockIdx.y);
  if (slices)
    store_slice<Tile>(shared, slice_tile<Tile>(slices, static_cast<int>(blockIdx.z), row, column));
  else
    OwnFinish::run(
        epilogue, row * Tile::kRows, row, column * Tile::kColumns,
        [&](int r, int c) { return load_sums<T, Tile>(shared, r, c); }, reinterpret_cast<double*>(shared + kTileBytes));
}

// D of forward. Grid: tiles of rows, tiles of columns, slices of the sum.
template <typename T, bool kPicture>
__global__ void __launch_bounds__(kThreads)
    conv_fprop_implicit_gemm(const Patches x, const Weights weights, InputTransform transform, int steps,
                             int steps_per_slice, const Epilogue epilogue, float* slices) {
  SIMT_DYNAMIC_SHARED(char, shared);
  using Tile = PixelTile;
  const PatchRows<T, Tile::kRows, kPicture> left(x, static_cast<int>(blockIdx.x) * Tile::kRows);
  const FilterRows<T, Tile::kColumns> right(weights, static_cast<int>(blockIdx.y) * Tile::kColumns);
  multiply_tiles<T, Tile, true>(left, right, transform, steps_of_slice(steps, steps_per_slice), shared,
                                [](const char*) {});
  finish_or_keep<T>(epilogue, slices, shared);
}

// D of backward data; x is dy.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    conv_dgrad_implicit_gemm(const Patches dy, const Weights weights, int steps, int steps_per_slice,
                             const Epilogue epilogue, float* slices) {
  SIMT_DYNAMIC_SHARED(char, shared);
  using Tile = PixelTile;
  const PatchRows<T, Tile::kRows, false> left(dy, static_cast<int>(blockIdx.x) * Tile::kRows);
  const TurnedFilters<T, Tile::kColumns> right(weights, static_cast<int>(blockIdx.y) * Tile::kColumns);
  multiply_tiles<T, Tile, true>(left, right, InputTransform(), steps_of_slice(steps, steps_per_slice), shared,
                                [](const char*) {});
  finish_or_keep<T>(epilogue, slices, shared);
}

// Adds the slices of forward or backward data in order. A block takes kAddedRows rows of a tile. Grid: blocks of rows,
// tiles of columns.
constexpr int kAddedRows = 16;

template <typename T>
__global__ void __launch_bounds__(kThreads) conv_add_slices(const float* slices, int count, const Epilogue epilogue) {
  using Tile = PixelTile;
  SIMT_DYNAMIC_SHARED(double, scratch);
  constexpr int kBlocksPerTile = Tile::kRows / kAddedRows;
  const int block = static_cast<int>(blockIdx.x), tile_row = block / kBlocksPerTile;
  const int64_t tile_floats = Tile::kRows * Tile::kColumns, tile_rows = gridDim.x / kBlocksPerTile;
  const float* const first =
      slices + (blockIdx.y * tile_rows + tile_row) * tile_floats + block % kBlocksPerTile * kAddedRows * Tile::kColumns;
  const int64_t step = tile_rows * gridDim.y * tile_floats;
  const auto add = [&](int row, int column) {
    Channels<kVector<T>> sum{};
    for (int i = 0; i < count; ++i) {
      const float* const from = first + i * step + row * Tile::kColumns + column;
#pragma unroll
      for (int j = 0; j < kVector<T>; j += 4) {
        const Channels<4> part = load<4>(from + j);
#pragma unroll
        for (int k = 0; k < 4; ++k) sum.v[j + k] += part.v[k];
      }
    }
    return sum;
  };
  Finish<T, kAddedRows, Tile>::run(epilogue, block * kAddedRows, block, static_cast<int>(blockIdx.y) * Tile::kColumns,
                                   add, scratch);
}

// ---- Backward weights ----------------------------------------------------------------------------------------------

// The slices of dw and, if not null, of db: partial_bias[slice][row of D]. Grid: tiles of filters, tiles of patches'
// elements, slices of the pixels.
template <typename T, bool kPicture>
__global__ void __launch_bounds__(kThreads)
    conv_wgrad_implicit_gemm(const Patches dy, const Patches x, InputTransform transform, int steps,
                             int steps_per_slice, float* slices, double* partial_bias) {
  SIMT_DYNAMIC_SHARED(char, shared);
  using Tile = FilterTile;
  const int row = static_cast<int>(blockIdx.x), column = static_cast<int>(blockIdx.y),
            slice = static_cast<int>(blockIdx.z), thread = static_cast<int>(threadIdx.x);
  const PixelChannels<T, Tile::kRows> left(dy, row * Tile::kRows);
  const PatchColumns<T, Tile::kColumns, kPicture> right(x, column * Tile::kColumns);
  const bool sums_bias = partial_bias && column == 0 && thread < Tile::kRows;
  double bias = 0;  // of filter row * kRows + thread
  multiply_tiles<T, Tile, false>(left, right, transform, steps_of_slice(steps, steps_per_slice), shared,
                                 [&](const char* tile) {
                                   if (!sums_bias) return;
                                   constexpr int kRowBytes = Tile::kRows * static_cast<int>(sizeof(T));
                                   for (int i = 0; i < kDepth<T>; ++i) {
                                     const char* const chunk = tile + place_in_tile<kRowBytes>(i, thread / kVector<T>);
                                     bias += static_cast<float>(reinterpret_cast<const T*>(chunk)[thread % kVector<T>]);
                                   }
                                 });
  if (sums_bias) partial_bias[(int64_t{slice} * gridDim.x + row) * Tile::kRows + thread] = bias;
  store_slice<Tile>(shared, slice_tile<Tile>(slices, slice, row, column));
}

// How dw lies in D.
struct WeightGradient {
  int filters, taps, channels;      // of dw
  int tap_elements, first_element;  // of a tap in D: from one to the next; the first that dw has
  int taps_across, pixel_elements;  // a tap of D is a row of taps_across taps of dw, so far apart
  int tile_rows, tile_columns, slices;
};

constexpr int kAddThreads = 256;

// dw and, if not null, db from their slices, added in order; one thread an element.
__global__ void __launch_bounds__(kAddThreads)
    conv_add_weight_slices(const WeightGradient g, const float* slices, const double* partial_bias, float* dw,
                           float* db) {
  using Tile = FilterTile;
  const int weights = g.filters * g.taps * g.channels;
  const int element = static_cast<int>(blockIdx.x * kAddThreads + threadIdx.x);
  double sum = 0;
  if (element < weights) {
    const int filter = element / (g.taps * g.channels), tap = element / g.channels % g.taps;
    const int column = tap / g.taps_across * g.tap_elements + g.first_element + tap % g.taps_across * g.pixel_elements +
                       element % g.channels;
    const int64_t tile = int64_t{column / Tile::kColumns} * g.tile_rows + filter / Tile::kRows;
    const int64_t step = int64_t{g.tile_rows} * g.tile_columns * (Tile::kRows * Tile::kColumns);
    const float* const from = slices + tile * (Tile::kRows * Tile::kColumns) + filter % Tile::kRows * Tile::kColumns +
                              column % Tile::kColumns;
    for (int i = 0; i < g.slices; ++i) sum += from[i * step];
    dw[element] = static_cast<float>(sum);
  } else if (db && element - weights < g.filters) {
    for (int i = 0; i < g.slices; ++i) sum += partial_bias[int64_t{i} * g.tile_rows * Tile::kRows + element - weights];
    db[element - weights] = static_cast<float>(sum);
  }
}

// ---- Weights in another form ---------------------------------------------------------------------------------------

// What the first convolution reads: [K][7][8 pixels][4 channels], zero where the filter has nothing.
constexpr int kPictureChannels = 4, kFirstFilter = 7, kFirstPixels = 8;
constexpr int kFirstTap = kFirstPixels * kPictureChannels;

// KRSC weights rounded to T and, with kPicture, laid out for the first convolution; one thread an element of `packed`.
template <typename From, typename T, bool kPicture>
__global__ void __launch_bounds__(kAddThreads) conv_pack_weights(const From* weights, int elements, T* packed) {
  const int element = static_cast<int>(blockIdx.x * kAddThreads + threadIdx.x);
  if (element >= elements) return;
  if constexpr (kPicture) {
    const int c = element % kPictureChannels, s = element / kPictureChannels % kFirstPixels - 1,
              row = element / kFirstTap;  // k * 7 + r
    const bool inside = c < 3 && s >= 0;
    packed[element] = T(inside ? static_cast<float>(weights[(row * kFirstFilter + s) * 3 + c]) : 0.0f);
  } else {
    packed[element] = T(static_cast<float>(weights[element]));
  }
}

// ---- The operations ------------------------------------------------------------------------------------------------

int parts(int64_t size, int unit) { return static_cast<int>((size + unit - 1) / unit); }

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
        sums_(sums) {
    ConvShape seen = s;
    if (kBackward) seen.padding = 0;
    patches_ = patches(seen, from.shape, to.shape, picture_);
    if (kBackward) patches_.padding_h = s.r - 1 - s.padding, patches_.padding_w = s.s - 1 - s.padding;
    weights_.filters = s.k;
    weights_.taps = picture_ ? s.r : s.r * s.s;
    weights_.channels = picture_ ? kFirstTap : s.c;
    weights_.per_tap = Divisor(s.k);
    steps_ = parts(patches_.elements, kDepth<T>);
    // Independent of the GPU, so that every GPU adds in the same order.
    const int tiles = tile_rows() * tile_columns();
    const int most = std::clamp(kEnoughTiles / tiles, 1, std::max(1, steps_ / kLeastSteps));
    steps_per_slice_ = parts(steps_, most);
    slices_ = parts(steps_, steps_per_slice_);
  }

  std::string implementation() const { return implementation_name<T>(); }
  size_t workspace_bytes() const { return slice_bytes() + (sums_ ? sizeof(double) * 2 * row_blocks() * columns_ : 0); }
  size_t packed_weight_bytes() const {
    return picture_ || weights_type_ != kDataType<T> ? sizeof(T) * weights_.filters * weights_.taps * weights_.channels
                                                     : 0;
  }
  void pack_weights(const void* weights, void* packed, Stream stream) const {
    const int elements = weights_.filters * weights_.taps * weights_.channels;
    const auto pack = [&]<typename From>(const From* from) {
      const auto launch_kernel = [&](const auto& kernel) {
        launch(kernel, parts(elements, kAddThreads), kAddThreads, 0, stream, from, elements, static_cast<T*>(packed));
      };
      if (picture_)
        launch_kernel(KERNEL(conv_pack_weights<From, T, true>));
      else
        launch_kernel(KERNEL(conv_pack_weights<From, T, false>));
    };
    if (weights_type_ == DataType::bfloat16)
      pack(static_cast<const bfloat16*>(weights));
    else
      pack(static_cast<const float*>(weights));
  }

  void run(const char* name, const void* map, const void* weights, const InputTransform& transform, Epilogue epilogue,
           double* sum, double* sum_of_products, void* workspace, Stream stream) const {
    for (const void* address : {map, weights, static_cast<const void*>(epilogue.out), epilogue.addend, epilogue.z})
      check(reinterpret_cast<uintptr_t>(address) % kChunkBytes == 0, "{}: the address {} is not a multiple of {} bytes",
            name, address, kChunkBytes);
    Patches patches = patches_;
    patches.map = map;
    Weights filters = weights_;
    filters.data = weights;
    epilogue.rows = rows_, epilogue.columns = columns_;
    if (sums_) epilogue.partial = reinterpret_cast<double*>(static_cast<char*>(workspace) + slice_bytes());
    float* const slices = slices_ > 1 ? static_cast<float*>(workspace) : nullptr;
    const dim3 grid(tile_rows(), tile_columns(), slices_);
    if constexpr (kBackward) {
      launch(KERNEL(conv_dgrad_implicit_gemm<T>), grid, kThreads, PixelTile::kSharedBytes, stream, patches, filters,
             steps_, steps_per_slice_, epilogue, slices);
    } else {
      const auto launch_kernel = [&](const auto& kernel) {
        launch(kernel, grid, kThreads, PixelTile::kSharedBytes, stream, patches, filters, transform, steps_,
               steps_per_slice_, epilogue, slices);
      };
      if (picture_)
        launch_kernel(KERNEL(conv_fprop_implicit_gemm<T, true>));
      else
        launch_kernel(KERNEL(conv_fprop_implicit_gemm<T, false>));
    }
    if (slices_ > 1)
      launch(KERNEL(conv_add_slices<T>), dim3(row_blocks(), tile_columns()), kThreads,
             Finish<T, kAddedRows, PixelTile>::kSumBytes, stream, slices, slices_, epilogue);
    if (sums_)
      launch(KERNEL(add_partial_sums<2>), dim3(parts(columns_, kPartialColumns), 2),
             dim3(kPartialColumns, kPartialRows), 0, stream, epilogue.partial, row_blocks(), columns_, sum,
             sum_of_products, nullptr);
  }

 private:
  // Tiles that fill an H100 twice; a slice has at least so many steps that its sums are not most of the traffic.
  static constexpr int kEnoughTiles = 256, kLeastSteps = 4;
  int tile_rows() const { return parts(rows_, PixelTile::kRows); }
  int tile_columns() const { return parts(columns_, PixelTile::kColumns); }
  // Blocks of rows that leave sums.
  int row_blocks() const { return slices_ > 1 ? tile_rows() * (PixelTile::kRows / kAddedRows) : tile_rows(); }
  size_t slice_bytes() const {
    constexpr size_t kTileBytes = sizeof(float) * PixelTile::kRows * PixelTile::kColumns;
    return slices_ > 1 ? kTileBytes * slices_ * tile_rows() * tile_columns() : 0;
  }

  bool picture_;
  DataType weights_type_;
  int rows_, columns_;
  bool sums_;
  Patches patches_;
  Weights weights_;
  int steps_ = 0, steps_per_slice_ = 0, slices_ = 0;
};

template <typename T>
class Forward final : public ConvForward::Operation {
 public:
  explicit Forward(const ConvForward& spec)
      : spec_(spec), gemm_(spec.shape, spec.x, spec.y, spec.weights, spec.statistics) {}
  std::string implementation() const override { return gemm_.implementation(); }
  size_t workspace_bytes() const override { return gemm_.workspace_bytes(); }
  size_t packed_weight_bytes() const override { return gemm_.packed_weight_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream stream) override {
    gemm_.pack_weights(weights, packed, stream);
  }
  void run(const ConvForwardArguments& a, Stream stream) override {
    Epilogue epilogue;
    epilogue.out = a.y;
    if (spec_.residual) epilogue.addend = a.residual;
    if (spec_.bias) epilogue.bias = a.bias;
    epilogue.relu = spec_.relu;
    gemm_.run(ConvForward::kName, a.x, a.weights, spec_.input_transform ? a.transform : InputTransform(), epilogue,
              a.sum, a.sum_squares, a.workspace, stream);
  }

 private:
  ConvForward spec_;
  PixelGemm<T, false> gemm_;
};

template <typename T>
class BackwardData final : public ConvBackwardData::Operation {
 public:
  explicit BackwardData(const ConvBackwardData& spec)
      : spec_(spec), gemm_(spec.shape, spec.dy, spec.dx, spec.weights, spec.mask) {}
  std::string implementation() const override { return gemm_.implementation(); }
  size_t workspace_bytes() const override { return gemm_.workspace_bytes(); }
  size_t packed_weight_bytes() const override { return gemm_.packed_weight_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream stream) override {
    gemm_.pack_weights(weights, packed, stream);
  }
  void run(const ConvBackwardDataArguments& a, Stream stream) override {
    Epilogue epilogue;
    epilogue.out = a.dx;
    if (spec_.accumulate) epilogue.addend = a.dx;
    if (spec_.mask) epilogue.z = a.z, epilogue.scale = a.scale, epilogue.shift = a.shift;
    gemm_.run(ConvBackwardData::kName, a.dy, a.weights, {}, epilogue, a.sum, a.sum_z, a.workspace, stream);
  }

 private:
  ConvBackwardData spec_;
  PixelGemm<T, true> gemm_;
};

template <typename T>
class BackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeights(const ConvBackwardWeights& spec)
      : spec_(spec), picture_(is_first_convolution(spec.shape, spec.x)) {
    const ConvShape& s = spec.shape;
    x_ = patches(s, spec.x.shape, spec.dy.shape, picture_);
    dy_ = patches(ConvShape(), spec.dy.shape, spec.dy.shape, false);
    const int tile_rows = parts(s.k, FilterTile::kRows), tile_columns = parts(x_.elements, FilterTile::kColumns);
    steps_ = parts(x_.pixels, kDepth<T>);
    // As in PixelGemm.
    const int most = std::clamp(kEnoughTiles / (tile_rows * tile_columns), 1, std::max(1, steps_ / kLeastSteps));
    steps_per_slice_ = parts(steps_, most);
    gradient_ = {s.k,
                 s.r * s.s,
                 s.c,
                 x_.tap_elements,
                 picture_ ? kPictureChannels : 0,
                 picture_ ? s.s : 1,
                 x_.pixel_elements,
                 tile_rows,
                 tile_columns,
                 parts(steps_, steps_per_slice_)};
  }
  std::string implementation() const override { return implementation_name<T>(); }
  size_t workspace_bytes() const override {
    constexpr size_t kTileBytes = sizeof(float) * FilterTile::kRows * FilterTile::kColumns;
    return bias_bytes() + kTileBytes * gradient_.slices * gradient_.tile_rows * gradient_.tile_columns;
  }
  void run(const ConvBackwardWeightsArguments& a, Stream stream) override {
    for (const void* address : {a.x, a.dy})
      check(reinterpret_cast<uintptr_t>(address) % kChunkBytes == 0, "{}: the address {} is not a multiple of {} bytes",
            ConvBackwardWeights::kName, address, kChunkBytes);
    Patches x = x_, dy = dy_;
    x.map = a.x, dy.map = a.dy;
    const InputTransform transform = spec_.input_transform ? a.transform : InputTransform();
    auto* const partial_bias = spec_.bias ? static_cast<double*>(a.workspace) : nullptr;
    auto* const slices = reinterpret_cast<float*>(static_cast<char*>(a.workspace) + bias_bytes());
    const auto launch_kernel = [&](const auto& kernel) {
      launch(kernel, dim3(gradient_.tile_rows, gradient_.tile_columns, gradient_.slices), kThreads,
             FilterTile::kSharedBytes, stream, dy, x, transform, steps_, steps_per_slice_, slices, partial_bias);
    };
    if (picture_)
      launch_kernel(KERNEL(conv_wgrad_implicit_gemm<T, true>));
    else
      launch_kernel(KERNEL(conv_wgrad_implicit_gemm<T, false>));
    const auto sums = static_cast<int64_t>(spec_.shape.weight_elements()) + (spec_.bias ? spec_.shape.k : 0);
    launch(KERNEL(conv_add_weight_slices), parts(sums, kAddThreads), kAddThreads, 0, stream, gradient_, slices,
           partial_bias, a.dw, spec_.bias ? a.db : nullptr);
  }

 private:
  static constexpr int kEnoughTiles = 512, kLeastSteps = 8;
  size_t bias_bytes() const {
    return spec_.bias ? sizeof(double) * gradient_.slices * gradient_.tile_rows * FilterTile::kRows : 0;
  }

  ConvBackwardWeights spec_;
  bool picture_;
  Patches x_, dy_;
  WeightGradient gradient_{};
  int steps_ = 0, steps_per_slice_ = 0;
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
