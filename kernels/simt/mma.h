// The emulator's tensor cores: what kernels/cuda/mma.h says, executed for all lanes of a warp at once by its last one.
//
// Written for speed, because nearly all arithmetic of the network happens here: g++ keeps the sums in vector registers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/bfloat16.h"
#include "engine/error.h"
#include "kernels/simt/warp.h"

namespace sandglass::simt {

/// What a lane brings to multiply_add: the first elements of its registers.
struct MmaOperands {
  float* sum;
  const uint32_t* left;
  const uint32_t* right;
};

/// Calls use(i, value) for the operand elements in a register; the i-th belongs to the depth mma_depth(t, block, i).
template <typename T, typename Use>
inline void for_each_operand(uint32_t bits, const Use& use) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    use(0, std::bit_cast<float>(bits << 16));
    use(1, std::bit_cast<float>(bits & 0xffff0000));
  } else {
    use(0, std::bit_cast<float>(bits & ~uint32_t{0x1fff}));
  }
}

template <typename T>
constexpr int mma_depth(int t, int block, int i) {
  return std::is_same_v<T, bfloat16> ? 8 * block + 2 * t + i : 4 * block + t;
}

/// A lane's sums are 4 for each 8 columns: columns 2 t, 2 t + 1 of row g and again of row g + 8. Operands are laid out
/// likewise, as vectors of 8 for 16 columns, so that the product is one vector multiply-add after another.
template <typename T, int kRows, int kColumns>
void multiply_add_lanes(void* const (&lanes)[kWarpSize]) {
  using Vector = float __attribute__((vector_size(32)));
  constexpr int kDepth = 32 / static_cast<int>(sizeof(T)), kTiles = kRows / 16, kVectors = kColumns / 16;
  const auto operands = [&](int lane) -> const MmaOperands& { return *static_cast<const MmaOperands*>(lanes[lane]); };
  alignas(32) float right[4][kDepth][kVectors * 8];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int tile = 0; tile < kColumns / 8; ++tile)
      for (int block = 0; block < 2; ++block)
        for_each_operand<T>(operands(lane).right[tile * 2 + block], [&](int i, float value) {
          float* const to = &right[g / 2][mma_depth<T>(t, block, i)][tile * 4 + g % 2];
          to[0] = to[2] = value;
        });
  }
  for (int g = 0; g < 8; ++g) {
    alignas(32) float left[kDepth][kTiles][8];
    for (int t = 0; t < 4; ++t)
      for (int tile = 0; tile < kTiles; ++tile)
        for (int j = 0; j < 4; ++j)
          for_each_operand<T>(operands(4 * g + t).left[tile * 4 + j], [&](int i, float value) {
            float* const to = &left[mma_depth<T>(t, j / 2, i)][tile][j % 2 * 2];
            to[0] = to[1] = to[4] = to[5] = value;
          });
    for (int t = 0; t < 4; ++t) {
      float* const memory = operands(4 * g + t).sum;
      Vector sum[kTiles][kVectors];
      std::memcpy(sum, memory, sizeof sum);
#pragma GCC unroll 1
      for (int k = 0; k < kDepth; ++k)
#pragma GCC unroll 8
        for (int tile = 0; tile < kTiles; ++tile)
#pragma GCC unroll 8
          for (int vector = 0; vector < kVectors; ++vector)
            sum[tile][vector] += *reinterpret_cast<const Vector*>(left[k][tile]) *
                                 *reinterpret_cast<const Vector*>(&right[t][k][vector * 8]);
      std::memcpy(memory, sum, sizeof sum);
    }
  }
}

template <typename T, int kRows, int kColumns>
void multiply_add(float* sum, const uint32_t* left, const uint32_t* right, CallSite site) {
  MmaOperands operands{sum, left, right};
  run_for_warp("mma.sync", &operands, multiply_add_lanes<T, kRows, kColumns>, site);
}

/// What a lane brings to load_matrices.
template <int kCount>
struct MatrixRows {
  uint32_t (&v)[kCount][4];
  const void* const (&rows)[kCount];
};

template <bool kTransposed, int kCount>
void load_matrices_of_lanes(void* const (&lanes)[kWarpSize]) {
  constexpr int kRowBytes = 16;
  const auto of = [&](int lane) -> const MatrixRows<kCount>& {
    return *static_cast<const MatrixRows<kCount>*>(lanes[lane]);
  };
  for (int i = 0; i < kCount; ++i)
    for (int m = 0; m < 4; ++m) {
      alignas(kRowBytes) uint16_t matrix[8][8];
      for (int row = 0; row < 8; ++row) {
        const void* const from = of(8 * m + row).rows[i];
        check(reinterpret_cast<uintptr_t>(from) % kRowBytes == 0,
              "ldmatrix: the address {} of row {} of matrix {} is not a multiple of {}", from, row, m, kRowBytes);
        std::memcpy(matrix[row], from, kRowBytes);
      }
      for (int lane = 0; lane < kWarpSize; ++lane) {
        const int g = lane / 4, t = lane % 4;
        of(lane).v[i][m] = kTransposed ? matrix[2 * t][g] | uint32_t{matrix[2 * t + 1][g]} << 16
                                       : matrix[g][2 * t] | uint32_t{matrix[g][2 * t + 1]} << 16;
      }
    }
}

template <bool kTransposed, int kCount>
void load_matrices(uint32_t (&v)[kCount][4], const void* const (&rows)[kCount], CallSite site) {
  MatrixRows<kCount> own{v, rows};
  run_for_warp("ldmatrix", &own, load_matrices_of_lanes<kTransposed, kCount>, site);
}

}  // namespace sandglass::simt
