// Convolution on CUDA cores in plain float arithmetic: any shape, forward and backward.
//
// Each direction is a matrix product D = A B, the patches' matrix of which exists in shared memory only (implicit
// GEMM):
//
//                      row of D    column of D    summed over    A                B
//   forward            n, p, q     k              r, s, c        patches of x     packed weights
//   backward data      n, h, w     c              r, s, k        patches of dy    packed weights
//   backward weights   k           r, s, c        n, p, q        dy               patches of x
//
// A block of 64 threads computes 64 x 64 elements of D, each thread 8 x 8 of them in registers, in steps of 32
// products. While it multiplies a step's tiles of A and B, the next step's are on their way from global memory to
// registers. Packed weights are a plain matrix with a row for each r, s and inner channel and a column for each outer
// channel, padded with zeros to whole tiles. The sum over pixels of backward weights is cut into slices, each computed
// by blocks of its own and then added in order.
//
// Limits: NHWC, also with padded channels; fewer than 2^31 pixels; 16-byte aligned maps where a pixel's channels are a
// multiple of 4.
#include <algorithm>
#include <limits>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_gemm.h"
#include "kernels/conv/conv_library_cuda.h"
#include "kernels/conv/conv_sm90.h"
#include "kernels/conv/conv_tensor_core.h"
#include "kernels/conv/register_tile.h"
#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr const char* kImplementation = "implicit_gemm_fp32";
constexpr int kTile = 64, kDepth = 32, kThreads = 64, kSide = 8;

int whole(int size, int unit) { return (size + unit - 1) / unit * unit; }

// kDepth rows of 64 numbers in shared memory, with four floats of padding in the middle and at the end, so that neither
// threads that read every eighth number nor threads that write to one column of different rows meet in a bank.
struct alignas(16) Tile {
  static constexpr int kPitch = kTile + 4;
  float v[kDepth][kPitch];
  __device__ static int place(int column) { return column + column / 32 * 4; }
};

// What a thread brings to a tile in one step: kDepth numbers that lie side by side in a matrix.
struct Line {
  Channels<4> v[kDepth / 4];
};

__device__ __forceinline__ void store_row(Tile& tile, int row, int column, const Line& line) {
#pragma unroll
  for (int i = 0; i < kDepth / 4; ++i) store(&tile.v[row][Tile::place(column) + 4 * i], line.v[i]);
}

__device__ __forceinline__ void store_column(Tile& tile, int column, const Line& line) {
#pragma unroll
  for (int i = 0; i < kDepth / 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) tile.v[4 * i + j][Tile::place(column)] = line.v[i].v[j];
}

// The thread's part of D += A B; a and b have the summation's index as row.
__device__ __forceinline__ void multiply(const Tile& a, const Tile& b, RegisterTile& sums) {
  const int row = Tile::place(kSide * (threadIdx.x / kSide)), column = Tile::place(kSide * (threadIdx.x % kSide));
#pragma unroll 8
  for (int i = 0; i < kDepth; ++i) sums.add_outer_product(&a.v[i][row], &b.v[i][column]);
}

// The matrix of patches of a map: a row for each pixel of a grid, a column for each r, s, c. Forward, pixel (p, q) sees
// (p*stride + r - padding, q*stride + s - padding) of the map; backward it is the other way round. What is outside of
// the map, beyond the last row or beyond the last column is zero.
struct Patches {
  const void* map = nullptr;
  DataType type = DataType::float32;
  int n = 0, h = 0, w = 0, c = 0;  // the map; c with padding
  int grid_h = 0, grid_w = 0;
  int r = 1, s = 1, stride = 1, padding = 0;
  const float *scale = nullptr, *shift = nullptr;  // of an input transform
  float lowest = 0;                                // of its ReLU: 0 or -infinity
  int coefficients = 0;                            // of each; channels beyond are padding
};
struct Pixel {
  int n, h, w;
};
struct Tap {
  int r, s, c;
};

__device__ __forceinline__ Pixel find_pixel(const Patches& m, int row) {
  return {row / m.grid_w / m.grid_h, row / m.grid_w % m.grid_h, row % m.grid_w};
}

__device__ __forceinline__ void advance(const Patches& m, int rows, Pixel& pixel) {
  pixel.w += rows;
  while (pixel.w >= m.grid_w) {
    pixel.w -= m.grid_w;
    if (++pixel.h == m.grid_h) pixel.h = 0, ++pixel.n;
  }
}

__device__ __forceinline__ Tap find_tap(const Patches& m, int column) {
  return {column / m.c / m.s, column / m.c % m.s, column % m.c};
}

// Index of the first channel of what `pixel` sees through `tap`; negative where that is zero.
template <bool kBackward>
__device__ __forceinline__ int64_t locate(const Patches& m, const Pixel& pixel, const Tap& tap) {
  if (pixel.n >= m.n || tap.r >= m.r) return -1;
  int h, w;
  if constexpr (kBackward) {
    h = pixel.h + m.padding - tap.r;
    w = pixel.w + m.padding - tap.s;
    if (h % m.stride != 0 || w % m.stride != 0) return -1;
    h /= m.stride;
    w /= m.stride;
  } else {
    h = pixel.h * m.stride + tap.r - m.padding;
    w = pixel.w * m.stride + tap.s - m.padding;
  }
  if (h < 0 || h >= m.h || w < 0 || w >= m.w) return -1;
  return ((int64_t{pixel.n} * m.h + h) * m.w + w) * m.c;
}

template <int kWidth>
__device__ __forceinline__ void transform(const Patches& m, int c, Channels<kWidth>& x) {
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float v = fmaf(x.v[i], m.scale[c + i], m.shift[c + i]);
    x.v[i] = m.lowest > v ? m.lowest : v;  // lets NaN through
  }
}

// kRun: columns from a multiple of kRun on lie side by side in the map.
template <bool kBackward, int kRun, typename Element>
__device__ __forceinline__ void load_line(const Patches& m, const Pixel& pixel, Tap& tap, Line& line) {
  constexpr int kWidth = kRun % 4 == 0 ? 4 : 1;
#pragma unroll
  for (int i = 0; i < kDepth; i += kRun) {
    const int64_t source = locate<kBackward>(m, pixel, tap);
#pragma unroll
    for (int j = 0; j < kRun; j += kWidth) {
      Channels<kWidth> x{};
      if (source >= 0) x = load<kWidth>(static_cast<const Element*>(m.map) + source + tap.c + j);
      if (m.scale && source >= 0) {
        if (tap.c + j + kWidth <= m.coefficients) {
          transform(m, tap.c + j, x);
        } else {
#pragma unroll
          for (int k = 0; k < kWidth; ++k) {
            Channels<1> one{{x.v[k]}};
            if (tap.c + j + k < m.coefficients) transform(m, tap.c + j + k, one);
            x.v[k] = one.v[0];
          }
        }
      }
#pragma unroll
      for (int k = 0; k < kWidth; ++k) line.v[(i + j + k) / 4].v[(i + j + k) % 4] = x.v[k];
    }
    tap.c += kRun;
    if (tap.c < m.c) continue;
    tap.c = 0;
    if (++tap.s == m.s) tap.s = 0, ++tap.r;
  }
}

template <bool kBackward, int kRun>
__device__ __forceinline__ void load_line(const Patches& m, const Pixel& pixel, Tap& tap, Line& line) {
  if (m.type == DataType::float32)
    load_line<kBackward, kRun, float>(m, pixel, tap, line);
  else
    load_line<kBackward, kRun, bfloat16>(m, pixel, tap, line);
}

// The next kDepth columns from `tap` on, a multiple of kDepth; it moves behind them.
template <bool kBackward>
__device__ __forceinline__ void load_line(const Patches& m, const Pixel& pixel, Tap& tap, Line& line) {
  if (m.c % kDepth == 0)
    load_line<kBackward, kDepth>(m, pixel, tap, line);
  else if (m.c % 4 == 0)
    load_line<kBackward, 4>(m, pixel, tap, line);
  else
    load_line<kBackward, 1>(m, pixel, tap, line);
}

// ---- Packed weights ------------------------------------------------------------------------------------------------

// packed[(tap * inner + i)][o] = weights[tap * tap_stride + i * inner_stride + o * outer_stride]
struct PackedWeights {
  int taps, inner, outer;  // what the weights have
  int inner_padded;        // channels of a pixel in memory of the map that is convolved
  int inner_stride, outer_stride, tap_stride;
  int rows() const { return whole(taps * inner_padded, kDepth); }
  int columns() const { return whole(outer, kTile); }
  size_t elements() const { return static_cast<size_t>(rows()) * columns(); }
};

constexpr int kPackThreads = 256;

template <typename Element>
__global__ void __launch_bounds__(kPackThreads)
    conv_pack_weights(PackedWeights layout, int columns, const Element* weights, float* packed) {
  const int row = static_cast<int>(blockIdx.x), column = static_cast<int>(blockIdx.y * kPackThreads + threadIdx.x);
  if (column >= columns) return;
  const int tap = row / layout.inner_padded, inner = row % layout.inner_padded;
  const bool is_padding = tap >= layout.taps || inner >= layout.inner || column >= layout.outer;
  packed[int64_t{row} * columns + column] =
      is_padding ? 0.0f
                 : static_cast<float>(weights[tap * int64_t{layout.tap_stride} + inner * int64_t{layout.inner_stride} +
                                              column * int64_t{layout.outer_stride}]);
}

void pack(const PackedWeights& layout, DataType type, const void* weights, void* packed, Stream stream) {
  const int columns = layout.columns();
  with_type(type, [&]<typename Element>() {
    launch(KERNEL(conv_pack_weights<Element>), dim3(layout.rows(), (columns + kPackThreads - 1) / kPackThreads),
           kPackThreads, 0, stream, layout, columns, static_cast<const Element*>(weights), static_cast<float*>(packed));
  });
}

// ---- Forward and backward data -------------------------------------------------------------------------------------

// The block's sums per channel go to partial[blockIdx.x][2][channels].
struct MapEpilogue : Epilogue {
  DataType type = DataType::float32;  // of out, addend and z
  int pixels = 0, channels = 0;
  int pitch = 0;  // channels of a pixel in memory
};

// `count` of the four channels, zeros for the others.
template <typename Element>
__device__ __forceinline__ Channels<4> load_some(const Element* address, int count, bool vector) {
  if (vector) return load<4>(address);
  Channels<4> v{};
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (i < count) v.v[i] = static_cast<float>(address[i]);
  return v;
}

template <typename Element>
__device__ __forceinline__ void store_some(Element* address, int count, bool vector, const Channels<4>& v) {
  if (vector) return store(address, v);
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (i < count) address[i] = static_cast<Element>(v.v[i]);
}

// The thread's pixels in four of its channels.
template <typename Element>
__device__ __forceinline__ void finish(const MapEpilogue& e, const RegisterTile& tile, int first,
                                       double (&sums)[2][4]) {
  const int pixel = static_cast<int>(blockIdx.x) * kTile + kSide * static_cast<int>(threadIdx.x / kSide);
  const int channel = static_cast<int>(blockIdx.y) * kTile + kSide * static_cast<int>(threadIdx.x % kSide) + first;
  const int count = e.pitch - channel, coefficients = e.channels - channel;
  const bool vector = e.pitch % 4 == 0;
  if (count <= 0) return;
  Channels<4> bias{}, scale{}, shift{};
  if (e.bias) bias = load_some(e.bias + channel, coefficients, false);
  if (e.z) scale = load_some(e.scale + channel, coefficients, false);
  if (e.z) shift = load_some(e.shift + channel, coefficients, false);
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
    if (pixel + i >= e.pixels) break;
    const int64_t at = (int64_t{pixel} + i) * e.pitch + channel;
    Channels<4> out, addend{}, z{};
    if (e.addend) addend = load_some(static_cast<const Element*>(e.addend) + at, count, vector);
    if (e.z) z = load_some(static_cast<const Element*>(e.z) + at, count, vector);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float v = tile.sum(i, first + j) + bias.v[j] + addend.v[j];
      if (e.relu) v = relu(v);
      if (e.z && !(fmaf(z.v[j], scale.v[j], shift.v[j]) > 0)) v = 0;
      out.v[j] = static_cast<float>(static_cast<Element>(v));
      if (!e.partial) continue;
      sums[0][j] += out.v[j];
      sums[1][j] += double{out.v[j]} * (e.z ? z.v[j] : out.v[j]);
    }
    store_some(static_cast<Element*>(e.out) + at, count, vector, out);
  }
}

template <bool kBackward>
__global__ void __launch_bounds__(kThreads)
    conv_implicit_gemm(Patches patches, const float* weights, int steps, int columns, MapEpilogue epilogue) {
  SIMT_SHARED(Tile, a, [2]);
  SIMT_SHARED(Tile, b, [2]);
  const int thread = static_cast<int>(threadIdx.x);
  const Pixel pixel = find_pixel(patches, static_cast<int>(blockIdx.x) * kTile + thread);
  Tap tap{0, 0, 0};
  // A row of the weights' tile has 16 groups of four: the threads take four rows at a time.
  constexpr int kRowsAtOnce = kThreads / (kTile / 4);
  const int row = thread / (kTile / 4), column = thread % (kTile / 4) * 4;
  const float* source = weights + int64_t{row} * columns + static_cast<int>(blockIdx.y) * kTile + column;

  Line patch, filters;
  const auto load_step = [&] {
    load_line<kBackward>(patches, pixel, tap, patch);
#pragma unroll
    for (int i = 0; i < kDepth / kRowsAtOnce; ++i) {
      filters.v[i] = load<4>(source);
      source += int64_t{kRowsAtOnce} * columns;
    }
  };
  const auto store_step = [&](int step) {
    store_column(a[step % 2], thread, patch);
#pragma unroll
    for (int i = 0; i < kDepth / kRowsAtOnce; ++i)
      store(&b[step % 2].v[row + i * kRowsAtOnce][Tile::place(column)], filters.v[i]);
  };

  RegisterTile tile;
  load_step();
  store_step(0);
  for (int step = 0; step < steps; ++step) {
    __syncthreads();
    if (step + 1 < steps) load_step();
    multiply(a[step % 2], b[step % 2], tile);
    if (step + 1 < steps) store_step(step + 1);
  }

  // The block's sums: each thread's pixels, then the eight threads that have a channel.
  auto* const block_sums = reinterpret_cast<double(*)[kSide][kTile]>(a);
  static_assert(2 * kSide * kTile * sizeof(double) <= sizeof(a));
  if (epilogue.partial) __syncthreads();
#pragma unroll
  for (int first = 0; first < kSide; first += 4) {
    double sums[2][4] = {};
    if (epilogue.type == DataType::float32)
      finish<float>(epilogue, tile, first, sums);
    else
      finish<bfloat16>(epilogue, tile, first, sums);
    if (epilogue.partial)
#pragma unroll
      for (int s = 0; s < 2; ++s)
#pragma unroll
        for (int j = 0; j < 4; ++j) block_sums[s][thread / kSide][thread % kSide * kSide + first + j] = sums[s][j];
  }
  if (!epilogue.partial) return;
  __syncthreads();
  const int channel = static_cast<int>(blockIdx.y) * kTile + thread;
  if (channel >= epilogue.channels) return;
#pragma unroll
  for (int s = 0; s < 2; ++s) {
    double sum = 0;
    for (int i = 0; i < kSide; ++i) sum += block_sums[s][i][thread];
    epilogue.partial[(int64_t{blockIdx.x} * 2 + s) * epilogue.channels + channel] = sum;
  }
}

void check_map_limits(const char* operation, const char* name, const TensorDesc& desc) {
  check(desc.block >= desc.shape.c, "{}: {} has {} channels in blocks of {}; device '{}' works on NHWC", operation,
        name, desc.shape.c, desc.block, name_of(kTargetDevice));
  check(desc.shape.pixels() < int64_t{1} << 31, "{}: {} is {}, at most {} pixels are possible", operation, name,
        to_string(desc.shape), (int64_t{1} << 31) - 1);
}

// x or dy as matrix of patches.
Patches patches(const ConvShape& shape, const TensorDesc& map, const Shape& grid) {
  const Shape& m = map.shape;
  return {.type = map.type,
          .n = m.n,
          .h = m.h,
          .w = m.w,
          .c = map.block,
          .grid_h = grid.h,
          .grid_w = grid.w,
          .r = shape.r,
          .s = shape.s,
          .stride = shape.stride,
          .padding = shape.padding,
          .coefficients = m.c};
}

void set_transform(const InputTransform& transform, Patches& patches) {
  patches.scale = transform.scale;
  patches.shift = transform.shift;
  patches.lowest = transform.relu ? 0.0f : -std::numeric_limits<float>::infinity();
}

// What forward and backward data share: the product over `map` into `out`.
template <bool kBackward>
class ImplicitGemm {
 public:
  ImplicitGemm(const ConvShape& shape, const TensorDesc& map, const TensorDesc& out, DataType weights, bool sums)
      : patches_(patches(shape, map, out.shape)), out_(out), weights_type_(weights), sums_(sums) {
    const char* const name = kBackward ? ConvBackwardData::kName : ConvForward::kName;
    check_map_limits(name, kBackward ? "dy" : "x", map);
    check_map_limits(name, kBackward ? "dx" : "y", out);
    const int filter = shape.r * shape.s * shape.c;
    weights_ = kBackward ? PackedWeights{shape.r * shape.s, shape.k, shape.c, map.block, filter, 1, shape.c}
                         : PackedWeights{shape.r * shape.s, shape.c, shape.k, map.block, 1, filter, shape.c};
  }
  std::string implementation() const { return kImplementation; }
  size_t packed_weight_bytes() const { return weights_.elements() * sizeof(float); }
  void pack_weights(const void* weights, void* packed, Stream stream) const {
    pack(weights_, weights_type_, weights, packed, stream);
  }
  size_t workspace_bytes() const { return sums_ ? sizeof(double) * 2 * blocks() * out_.shape.c : 0; }

  void run(const char* name, const void* map, const void* weights, const InputTransform& transform,
           const Epilogue& terms, double* sum, double* sum_of_products, void* workspace, Stream stream) const {
    check_aligned(name, vector_width(patches_.c), {map});
    check_aligned(name, vector_width(out_.block), {terms.out, terms.addend, terms.z});
    Patches patches = patches_;
    patches.map = map;
    set_transform(transform, patches);
    MapEpilogue epilogue{terms, out_.type, static_cast<int>(out_.shape.pixels()), out_.shape.c, out_.block};
    epilogue.partial = sums_ ? static_cast<double*>(workspace) : nullptr;
    launch(KERNEL(conv_implicit_gemm<kBackward>), dim3(blocks(), weights_.columns() / kTile), kThreads, 0, stream,
           patches, static_cast<const float*>(weights), weights_.rows() / kDepth, weights_.columns(), epilogue);
    if (sums_)
      launch_add_partial_sums<2>(epilogue.partial, static_cast<int>(blocks()), out_.shape.c, sum, sum_of_products,
                                 nullptr, stream);
  }

 private:
  unsigned blocks() const { return static_cast<unsigned>((out_.shape.pixels() + kTile - 1) / kTile); }

  Patches patches_;
  PackedWeights weights_;
  TensorDesc out_;
  DataType weights_type_;
  bool sums_;
};

using Forward = GemmForward<ImplicitGemm<false>>;
using BackwardData = GemmBackwardData<ImplicitGemm<true>>;

// ---- Backward weights ----------------------------------------------------------------------------------------------

// How D and the sum over pixels are cut; D padded to whole tiles.
struct Slices {
  int rows, columns;    // of D
  int steps_per_slice;  // a step is kDepth pixels
  int count;
};

// dy as a matrix with a row for each pixel and a column for each k.
struct Gradients {
  const void* map = nullptr;
  DataType type = DataType::float32;
  int pixels = 0, channels = 0;  // channels with padding
};

// kDepth columns from `first` on, a multiple of kDepth; zero beyond the matrix.
template <int kWidth, typename Element>
__device__ __forceinline__ void load_line(const Gradients& m, int pixel, int first, Line& line) {
  const Element* const source = static_cast<const Element*>(m.map) + int64_t{pixel} * m.channels + first;
#pragma unroll
  for (int i = 0; i < kDepth; i += kWidth) {
    Channels<kWidth> v{};
    if (pixel < m.pixels && first + i < m.channels) v = load<kWidth>(source + i);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) line.v[(i + j) / 4].v[(i + j) % 4] = v.v[j];
  }
}

__device__ __forceinline__ void load_line(const Gradients& m, int pixel, int first, Line& line) {
  const bool vector = m.channels % 4 == 0;
  if (m.type == DataType::float32)
    vector ? load_line<4, float>(m, pixel, first, line) : load_line<1, float>(m, pixel, first, line);
  else
    vector ? load_line<4, bfloat16>(m, pixel, first, line) : load_line<1, bfloat16>(m, pixel, first, line);
}

// partial[slice][k][column] and, if not null, partial_bias[slice][k]: the slice's part of dw and db.
__global__ void __launch_bounds__(kThreads)
    conv_backward_weights_implicit_gemm(Gradients dy, Patches x, Slices slices, float* partial, double* partial_bias) {
  SIMT_SHARED(Tile, a, [2]);
  SIMT_SHARED(Tile, b, [2]);
  const int thread = static_cast<int>(threadIdx.x), slice = static_cast<int>(blockIdx.z);
  const int first_k = static_cast<int>(blockIdx.x) * kTile, first_column = static_cast<int>(blockIdx.y) * kTile;
  // The thread's pixel in each step, and its half of that pixel's row in the tiles.
  const int row = thread % kDepth, half = thread / kDepth * kDepth;
  int pixel = slice * slices.steps_per_slice * kDepth + row;
  Pixel x_pixel = find_pixel(x, pixel);
  const Tap x_tap = find_tap(x, first_column + half);

  Line gradients, patch;
  const auto load_step = [&] {
    load_line(dy, pixel, first_k + half, gradients);
    pixel += kDepth;
    Tap tap = x_tap;
    load_line<false>(x, x_pixel, tap, patch);
    advance(x, kDepth, x_pixel);
  };
  const auto store_step = [&](int step) {
    store_row(a[step % 2], row, half, gradients);
    store_row(b[step % 2], row, half, patch);
  };

  const bool sums_bias = partial_bias && blockIdx.y == 0;
  double bias = 0;  // of channel first_k + thread
  RegisterTile tile;
  load_step();
  store_step(0);
  for (int step = 0; step < slices.steps_per_slice; ++step) {
    const bool last = step + 1 == slices.steps_per_slice;
    __syncthreads();
    if (!last) load_step();
    multiply(a[step % 2], b[step % 2], tile);
    if (sums_bias)
      for (int i = 0; i < kDepth; ++i) bias += a[step % 2].v[i][Tile::place(thread)];
    if (!last) store_step(step + 1);
  }

  if (sums_bias) partial_bias[int64_t{slice} * slices.rows + first_k + thread] = bias;
  float* const to = partial + (int64_t{slice} * slices.rows + first_k + kSide * (thread / kSide)) * slices.columns +
                    first_column + kSide * (thread % kSide);
#pragma unroll
  for (int i = 0; i < kSide; ++i)
#pragma unroll
    for (int j = 0; j < kSide; j += 4)
      store(to + int64_t{i} * slices.columns + j,
            Channels<4>{{tile.sum(i, j), tile.sum(i, j + 1), tile.sum(i, j + 2), tile.sum(i, j + 3)}});
}

constexpr int kAddThreads = 128;

// dw[k][tap][c] and, if not null, db[k] from the slices' parts, added in order; k = blockIdx.y, a thread has four
// columns.
__global__ void __launch_bounds__(kAddThreads)
    conv_add_slices(Slices slices, int taps, int c, int padded_c, const float* partial, const double* partial_bias,
                    float* dw, float* db) {
  const int k = static_cast<int>(blockIdx.y), column = 4 * static_cast<int>(blockIdx.x * kAddThreads + threadIdx.x);
  if (column >= slices.columns) return;
  double sums[4] = {};
  for (int slice = 0; slice < slices.count; ++slice) {
    const auto part = load<4>(partial + (int64_t{slice} * slices.rows + k) * slices.columns + column);
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] += part.v[i];
  }
  int tap = column / padded_c, channel = column % padded_c;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (tap < taps && channel < c) dw[(int64_t{k} * taps + tap) * c + channel] = static_cast<float>(sums[i]);
    if (++channel == padded_c) channel = 0, ++tap;
  }
  if (!db || column != 0) return;
  double sum = 0;
  for (int slice = 0; slice < slices.count; ++slice) sum += partial_bias[int64_t{slice} * slices.rows + k];
  db[k] = static_cast<float>(sum);
}

class BackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeights(const ConvBackwardWeights& spec)
      : spec_(spec),
        x_(patches(spec.shape, spec.x, spec.dy.shape)),
        dy_{.type = spec.dy.type, .pixels = static_cast<int>(spec.dy.shape.pixels()), .channels = spec.dy.block},
        slices_(cut(spec.shape, spec.x.block)) {
    check_map_limits(ConvBackwardWeights::kName, "x", spec.x);
    check_map_limits(ConvBackwardWeights::kName, "dy", spec.dy);
  }
  std::string implementation() const override { return kImplementation; }
  size_t workspace_bytes() const override {
    return slices_.count * (sizeof(float) * slices_.rows * slices_.columns + (spec_.bias ? bias_bytes() : 0));
  }
  void run(const ConvBackwardWeightsArguments& a, Stream stream) override {
    const ConvShape& s = spec_.shape;
    check_aligned(ConvBackwardWeights::kName, vector_width(x_.c), {a.x});
    check_aligned(ConvBackwardWeights::kName, vector_width(dy_.channels), {a.dy});
    Patches x = x_;
    x.map = a.x;
    if (spec_.input_transform) set_transform(a.transform, x);
    Gradients dy = dy_;
    dy.map = a.dy;
    auto* const partial_bias = spec_.bias ? static_cast<double*>(a.workspace) : nullptr;
    auto* const partial =
        reinterpret_cast<float*>(static_cast<uint8_t*>(a.workspace) + (spec_.bias ? slices_.count * bias_bytes() : 0));
    launch(KERNEL(conv_backward_weights_implicit_gemm),
           dim3(slices_.rows / kTile, slices_.columns / kTile, slices_.count), kThreads, 0, stream, dy, x, slices_,
           partial, partial_bias);
    launch(KERNEL(conv_add_slices), dim3((slices_.columns / 4 + kAddThreads - 1) / kAddThreads, s.k), kAddThreads, 0,
           stream, slices_, s.r * s.s, s.c, x_.c, partial, partial_bias, a.dw, spec_.bias ? a.db : nullptr);
  }

 private:
  // Independent of the GPU, so that every GPU adds in the same order: enough blocks to fill one, and slices long enough
  // that their sums are not the larger part of the memory traffic.
  static constexpr int kBlocks = 1024, kStepsPerSlice = 16;
  static Slices cut(const ConvShape& s, int padded_c) {
    const int rows = whole(s.k, kTile), columns = whole(s.r * s.s * padded_c, kTile);
    const int tiles = rows / kTile * (columns / kTile);
    const int steps = static_cast<int>((s.output().pixels() + kDepth - 1) / kDepth);
    const int most = std::clamp(kBlocks / tiles, 1, std::max(1, steps / kStepsPerSlice));
    const int steps_per_slice = (steps + most - 1) / most;
    return {rows, columns, steps_per_slice, (steps + steps_per_slice - 1) / steps_per_slice};
  }
  size_t bias_bytes() const { return sizeof(double) * slices_.rows; }

  ConvBackwardWeights spec_;
  Patches x_;
  Gradients dy_;
  Slices slices_;
};

// ---- Dispatch ------------------------------------------------------------------------------------------------------

// A library, if the device was opened for one; else the first of the hand-written versions that takes the shape.
template <typename Spec, typename OnCudaCores>
void register_conv() {
  implementations<Spec>()[kTargetDevice] = [](Device& device,
                                              const Spec& spec) -> std::unique_ptr<typename Spec::Operation> {
    if (device.conv_library() != ConvLibrary::hand)
      return make_library_conv(device, spec, library_convs(device.conv_library()));
    if (auto on_hopper = make_sm90_conv(device, spec)) return on_hopper;
    if (auto on_tensor_cores = make_tensor_core_conv(device, spec)) return on_tensor_cores;
    return std::make_unique<OnCudaCores>(spec);
  };
}

}  // namespace

void SANDGLASS_REGISTER(conv)() {
  register_conv<ConvForward, Forward>();
  register_conv<ConvBackwardData, BackwardData>();
  register_conv<ConvBackwardWeights, BackwardWeights>();
}

}  // namespace sandglass
