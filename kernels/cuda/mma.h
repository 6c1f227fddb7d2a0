// Matrix products of one warp on tensor cores (sm_80 and up): mma.sync and ldmatrix on whole warp tiles.
//
//   accumulators[kRows][kColumns] += left[kRows][kDepth] * right[kDepth][kColumns]
//
// kDepth is what 32 bytes hold: 16 elements of bfloat16 (mma.m16n8k16) or 8 of float taken as tf32 (mma.m16n8k8); the
// sums are float. A tile is made of the instruction's tiles of 16 x kDepth, kDepth x 8 and 16 x 8. With lane = 4 g + t,
// a lane holds (PTX ISA, "Warp-level matrix instructions")
//
//   left          v[i][j]:     row 16 i + g + 8 (j % 2)        depth (8 bf16 or 4 tf32) * (j / 2) + d
//   right         v[i][2m+j]:  column 16 i + 8 m + g           depth (8 bf16 or 4 tf32) * j + d
//   accumulators  v[i][j][m]:  row 16 i + g + 8 (m / 2)        column 8 j + 2 t + m % 2
//
// where d is t (tf32) or the two elements 2 t and 2 t + 1 (bf16, the first in the low half). A whole warp calls these
// functions; on the emulator each is one collective.
#pragma once

#include <type_traits>

#include "engine/bfloat16.h"
#include "kernels/cuda/target.h"
#ifndef __CUDACC__
#include "kernels/simt/mma.h"
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// Elements along the reduction that one step of the warp's product takes.
template <typename T>
constexpr int kMmaDepth = 32 / static_cast<int>(sizeof(T));

template <int kRows>
struct LeftFragments {
  uint32_t v[kRows / 16][4];
};
template <int kColumns>
struct RightFragments {
  uint32_t v[kColumns / 16][4];
};
template <int kRows, int kColumns>
struct Accumulators {
  float v[kRows / 16][kColumns / 8][4];
};

/// T: bfloat16, or float for tf32, whose low 13 bits the tensor core ignores: round_to_tf32 before.
template <typename T, int kRows, int kColumns>
__device__ __forceinline__ void multiply_add(Accumulators<kRows, kColumns>& sum, const LeftFragments<kRows>& left,
                                             const RightFragments<kColumns>& right SIMT_CALL_SITE) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < kRows / 16; ++i)
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j) {
      float(&d)[4] = sum.v[i][j];
      const uint32_t(&a)[4] = left.v[i];
      const uint32_t b0 = right.v[j / 2][j % 2 * 2], b1 = right.v[j / 2][j % 2 * 2 + 1];
      if constexpr (std::is_same_v<T, bfloat16>)
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
      else
        asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
#else
  simt::multiply_add<T, kRows, kColumns>(&sum.v[0][0][0], &left.v[0][0], &right.v[0][0], site);
#endif
}

/// kCount times ldmatrix.x4: loads 4 kCount matrices of 8 rows of 16 bytes from shared memory. Lane 8 m + r brings in
/// rows[i] the address of row r of the matrices m of the i-th four, and gets in v[i][m]
///   4 bytes of matrix m: of row g, from byte 4 t;   with kTransposed: the 2-byte elements g of its rows 2 t and 2 t
///   + 1.
template <bool kTransposed, int kCount>
__device__ __forceinline__ void load_matrices(uint32_t (&v)[kCount][4],
                                              const void* const (&rows)[kCount] SIMT_CALL_SITE) {
#ifdef __CUDACC__
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const auto from = static_cast<unsigned>(__cvta_generic_to_shared(rows[i]));
    if constexpr (kTransposed)
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(v[i][0]), "=r"(v[i][1]), "=r"(v[i][2]), "=r"(v[i][3])
                   : "r"(from)
                   : "memory");
    else
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(v[i][0]), "=r"(v[i][1]), "=r"(v[i][2]), "=r"(v[i][3])
                   : "r"(from)
                   : "memory");
  }
#else
  simt::load_matrices<kTransposed, kCount>(v, rows, site);
#endif
}

/// A float's bits rounded to tf32: to nearest in 10 bits of mantissa, ties away from zero.
__device__ __forceinline__ uint32_t round_to_tf32(uint32_t bits) {
#ifdef __CUDACC__
  uint32_t result;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(__uint_as_float(bits)));
  return result;
#else
  constexpr uint32_t kExponent = 0x7f800000;
  return (bits & kExponent) == kExponent ? bits : (bits + 0x1000) & ~uint32_t{0x1fff};  // infinity and NaN stay
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
