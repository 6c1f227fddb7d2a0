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
//
// The code is compiled once for AVX2 and once for AVX-512, whatever the rest of the program is compiled for, and chosen
// by the processor that it runs on.
#include "kernels/conv/conv_cpu_winograd.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "engine/error.h"

#if defined(__x86_64__)
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

bool has_avx512() { return SANDGLASS_WINOGRAD && __builtin_cpu_supports("avx512f"); }
bool has_avx2() { return SANDGLASS_WINOGRAD && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

#if SANDGLASS_WINOGRAD

// In both: max gives its second operand where one is NaN, so that ReLU lets NaN through.
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
constexpr int kLane = 8;                 // channels of a channel block: the floats of a vector
constexpr int kRows = 6;                 // rows of the inner kernel, whose rows x 2 sums fill 12 of 16 registers
constexpr size_t kL2Bytes = 512 * 1024;  // of the smallest processor meant
using Vector = __m256;
inline Vector load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
inline Vector all(float value) { return _mm256_set1_ps(value); }
inline Vector max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }        // c + a b
inline Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
#include "kernels/conv/conv_cpu_winograd_simd.h"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f")
namespace avx512 {
constexpr int kLane = 16;
constexpr int kRows = 12;  // 24 of 32 registers
constexpr size_t kL2Bytes = 1024 * 1024;
using Vector = __m512;
inline Vector load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
inline Vector all(float value) { return _mm512_set1_ps(value); }
inline Vector max(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }        // c + a b
inline Vector multiply_subtract(Vector a, Vector b, Vector c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
#include "kernels/conv/conv_cpu_winograd_simd.h"
}  // namespace avx512
#pragma GCC pop_options

#endif

}  // namespace

bool WinogradConv3x3::possible(int n, int h, int w, int c, int k, int block) {
  return ((block == 8 && has_avx2()) || (block == 16 && has_avx512())) && n >= 1 && h >= 1 && w >= 1 &&
         static_cast<double>(n) * h * w <= 0x1p30 && c >= block && k >= block && c <= 0x10000 && k <= 0x10000 &&
         c % block == 0 && k % block == 0;
}

// Time of oneDNN 2.6.3 divided by the time here: medians of alternating runs on 2 cores, with 16 sets of weights by
// turns, so that they come from L3 or memory as in a network (bench/winograd_bench.cpp).
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
bool WinogradConv3x3::supported(int n, int h, int w, int c, int k, int block) {
  if (!possible(n, h, w, c, k, block)) return false;
  const int64_t pixels = static_cast<int64_t>(n) * h * w, tiles = tile_count(n, h, w), channels = std::min(c, k);
  return pixels >= 9 * tiles && channels >= 16 && tiles >= (channels >= 32 ? 4 : 64);
}

bool WinogradConv3x3::supports_backward_weights(int n, int h, int w, int c, int k, int block) {
  const int64_t tiles = possible(n, h, w, c, k, block) ? tile_count(n, h, w) : 0;
  return supported(n, h, w, c, k, block) && tiles >= (std::min(c, k) >= 64 ? 16 : 64);
}

std::unique_ptr<WinogradConv3x3> WinogradConv3x3::create(int n, int h, int w, int c, int k, int block) {
  check(possible(n, h, w, c, k, block),
        "winograd convolution of N {} H {} W {} C {} K {} in channel blocks of {}: needs sizes of at least 1, C and K "
        "that are multiples of the block, and a block of 8 on a processor with AVX2 or 16 with AVX-512; use the direct "
        "convolution",
        n, h, w, c, k, block);
#if SANDGLASS_WINOGRAD
  if (block == 16) return std::make_unique<avx512::Winograd>(n, h, w, c, k);
  return std::make_unique<avx2::Winograd>(n, h, w, c, k);
#else
  return nullptr;  // not reached: nothing is possible
#endif
}

}  // namespace sandglass
