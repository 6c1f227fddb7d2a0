// How the work is blocked, for C = K = 128 with AVX2 on a core with 512 KB of L2; with AVX-512 vectors, panels and the
// inner kernel's rows are twice as large, as is L2.
//
// Forward: a block of about 16 tiles is transformed into V (36 x tiles x C, 330 KB, stays in L2). Then, per panel of 16
// output channels, U (36 x C x 16, contiguous, streamed once from L3) times V gives M (36 x tiles x 16, 37 KB), which
// is transformed back at once. Where there are many blocks each thread takes blocks; where there are few (small maps),
// the threads share one V and each takes panels, so that U is read once and not once per thread.
//
// Backward weights: the sum runs over tiles. Blocks of about 128 tiles are transformed by all threads into V and W,
// then every thread adds W V to its share of the 36 x K x C sums. No sum is split between threads.
//
// The inner kernel is an outer product: 6 rows x 16 columns in 12 registers. Every sum runs in the order of c (or of
// tiles), whatever rows or columns surround it, which makes the result independent of blocks and threads. Statistics
// are summed per block, then over blocks in order; blocks depend on the shape alone.
#include "kernels/conv/conv_cpu_winograd.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "engine/error.h"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#define SANDGLASS_WINOGRAD 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 warns of _mm512_max_ps's own code (GCC bug 105593)
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#define SANDGLASS_WINOGRAD 0
#endif

namespace sandglass {
namespace {

constexpr int kOutput = 4;  // output tile, pixels a side
constexpr int kInput = 6;   // input tile
constexpr int kElements = kInput * kInput;
#ifdef __AVX512F__
constexpr int kLane = 16;                 // channels of a channel block: the floats of a vector
constexpr int kRows = 12;                 // rows of the inner kernel, whose rows x 2 sums fill 24 of 32 registers
constexpr size_t kL2Bytes = 1024 * 1024;  // of the smallest processor with such vectors
#else
constexpr int kLane = 8;
constexpr int kRows = 6;  // 12 of 16 registers
constexpr size_t kL2Bytes = 512 * 1024;
#endif
constexpr int kVectors = 2;               // columns of the inner kernel, in vectors
constexpr int kPanel = kVectors * kLane;  // channels of a panel: the columns of the inner kernel
constexpr int kGap = 16;  // floats (a cache line) that keep rows and elements from falling into the same cache sets

// The points of the algorithm: 0, +-a, +-b, infinity. With a = 2/3, b = 3/2 the error against float64 is 2.2 times
// smaller than with the usual a = 1, b = 2 and costs the same. Measured with C = 128, relative to the root mean
// square of the output:
//                     rms error    largest error                        rms error    largest error
//   1, 2                 1.9e-6           3.1e-5     2/3, 3/2              8.9e-7           7.3e-6
//   1, 1/2               2.0e-6           3.3e-5     F(2x2): 0, +-1        3.2e-7           1.6e-6
//   1, -1, 1/2, -2       1.3e-6           1.6e-5     direct, float32       1.7e-7           1.2e-6
//   sqrt 1/2, sqrt 2     9.3e-7           9.8e-6
//   3/4, 3/2             9.6e-7           8.2e-6
constexpr double kA = 2.0 / 3, kB = 3.0 / 2;
constexpr double kA2 = kA * kA, kB2 = kB * kB;

// G: filter to 6 values a side, row i being (1, p, p^2) / product of (p - other points).
constexpr double kNa = 2 * kA2 * (kA2 - kB2), kNb = 2 * kB2 * (kB2 - kA2);
constexpr double kG[kInput][3] = {{1, 0, 0},
                                  {1 / kNa, kA / kNa, kA2 / kNa},
                                  {1 / kNa, -kA / kNa, kA2 / kNa},
                                  {1 / kNb, kB / kNb, kB2 / kNb},
                                  {1 / kNb, -kB / kNb, kB2 / kNb},
                                  {0, 0, 1}};

int divide_up(int a, int b) { return (a + b - 1) / b; }

// Where part `index` of `parts` nearly equal parts of `count` begins.
int part_begin(int count, int parts, int index) {
  return static_cast<int>(static_cast<int64_t>(count) * index / parts);
}

int64_t tile_count(int n, int h, int w) {
  return static_cast<int64_t>(n) * divide_up(h, kOutput) * divide_up(w, kOutput);
}

// Floats from one tile to the next in V and W: an odd number of cache lines where channels are a multiple of 32.
size_t row_stride(int channels) { return static_cast<size_t>(divide_up(channels, kPanel)) * kPanel + kGap; }

size_t element_stride(int tiles, size_t row) { return tiles * row + kGap; }

size_t whole_lines(size_t floats) { return (floats + kPanel - 1) / kPanel * kPanel; }

}  // namespace

// Where a tile lies: image, and first row and column of its output.
struct WinogradConv3x3::Tile {
  int image, row, column;
};

WinogradConv3x3::Tile WinogradConv3x3::tile(int index) const {
  const int in_image = index % tiles_per_image_;
  return {index / tiles_per_image_, in_image / tile_columns_ * kOutput, in_image % tile_columns_ * kOutput};
}

int WinogradConv3x3::channel_block() { return kLane; }

bool WinogradConv3x3::possible(int n, int h, int w, int c, int k) {
  return SANDGLASS_WINOGRAD && n >= 1 && h >= 1 && w >= 1 && static_cast<double>(n) * h * w <= 0x1p30 && c >= kLane &&
         k >= kLane && c <= 0x10000 && k <= 0x10000 && c % kLane == 0 && k % kLane == 0;
}

// Time of oneDNN 2.6.3 divided by the time here: medians of alternating runs on 2 cores, with 16 sets of weights by turns,
// so that they come from L3 or memory as in a network (bench/winograd_bench.cpp).
//   H = W, C = K    128, 64    64, 128    32, 128    16, 128    8, 128    4, 128    64, 32    32, 32    16, 32    8, 32
//   AVX2 (jit:avx2), AMD EPYC of the Zen 3 kind:
//   forward, N = 1     2.08       2.48       2.18       1.86      1.23      0.65      1.64      1.48      1.01     1.03
//   forward, N = 4     2.34       2.51       2.21       2.55      2.34      1.38         -      1.72      1.59     1.02
//   weights, N = 1     2.04       2.92       2.76       1.34      0.53      0.21      1.81      1.70      0.95     0.49
//   weights, N = 4     1.81       2.40       2.39       2.69      1.55      0.64         -      1.68      1.27     0.97
//   AVX-512 (jit:avx512_core), AMD EPYC of the Zen 4 kind:
//   forward, N = 1     2.61       2.85       2.64       2.29      1.20      0.52      2.24      1.70      1.46     1.06
//   forward, N = 4     2.38       3.06       2.57       2.48      1.97      0.98      2.00      1.90      1.29     1.43
//   weights, N = 1     2.51       2.46       2.81       2.41      1.23      0.49      2.84      2.11      1.35     0.65
//   weights, N = 4     2.43       2.75       2.38       2.44      2.25      1.28      1.84      2.26      1.86     1.29
// With few tiles, reading 36/9 times as many weights costs more than the multiplications saved; with few channels the
// transforms do; and where tiles hang over the edge of the map (5x5: 6 of 16 pixels of a tile used, ratio 0.63; 7x7: 12
// of 16, 1.10; 17x17: 1.52) the saving itself is lost.
bool WinogradConv3x3::supported(int n, int h, int w, int c, int k) {
  if (!possible(n, h, w, c, k)) return false;
  const int64_t pixels = static_cast<int64_t>(n) * h * w, tiles = tile_count(n, h, w), channels = std::min(c, k);
  return pixels >= 9 * tiles && channels >= 16 && tiles >= (channels >= 32 ? 4 : 64);
}

bool WinogradConv3x3::supports_backward_weights(int n, int h, int w, int c, int k) {
  const int64_t tiles = possible(n, h, w, c, k) ? tile_count(n, h, w) : 0;
  return supported(n, h, w, c, k) && tiles >= (std::min(c, k) >= 64 ? 16 : 64);
}

WinogradConv3x3::WinogradConv3x3(int n, int h, int w, int c, int k) : n_(n), h_(h), w_(w), c_(c), k_(k) {
  check(
      possible(n, h, w, c, k),
      "winograd convolution of N {} H {} W {} C {} K {}: needs a build with AVX2 and FMA or with AVX-512, sizes of at "
      "least 1, and C and K that are multiples of {}; use the direct convolution",
      n, h, w, c, k, kLane);
  tile_columns_ = divide_up(w, kOutput);
  tiles_per_image_ = tile_columns_ * divide_up(h, kOutput);
  tiles_ = n * tiles_per_image_;
  threads_ = omp_get_max_threads();

  // V takes two thirds of L2. Weights that stay in L2 cost nothing to read again: small blocks then, for more threads.
  const size_t v_bytes = sizeof(float) * kElements * row_stride(c);
  const size_t w_bytes = sizeof(float) * kElements * row_stride(k);
  const int most_tiles = packed_weight_bytes() <= kL2Bytes / 2 ? 12 : 4 * kRows;
  blocks_ = divide_up(tiles_, std::clamp(static_cast<int>(kL2Bytes * 2 / 3 / v_bytes), kRows, most_tiles));
  block_tiles_ = divide_up(tiles_, blocks_);
  // V and W of a block are in L3, shared by all threads: 139 tiles for C = K = 128.
  gradient_blocks_ = divide_up(tiles_, std::max(kPanel, static_cast<int>(5632 * 1024 / (v_bytes + w_bytes))));
  gradient_tiles_ = divide_up(tiles_, gradient_blocks_);
}

int WinogradConv3x3::block_begin(int block) const { return part_begin(tiles_, blocks_, block); }

size_t WinogradConv3x3::packed_weight_bytes() const { return sizeof(float) * kElements * static_cast<size_t>(c_) * k_; }

size_t WinogradConv3x3::v_floats() const {
  return whole_lines(kElements * element_stride(block_tiles_, row_stride(c_)));
}

size_t WinogradConv3x3::m_floats() const { return whole_lines(kElements * element_stride(block_tiles_, kPanel)); }

size_t WinogradConv3x3::workspace_bytes() const {
  return sizeof(float) * threads_ * (v_floats() + m_floats()) + sizeof(double) * 2 * k_ * static_cast<size_t>(blocks_);
}

size_t WinogradConv3x3::backward_weights_workspace_bytes() const {
  return sizeof(float) * kElements *
         (element_stride(gradient_tiles_, row_stride(c_)) + element_stride(gradient_tiles_, row_stride(k_)) +
          element_stride(k_, row_stride(c_)));
}

// packed: panel of 16 k (8 in the last where K is an odd multiple of 8), element, c, k. The loops over lanes are the
// inner ones, which lets the compiler vectorise them: training transforms the weights anew in each step.
void WinogradConv3x3::pack_weights(const float* weights, const float* scale, bool for_backward_data,
                                   float* packed) const {
#pragma omp parallel for schedule(static) num_threads(std::min(threads_, omp_get_max_threads()))
  for (int panel = 0; panel < divide_up(k_, kPanel); ++panel) {
    const int first = panel * kPanel, width = std::min(kPanel, k_ - first);
    float* to = packed + static_cast<size_t>(first) * kElements * c_;
    for (int c = 0; c < c_; ++c) {
      double g[3][3][kPanel] = {}, rows[kInput][3][kPanel];  // rows: G g
      for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s)
          for (int lane = 0; lane < width; ++lane) {
            const size_t k = first + lane;
            const size_t from =
                for_backward_data ? ((c * size_t{3} + 2 - r) * 3 + 2 - s) * k_ + k : ((k * 3 + r) * 3 + s) * c_ + c;
            g[r][s][lane] = static_cast<double>(weights[from]) * (scale ? scale[for_backward_data ? c : k] : 1.0f);
          }
      for (int i = 0; i < kInput; ++i)
        for (int s = 0; s < 3; ++s)
          for (int lane = 0; lane < kPanel; ++lane)
            rows[i][s][lane] = kG[i][0] * g[0][s][lane] + kG[i][1] * g[1][s][lane] + kG[i][2] * g[2][s][lane];
      for (int i = 0; i < kInput; ++i)
        for (int j = 0; j < kInput; ++j) {
          float u[kPanel];
          for (int lane = 0; lane < kPanel; ++lane)
            u[lane] = static_cast<float>(kG[j][0] * rows[i][0][lane] + kG[j][1] * rows[i][1][lane] +
                                         kG[j][2] * rows[i][2][lane]);
          std::copy_n(u, width, to + (static_cast<size_t>(i * kInput + j) * c_ + c) * width);
        }
    }
  }
}

#if SANDGLASS_WINOGRAD

namespace {

// A vector of kLane floats. max gives its second operand where one is NaN: ReLU lets NaN through.
#ifdef __AVX512F__
using Vector = __m512;
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
inline Vector all(float value) { return _mm512_set1_ps(value); }
inline Vector max(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }        // c + a b
inline Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
#else
using Vector = __m256;
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
inline Vector all(float value) { return _mm256_set1_ps(value); }
inline Vector max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }        // c + a b
inline Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
#endif

inline Vector constant(double value) { return all(static_cast<float>(value)); }

// to[i * step] = (B^T from)[i]: row i holds the coefficients of the polynomial that vanishes at the other points.
inline void input_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector d0 = from[0], d1 = from[stride], d2 = from[2 * stride], d3 = from[3 * stride], d4 = from[4 * stride],
               d5 = from[5 * stride];
  const Vector a = constant(kA), b = constant(kB), a2 = constant(kA2), b2 = constant(kB2), sum = constant(kA2 + kB2);
  const Vector even_a = multiply_subtract(b2, d2, d4), odd_a = multiply_subtract(b2, d1, d3);
  const Vector even_b = multiply_subtract(a2, d2, d4), odd_b = multiply_subtract(a2, d1, d3);
  to[0] = multiply_subtract(sum, d2, d0 + d4);
  to[step] = multiply_add(a, odd_a, even_a);
  to[2 * step] = multiply_subtract(a, odd_a, even_a);
  to[3 * step] = multiply_add(b, odd_b, even_b);
  to[4 * step] = multiply_subtract(b, odd_b, even_b);
  to[5 * step] = multiply_subtract(sum, d3, d1 + d5);
}

// to[i * step] = (A^T from)[i]: powers of the points.
inline void output_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector m0 = from[0], m1 = from[stride], m2 = from[2 * stride], m3 = from[3 * stride], m4 = from[4 * stride],
               m5 = from[5 * stride];
  const Vector even_a = m1 + m2, odd_a = m1 - m2;
  const Vector even_b = m3 + m4, odd_b = m3 - m4;
  to[0] = m0 + (even_a + even_b);
  to[step] = multiply_add(constant(kA), odd_a, constant(kB) * odd_b);
  to[2 * step] = multiply_add(constant(kA2), even_a, constant(kB2) * even_b);
  to[3 * step] = multiply_add(constant(kA * kA2), odd_a, multiply_add(constant(kB * kB2), odd_b, m5));
}

// to[i * step] = (A from)[i], the transpose of the output transform.
inline void gradient_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector y0 = from[0], y1 = from[stride], y2 = from[2 * stride], y3 = from[3 * stride];
  const Vector even_a = multiply_add(constant(kA2), y2, y0), odd_a = multiply_add(constant(kA2), y3, y1);
  const Vector even_b = multiply_add(constant(kB2), y2, y0), odd_b = multiply_add(constant(kB2), y3, y1);
  const Vector a = constant(kA), b = constant(kB);
  to[0] = y0;
  to[step] = multiply_add(a, odd_a, even_a);
  to[2 * step] = multiply_subtract(a, odd_a, even_a);
  to[3 * step] = multiply_add(b, odd_b, even_b);
  to[4 * step] = multiply_subtract(b, odd_b, even_b);
  to[5 * step] = y3;
}

// to[i * step] = (G^T from)[i], the transpose of the filter transform.
inline void weight_gradient_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector even_a = constant(1 / kNa) * (from[stride] + from[2 * stride]);
  const Vector odd_a = from[stride] - from[2 * stride];
  const Vector even_b = constant(1 / kNb) * (from[3 * stride] + from[4 * stride]);
  const Vector odd_b = from[3 * stride] - from[4 * stride];
  to[0] = from[0] + (even_a + even_b);
  to[step] = multiply_add(constant(kA / kNa), odd_a, constant(kB / kNb) * odd_b);
  to[2 * step] = multiply_add(constant(kA2), even_a, multiply_add(constant(kB2), even_b, from[5 * stride]));
}

// out (rows x vectors) = or += sum over i < depth of a(row, i) * b(i, column): the inner kernel of both passes.
// kRowMajor says that a(row, i) lies at a[row * a_stride + i], otherwise at a[i * a_stride + row].
template <int rows, int vectors, bool kRowMajor>
void multiply(int depth, const float* a, size_t a_stride, const float* b, size_t b_stride, float* out,
              size_t out_stride, bool accumulate) {
  Vector sums[rows][vectors];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[r][v] = accumulate ? load(out + r * out_stride + v * kLane) : all(0);
  for (int i = 0; i < depth; ++i) {
    Vector columns[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) columns[v] = load(b + i * b_stride + v * kLane);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const Vector factor = all(kRowMajor ? a[r * a_stride + i] : a[i * a_stride + r]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(factor, columns[v], sums[r][v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) store(out + r * out_stride + v * kLane, sums[r][v]);
}

using Multiply = void (*)(int, const float*, size_t, const float*, size_t, float*, size_t, bool);

// The kernels for 1 to kRows rows and `vectors` vectors of columns.
template <int vectors, bool kRowMajor, int... rows>
constexpr std::array<Multiply, kRows> multiply_kernels(std::integer_sequence<int, rows...>) {
  return {multiply<rows + 1, vectors, kRowMajor>...};
}

// out(row, column) over all rows and one or two vectors of columns, in groups of at most kRows rows.
template <bool kRowMajor>
void multiply_rows(int rows, int columns, int depth, const float* a, size_t a_stride, const float* b, size_t b_stride,
                   float* out, size_t out_stride, bool accumulate) {
  using AllRows = std::make_integer_sequence<int, kRows>;
  static constexpr std::array kOneVector = multiply_kernels<1, kRowMajor>(AllRows());
  static constexpr std::array kTwoVectors = multiply_kernels<2, kRowMajor>(AllRows());
  const auto& kernels = columns == kLane ? kOneVector : kTwoVectors;
  const int groups = divide_up(rows, kRows);
  for (int group = 0; group < groups; ++group) {
    const int begin = part_begin(rows, groups, group), end = part_begin(rows, groups, group + 1);
    kernels[end - begin - 1](depth, a + begin * (kRowMajor ? a_stride : 1), a_stride, b, b_stride,
                             out + begin * out_stride, out_stride, accumulate);
  }
}

// One 6x6 tile of a channel block, load(i, j) being its pixels: to[(i * 6 + j) * element_stride] = (B^T d B)(i, j).
template <typename Load>
inline void transform_input_tile(Load load, float* to, size_t element_stride) {
  Vector rows[kInput][kInput];
#pragma GCC unroll 6
  for (int j = 0; j < kInput; ++j) {
    Vector column[kInput];
#pragma GCC unroll 6
    for (int i = 0; i < kInput; ++i) column[i] = load(i, j);
    input_transform_1d(column, 1, &rows[0][j], kInput);
  }
#pragma GCC unroll 6
  for (int i = 0; i < kInput; ++i) {
    Vector result[kInput];
    input_transform_1d(rows[i], 1, result, 1);
#pragma GCC unroll 6
    for (int j = 0; j < kInput; ++j) store(to + (i * kInput + j) * element_stride, result[j]);
  }
}

}  // namespace

// V(element, tile - tile_begin, c) = B^T input(x) B for the given tiles and channels, a panel of channels after
// the other, so that neighbouring tiles find their common pixels in L1.
void WinogradConv3x3::transform_input(const float* x, const InputTransform& input, int tile_begin, int tile_end,
                                      int channel_begin, int channel_end, float* v, size_t element_stride) const {
  const bool transformed = input.scale || input.shift || input.relu;
  const Vector zero = all(0), floor = input.relu ? zero : all(-__builtin_inff());
  for (int first = channel_begin; first < channel_end; first += kPanel)
    for (int index = tile_begin; index < tile_end; ++index) {
      const Tile at = tile(index);
      const int top = at.row - 1, left = at.column - 1;
      const bool inside = top >= 0 && left >= 0 && top + kInput <= h_ && left + kInput <= w_;
      for (int c = first; c < std::min(first + kPanel, channel_end); c += kLane) {
        const float* from = x + (static_cast<size_t>(at.image) * (c_ / kLane) + c / kLane) * h_ * w_ * kLane;
        const Vector scale = input.scale ? load(input.scale + c) : all(1);
        const Vector shift = input.shift ? load(input.shift + c) : zero;
        const auto pixel = [&](int i, int j) {
          return load(from + (static_cast<ptrdiff_t>(top + i) * w_ + left + j) * kLane);
        };
        const auto transform = [&](Vector value) { return max(floor, multiply_add(value, scale, shift)); };
        const auto is_padding = [&](int i, int j) {
          return top + i < 0 || top + i >= h_ || left + j < 0 || left + j >= w_;
        };
        float* to = v + (index - tile_begin) * row_stride(c_) + c;
        if (inside && !transformed)
          transform_input_tile(pixel, to, element_stride);
        else if (inside)
          transform_input_tile([&](int i, int j) { return transform(pixel(i, j)); }, to, element_stride);
        else
          transform_input_tile([&](int i, int j) { return is_padding(i, j) ? zero : transform(pixel(i, j)); }, to,
                               element_stride);
      }
    }
}

// W(element, tile - tile_begin, k) = A dY A^T for the given tiles and channels.
void WinogradConv3x3::transform_gradient(const float* dy, int tile_begin, int tile_end, int channel_begin,
                                         int channel_end, float* w, size_t element_stride) const {
  for (int index = tile_begin; index < tile_end; ++index) {
    const Tile at = tile(index);
    const int row_end = std::min(kOutput, h_ - at.row), column_end = std::min(kOutput, w_ - at.column);
    for (int k = channel_begin; k < channel_end; k += kLane) {
      const size_t plane = (static_cast<size_t>(at.image) * (k_ / kLane) + k / kLane) * h_;
      Vector d[kOutput][kOutput], rows[kInput][kOutput];
      for (int i = 0; i < kOutput; ++i)
        for (int j = 0; j < kOutput; ++j)
          d[i][j] =
              i < row_end && j < column_end ? load(dy + ((plane + at.row + i) * w_ + at.column + j) * kLane) : all(0);
      for (int j = 0; j < kOutput; ++j) gradient_transform_1d(&d[0][j], kOutput, &rows[0][j], kOutput);
      float* to = w + (index - tile_begin) * row_stride(k_) + k;
      for (int i = 0; i < kInput; ++i) {
        Vector result[kInput];
        gradient_transform_1d(rows[i], 1, result, 1);
        for (int j = 0; j < kInput; ++j) store(to + (i * kInput + j) * element_stride, result[j]);
      }
    }
  }
}

// One block of tiles, one panel of output channels: M = V U, then y = epilogue(A^T M A).
void WinogradConv3x3::multiply_panel(const float* v, const float* packed, int block, int panel, float* m, float* y,
                                     const Epilogue& epilogue, double* partial_sums) const {
  const int begin = block_begin(block), tiles = block_begin(block + 1) - begin;
  const int width = std::min(kPanel, k_ - panel * kPanel);
  const size_t v_row = row_stride(c_), v_element = element_stride(block_tiles_, v_row);
  const size_t m_element = element_stride(block_tiles_, kPanel);
  const float* u = packed + static_cast<size_t>(panel) * kPanel * kElements * c_;
  for (int element = 0; element < kElements; ++element)
    multiply_rows<true>(tiles, width, c_, v + element * v_element, v_row, u + static_cast<size_t>(element) * c_ * width,
                        width, m + element * m_element, kPanel, false);

  for (int k = panel * kPanel; k < panel * kPanel + width; k += kLane) {
    const Vector bias = epilogue.bias ? load(epilogue.bias + k) : all(0);
    const Vector floor = epilogue.relu ? all(0) : all(-__builtin_inff());
    double sums[kLane] = {}, sums_squares[kLane] = {};
    for (int index = 0; index < tiles; ++index) {
      const Tile at = tile(begin + index);
      const int row_end = std::min(kOutput, h_ - at.row), column_end = std::min(kOutput, w_ - at.column);
      const float* from = m + index * kPanel + k % kPanel;
      Vector rows[kOutput][kInput], result[kOutput][kOutput];
      for (int j = 0; j < kInput; ++j) {
        Vector column[kInput];
        for (int i = 0; i < kInput; ++i) column[i] = load(from + (i * kInput + j) * m_element);
        output_transform_1d(column, 1, &rows[0][j], kInput);
      }
      for (int i = 0; i < kOutput; ++i) output_transform_1d(rows[i], 1, result[i], 1);

      const size_t plane = (static_cast<size_t>(at.image) * (k_ / kLane) + k / kLane) * h_;
      Vector sum = all(0), squares = all(0);  // of at most 16 pixels: exact enough in float32
      for (int i = 0; i < row_end; ++i) {
        const size_t offset = ((plane + at.row + i) * w_ + at.column) * kLane;
        for (int j = 0; j < column_end; ++j) {
          Vector value = result[i][j];
          sum = sum + value;
          squares = multiply_add(value, value, squares);
          value = value + bias;
          if (epilogue.residual) value = value + load(epilogue.residual + offset + j * kLane);
          store(y + offset + j * kLane, max(floor, value));
        }
      }
      if (epilogue.sum) {
        for (int lane = 0; lane < kLane; ++lane) {
          sums[lane] += static_cast<double>(sum[lane]);
          sums_squares[lane] += static_cast<double>(squares[lane]);
        }
      }
    }
    if (epilogue.sum) {
      double* to = partial_sums + static_cast<size_t>(block) * 2 * k_ + k;
      std::copy_n(sums, kLane, to);
      std::copy_n(sums_squares, kLane, to + k_);
    }
  }
}

void WinogradConv3x3::forward(const float* x, const float* packed, float* y, const InputTransform& input,
                              const Epilogue& epilogue, void* workspace) const {
  const int threads = std::min(threads_, omp_get_max_threads());
  const int panels = divide_up(k_, kPanel), input_panels = divide_up(c_, kPanel);
  const size_t v_element = element_stride(block_tiles_, row_stride(c_));
  float* const v = static_cast<float*>(workspace);
  float* const m = v + threads_ * v_floats();
  double* const partial_sums = reinterpret_cast<double*>(m + threads_ * m_floats());
  const bool block_per_thread = blocks_ >= 2 * threads || panels < threads;
#pragma omp parallel num_threads(threads)
  {
    float* const own_v = v + omp_get_thread_num() * v_floats();
    float* const own_m = m + omp_get_thread_num() * m_floats();
    if (block_per_thread) {
#pragma omp for schedule(static)
      for (int block = 0; block < blocks_; ++block) {
        transform_input(x, input, block_begin(block), block_begin(block + 1), 0, c_, own_v, v_element);
        for (int panel = 0; panel < panels; ++panel)
          multiply_panel(own_v, packed, block, panel, own_m, y, epilogue, partial_sums);
      }
    } else {
      for (int block = 0; block < blocks_; ++block) {
#pragma omp for schedule(static)
        for (int panel = 0; panel < input_panels; ++panel)
          transform_input(x, input, block_begin(block), block_begin(block + 1), panel * kPanel,
                          std::min(c_, (panel + 1) * kPanel), v, v_element);
#pragma omp for schedule(static)
        for (int panel = 0; panel < panels; ++panel)
          multiply_panel(v, packed, block, panel, own_m, y, epilogue, partial_sums);
      }
    }
    if (epilogue.sum) {
#pragma omp for schedule(static)
      for (int k = 0; k < k_; ++k) {
        double sum = 0, squares = 0;
        for (int block = 0; block < blocks_; ++block) {
          sum += partial_sums[static_cast<size_t>(block) * 2 * k_ + k];
          squares += partial_sums[static_cast<size_t>(block) * 2 * k_ + k_ + k];
        }
        epilogue.sum[k] = sum;
        epilogue.sum_squares[k] = squares;
      }
    }
  }
}

void WinogradConv3x3::backward_weights(const float* x, const float* dy, float* dw, const InputTransform& input,
                                       void* workspace) const {
  const int threads = std::min(threads_, omp_get_max_threads());
  const size_t v_row = row_stride(c_), v_element = element_stride(gradient_tiles_, v_row);
  const size_t w_row = row_stride(k_), w_element = element_stride(gradient_tiles_, w_row);
  const size_t s_row = v_row, s_element = element_stride(k_, s_row);
  float* const v = static_cast<float*>(workspace);
  float* const w = v + kElements * v_element;
  float* const s = w + kElements * w_element;
  constexpr int kRowsAtOnce = 8 * kRows;
  const int row_parts = divide_up(k_, kRowsAtOnce), tile_parts = divide_up(gradient_tiles_, 16);
  const int c_panels = divide_up(c_, kPanel), k_panels = divide_up(k_, kPanel);
#pragma omp parallel num_threads(threads)
  {
    for (int block = 0; block < gradient_blocks_; ++block) {
      const int begin = part_begin(tiles_, gradient_blocks_, block);
      const int tiles = part_begin(tiles_, gradient_blocks_, block + 1) - begin;
#pragma omp for schedule(static)
      for (int item = 0; item < (c_panels + k_panels) * tile_parts; ++item) {
        const int panel = item / tile_parts, part = item % tile_parts;
        const int first = part_begin(tiles, tile_parts, part), last = part_begin(tiles, tile_parts, part + 1);
        if (panel < c_panels)
          transform_input(x, input, begin + first, begin + last, panel * kPanel, std::min(c_, (panel + 1) * kPanel),
                          v + first * v_row, v_element);
        else
          transform_gradient(dy, begin + first, begin + last, (panel - c_panels) * kPanel,
                             std::min(k_, (panel - c_panels + 1) * kPanel), w + first * w_row, w_element);
      }
#pragma omp for schedule(static)
      for (int item = 0; item < kElements * row_parts; ++item) {
        const int element = item / row_parts, part = item % row_parts;
        const int k = part_begin(k_, row_parts, part), k_end = part_begin(k_, row_parts, part + 1);
        for (int c = 0; c < c_; c += kPanel)
          multiply_rows<false>(k_end - k, std::min(kPanel, c_ - c), tiles, w + element * w_element + k, w_row,
                               v + element * v_element + c, v_row, s + element * s_element + k * s_row + c, s_row,
                               block > 0);
      }
    }
#pragma omp for schedule(static)
    for (int k = 0; k < k_; ++k)
      for (int c = 0; c < c_; c += kLane) {
        Vector rows[3][kInput], result[3][3];
        for (int j = 0; j < kInput; ++j) {
          Vector column[kInput];
          for (int i = 0; i < kInput; ++i) column[i] = load(s + (i * kInput + j) * s_element + k * s_row + c);
          weight_gradient_transform_1d(column, 1, &rows[0][j], kInput);
        }
        for (int i = 0; i < 3; ++i) weight_gradient_transform_1d(rows[i], 1, result[i], 1);
        for (int i = 0; i < 9; ++i) store(dw + (static_cast<size_t>(k) * 9 + i) * c_ + c, result[i / 3][i % 3]);
      }
  }
}

#else

// No object of the class exists in such a build: the constructor throws.
void WinogradConv3x3::forward(const float*, const float*, float*, const InputTransform&, const Epilogue&, void*) const {
  fail("winograd convolution: built without AVX2 and FMA or AVX-512; use the direct convolution");
}

void WinogradConv3x3::backward_weights(const float*, const float*, float*, const InputTransform&, void*) const {
  fail("winograd convolution: built without AVX2 and FMA or AVX-512; use the direct convolution");
}

#endif

}  // namespace sandglass
