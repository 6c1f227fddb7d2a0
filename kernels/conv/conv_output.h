// What the convolutions on tensor cores do with the matrix product D that a block has computed: its epilogue and its
// sums per channel, or, where the sum is cut into slices, what is kept of it and added by a second kernel in order.
#pragma once

#include <algorithm>
#include <bit>

#include "engine/bfloat16.h"
#include "kernels/conv/conv_gemm.h"
#include "kernels/conv/shared_tile.h"
#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// The tile of D that a block computes.
template <int kTileRows, int kTileColumns>
struct OutputTile {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns;
  static constexpr int kBytes = kRows * kColumns * static_cast<int>(sizeof(float));
};

/// How many units hold `size`.
inline int parts(int64_t size, int unit) { return static_cast<int>((size + unit - 1) / unit); }

// ---- 16 bytes of elements ------------------------------------------------------------------------------------------

template <typename T>
constexpr int kVector = kChunkBytes / static_cast<int>(sizeof(T));

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

/// Part of the tile of D that lies in shared memory, floats in the places of place_in_tile: kVector<T> elements from
/// `column`, a multiple of that.
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

// ---- Forward and backward data -------------------------------------------------------------------------------------

/// What becomes of D in forward and backward data. The sums over a block's rows go to
/// partial[block of rows][2][columns].
struct TileEpilogue : Epilogue {
  int rows = 0, columns = 0;  // of D and out
};

/// The threads of a block share kRows rows of a tile: a thread has one chunk of columns in every kStep-th row. Forward
/// has no mask, backward data neither bias nor ReLU.
///
/// A thread adds up its few rows of bfloat16 in float, which hardly rounds: products of two bfloat16 have 16 bits, a
/// float has 24. All other sums are in double (channel_sums.h says why).
template <typename T, bool kBackward, int kRows, typename Tile, int kThreads>
struct Finish {
  static constexpr int kWidth = kVector<T>, kAcross = Tile::kColumns / kWidth, kStep = kThreads / kAcross;
  using Sum = std::conditional_t<sizeof(T) == 2, float, double>;
  static constexpr int kSumBytes = kStep * 2 * Tile::kColumns * static_cast<int>(sizeof(Sum));
  // Rows of addend and z that are on their way together, where there are many; more would need more registers than
  // blocks with small tiles have.
  static constexpr int kAtOnce = kRows < 4 * kStep || (kBackward && Tile::kColumns == 64) ? 1 : 2;

  /// `sums(row, column)` is D from the block's first row and column on; `scratch`: kSumBytes of shared memory.
  template <typename Sums>
  __device__ static void run(const TileEpilogue& e, int first_row, int row_block, int first_column, const Sums& sums,
                             Sum* scratch) {
    const int thread = static_cast<int>(threadIdx.x), group = thread / kAcross, own = thread % kAcross * kWidth;
    const int column = first_column + own, rows = e.rows - first_row < kRows ? e.rows - first_row : kRows;
    Sum total[2][kWidth] = {};
    if (column < e.columns) {
      const bool masked = kBackward && e.z;
      Channels<kWidth> bias{}, scale{}, shift{};
      if (!kBackward && e.bias) bias = load_coefficients<kWidth>(e.bias + column);
      if (masked)
        scale = load_coefficients<kWidth>(e.scale + column), shift = load_coefficients<kWidth>(e.shift + column);
      for (int first = group; first < rows; first += kAtOnce * kStep) {
        uint4 addends[kAtOnce] = {}, zs[kAtOnce] = {};
        const auto place = [&](int j) { return int64_t{first_row + first + j * kStep} * e.columns + column; };
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
          if (first + j * kStep >= rows) continue;
          if (e.addend) addends[j] = *reinterpret_cast<const uint4*>(static_cast<const T*>(e.addend) + place(j));
          if (masked) zs[j] = *reinterpret_cast<const uint4*>(static_cast<const T*>(e.z) + place(j));
        }
#pragma unroll
        for (int j = 0; j < kAtOnce; ++j) {
          if (first + j * kStep >= rows) continue;
          Channels<kWidth> v = sums(first + j * kStep, own);
          const Channels<kWidth> addend = unpack(addends[j], T()), z = unpack(zs[j], T());
#pragma unroll
          for (int i = 0; i < kWidth; ++i) {
            v.v[i] += bias.v[i];
            v.v[i] += addend.v[i];
            if (!kBackward && e.relu) v.v[i] = relu(v.v[i]);
            if (masked && !(z.v[i] * scale.v[i] + shift.v[i] > 0)) v.v[i] = 0;
            v.v[i] = static_cast<float>(T(v.v[i]));
          }
          store_chunk(static_cast<T*>(e.out) + place(j), v);
          if (e.partial)
#pragma unroll
            for (int i = 0; i < kWidth; ++i) {
              total[0][i] += v.v[i];
              total[1][i] += static_cast<Sum>(v.v[i]) * (masked ? z.v[i] : v.v[i]);
            }
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

/// The tiles of D, and into how many slices, each a block of its own, the sum over `steps` steps is cut.
struct TileGrid {
  int rows = 0, columns = 0;  // tiles
  int steps = 0, steps_per_slice = 0, slices = 0;
};

/// Cuts the sum so that there are about `enough` blocks, each with at least `least_steps` steps. Depends on the shape
/// only, so that every GPU adds in the same order.
inline TileGrid cut_sum(int rows, int columns, int steps, int enough, int least_steps) {
  const int most = std::clamp(enough / (rows * columns), 1, std::max(1, steps / least_steps));
  const int steps_per_slice = parts(steps, most);
  return {rows, columns, steps, steps_per_slice, parts(steps, steps_per_slice)};
}

/// The steps of a slice: `count` from `first`.
struct Steps {
  int first, count;
};
__device__ __forceinline__ Steps steps_of_slice(const TileGrid& grid, int slice) {
  const int first = slice * grid.steps_per_slice, left = grid.steps - first;
  return {first, left < grid.steps_per_slice ? left : grid.steps_per_slice};
}

/// The first float of where a slice's tile of D is kept until the slices are added, [kRows][kColumns].
template <typename Tile>
__device__ __forceinline__ int64_t slice_tile(const TileGrid& grid, int slice, int row, int column) {
  return ((int64_t{slice} * grid.columns + column) * grid.rows + row) * (Tile::kRows * Tile::kColumns);
}

/// The floats of all slices.
template <typename Tile>
size_t slice_bytes(const TileGrid& grid) {
  return size_t{Tile::kBytes} * grid.slices * grid.rows * grid.columns;
}

template <typename Tile, int kThreads>
__device__ __forceinline__ void store_slice(const char* shared, float* to) {
  constexpr int kAcross = Tile::kColumns / 4;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows * kAcross; i += kThreads)
    store(
        to + 4 * i,
        load<4>(reinterpret_cast<const float*>(shared + place_in_tile<Tile::kColumns * 4>(i / kAcross, i % kAcross))));
}

/// Ends a block of forward or backward data, whose tile of D is in shared memory with Finish::kSumBytes behind it: the
/// tile is finished or, if the sum is cut, kept.
template <typename T, bool kBackward, typename Tile, int kThreads>
__device__ __forceinline__ void finish_or_keep(const TileEpilogue& epilogue, const TileGrid& grid, int row, int column,
                                               int slice, float* slices, char* shared) {
  using TileFinish = Finish<T, kBackward, Tile::kRows, Tile, kThreads>;
  if (grid.slices > 1)
    store_slice<Tile, kThreads>(shared, slices + slice_tile<Tile>(grid, slice, row, column));
  else
    TileFinish::run(
        epilogue, row * Tile::kRows, row, column * Tile::kColumns,
        [&](int r, int c) { return load_sums<T, Tile>(shared, r, c); },
        reinterpret_cast<typename TileFinish::Sum*>(shared + Tile::kBytes));
}

/// Adds the slices of forward or backward data in order. A block takes kAddedRows rows of a tile. Grid: blocks of rows,
/// tiles of columns.
constexpr int kAddedRows = 16, kAddThreads = 128;

template <typename T, bool kBackward, typename Tile>
__global__ void __launch_bounds__(kAddThreads)
    conv_add_slices(const float* slices, const TileGrid grid, const TileEpilogue epilogue) {
  using Add = Finish<T, kBackward, kAddedRows, Tile, kAddThreads>;
  SIMT_DYNAMIC_SHARED(typename Add::Sum, scratch);
  constexpr int kBlocksPerTile = Tile::kRows / kAddedRows;
  const int block = static_cast<int>(blockIdx.x), column = static_cast<int>(blockIdx.y);
  const float* const first = slices + slice_tile<Tile>(grid, 0, block / kBlocksPerTile, column) +
                             block % kBlocksPerTile * kAddedRows * Tile::kColumns;
  const int64_t step = slice_tile<Tile>(grid, 1, 0, 0);
  const auto add = [&](int row, int at) {
    Channels<kVector<T>> sum{};
    for (int i = 0; i < grid.slices; ++i) {
      const float* const from = first + i * step + row * Tile::kColumns + at;
#pragma unroll
      for (int j = 0; j < kVector<T>; j += 4) {
        const Channels<4> part = load<4>(from + j);
#pragma unroll
        for (int k = 0; k < 4; ++k) sum.v[j + k] += part.v[k];
      }
    }
    return sum;
  };
  Add::run(epilogue, block * kAddedRows, block, column * Tile::kColumns, add, scratch);
}

/// The host's side of the epilogue: the workspace, and the kernels that follow the product. `sums`: whether there are
/// sums per channel.
template <typename T, bool kBackward, typename Tile>
class OutputSums {
 public:
  OutputSums(const TileGrid& grid, int columns, bool sums) : grid_(grid), columns_(columns), sums_(sums) {}

  size_t workspace_bytes() const { return kept_bytes() + (sums_ ? sizeof(double) * 2 * row_blocks() * columns_ : 0); }
  float* slices(void* workspace) const { return static_cast<float*>(workspace); }
  double* partial(void* workspace) const {
    return sums_ ? reinterpret_cast<double*>(static_cast<char*>(workspace) + kept_bytes()) : nullptr;
  }
  void add_up(const TileEpilogue& epilogue, double* sum, double* sum_of_products, void* workspace,
              Stream stream) const {
    if (grid_.slices > 1)
      launch(KERNEL(conv_add_slices<T, kBackward, Tile>), dim3(row_blocks(), grid_.columns), kAddThreads,
             Finish<T, kBackward, kAddedRows, Tile, kAddThreads>::kSumBytes, stream, slices(workspace), grid_,
             epilogue);
    if (sums_)
      launch_add_partial_sums<2>(epilogue.partial, row_blocks(), columns_, sum, sum_of_products, nullptr, stream);
  }

 private:
  // Blocks of rows that leave sums.
  int row_blocks() const { return grid_.slices > 1 ? grid_.rows * (Tile::kRows / kAddedRows) : grid_.rows; }
  size_t kept_bytes() const { return grid_.slices > 1 ? slice_bytes<Tile>(grid_) : 0; }

  TileGrid grid_;
  int columns_;
  bool sums_;
};

// ---- Backward weights ----------------------------------------------------------------------------------------------

/// How dw lies in D, whose rows are filters.
struct WeightGradient {
  int filters, taps, channels;      // of dw
  int tap_elements, first_element;  // of a tap in D: from one to the next; the first that dw has
  int taps_across, pixel_elements;  // a tap of D is a row of taps_across taps of dw, so far apart
};

constexpr int kAddWeightThreads = 256;

/// dw and, if not null, db from their slices, added in order; one thread an element. partial_bias[slice][row of D].
template <typename Tile>
__global__ void __launch_bounds__(kAddWeightThreads)
    conv_add_weight_slices(const WeightGradient g, const TileGrid grid, const float* slices, const double* partial_bias,
                           float* dw, float* db) {
  const int weights = g.filters * g.taps * g.channels;
  const int element = static_cast<int>(blockIdx.x * kAddWeightThreads + threadIdx.x);
  double sum = 0;
  if (element < weights) {
    const int filter = element / (g.taps * g.channels), tap = element / g.channels % g.taps;
    const int column = tap / g.taps_across * g.tap_elements + g.first_element + tap % g.taps_across * g.pixel_elements +
                       element % g.channels;
    const float* const from = slices + slice_tile<Tile>(grid, 0, filter / Tile::kRows, column / Tile::kColumns) +
                              filter % Tile::kRows * Tile::kColumns + column % Tile::kColumns;
    const int64_t step = slice_tile<Tile>(grid, 1, 0, 0);
#pragma unroll 8
    for (int i = 0; i < grid.slices; ++i) sum += from[i * step];
    dw[element] = static_cast<float>(sum);
  } else if (db && element - weights < g.filters) {
    for (int i = 0; i < grid.slices; ++i) sum += partial_bias[int64_t{i} * grid.rows * Tile::kRows + element - weights];
    db[element - weights] = static_cast<float>(sum);
  }
}

/// The host's side: the workspace, and the kernel that follows the product.
template <typename Tile>
class WeightSums {
 public:
  WeightSums(const WeightGradient& gradient, const TileGrid& grid, bool bias)
      : gradient_(gradient), grid_(grid), bias_(bias) {}

  size_t workspace_bytes() const { return bias_bytes() + slice_bytes<Tile>(grid_); }
  double* partial_bias(void* workspace) const { return bias_ ? static_cast<double*>(workspace) : nullptr; }
  float* slices(void* workspace) const {
    return reinterpret_cast<float*>(static_cast<char*>(workspace) + bias_bytes());
  }
  void add_up(void* workspace, float* dw, float* db, Stream stream) const {
    const int64_t sums =
        int64_t{gradient_.filters} * gradient_.taps * gradient_.channels + (bias_ ? gradient_.filters : 0);
    launch(KERNEL(conv_add_weight_slices<Tile>), parts(sums, kAddWeightThreads), kAddWeightThreads, 0, stream,
           gradient_, grid_, slices(workspace), partial_bias(workspace), dw, bias_ ? db : nullptr);
  }

 private:
  size_t bias_bytes() const { return bias_ ? sizeof(double) * grid_.slices * grid_.rows * Tile::kRows : 0; }

  WeightGradient gradient_;
  TileGrid grid_;
  bool bias_;
};

// ---- Weights rounded to the operands' type -------------------------------------------------------------------------

constexpr int kPackThreads = 256;

/// One thread an element.
template <typename From, typename T>
__global__ void __launch_bounds__(kPackThreads) conv_round_weights(const From* weights, int elements, T* packed) {
  const int element = static_cast<int>(blockIdx.x * kPackThreads + threadIdx.x);
  if (element < elements) packed[element] = T(static_cast<float>(weights[element]));
}

/// KRSC weights of the other type that convolutions read, float or bfloat16, as T.
template <typename T>
void round_weights(const void* weights, int elements, void* packed, Stream stream) {
  using From = std::conditional_t<std::is_same_v<T, float>, bfloat16, float>;
  launch(KERNEL(conv_round_weights<From, T>), parts(elements, kPackThreads), kPackThreads, 0, stream,
         static_cast<const From*>(weights), elements, static_cast<T*>(packed));
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
