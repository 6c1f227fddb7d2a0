// wgmma (sm_90a): D += A * B by a warpgroup, four warps whose first one's number is a multiple of four, asynchronously.
// A is 64 x 16 and B 16 x N, bfloat16; D is 64 x N, float, in registers.
//
//   wgmma_fence();                                 orders the products that follow behind the registers they use
//   wgmma<128, Major::k, Major::k>(d, a, b, true)  any number of products
//   wgmma_commit();                                makes them a group
//   wgmma_wait<0>();                               until then neither d nor A's registers nor the shared memory of the
//                                                  operands may be touched
//
// Thread t of the warpgroup holds of D, for j = 0 ... N / 8 - 1,
//   d[4 j + 2 v + u] = D[t / 32 * 16 + t % 32 / 4 + 8 v][8 j + t % 4 * 2 + u],  u, v = 0, 1
// and, where A is in registers, in a[i] two neighbours A[t / 32 * 16 + t % 32 / 4 + i % 2 * 8][t % 4 * 2 + i / 2 * 8 +
// {0, 1}].
//
// Sources: PTX ISA 9.7.15, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions": 9.7.15.5.1.1
// register fragments, 9.7.15.5.1.2 shared memory layouts and matrix descriptors.
#pragma once

#include <cstdint>

#include "kernels/cuda/mbarrier.h"
#ifndef __CUDACC__
#include "kernels/simt/block.h"
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {

#ifdef __CUDACC__
/// How an operand lies in shared memory: the reduction's index contiguous (k), or that of the rows of A or the columns
/// of B (mn). The values are those of wgmma's "transpose".
enum class Major { k, mn };
#else
using simt::Major;
#endif

/// The descriptor of an operand in shared memory, as a tensor copy with 128-byte swizzle leaves it. The operand begins
/// at a multiple of 1024 bytes, or `advance` bytes behind one: 32 for each 16 of k (k-major, up to 96), or 2048 for
/// each 16 of k (mn-major).
///   k-major    rows of 64 k, one for each m or n
///   mn-major   rows of 64 m or n, one for each k; `next_64` bytes lead to the matrix with the next 64
__device__ __forceinline__ uint64_t operand_descriptor(const void* memory, int advance, int next_64 = 16) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kNextEightRows = 8 * 128;
#ifdef __CUDACC__
  const uint32_t address = shared_address(memory) + advance;
#else
  const uint32_t address = simt::Block::running()->shared_memory().address(memory) + advance;
#endif
  return kSwizzle128 | kNextEightRows >> 4 << 32 | static_cast<uint64_t>(next_64 >> 4) << 16 | (address & 0x3ffff) >> 4;
}

#ifdef __CUDACC__
// The registers of D as inline assembly names them.
#define WGMMA_8(i)                                                                                            \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define WGMMA_D32                                                                                                  \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define WGMMA_D64                                                                                               \
  WGMMA_D32                                                                                                     \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define WGMMA_D128                                                                                               \
  WGMMA_D64                                                                                                      \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, "  \
  "%85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, "    \
  "%105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, " \
  "%123, %124, %125, %126, %127"
#define WGMMA_OPERANDS32 WGMMA_8(0), WGMMA_8(8), WGMMA_8(16), WGMMA_8(24)
#define WGMMA_OPERANDS64 WGMMA_OPERANDS32, WGMMA_8(32), WGMMA_8(40), WGMMA_8(48), WGMMA_8(56)
#define WGMMA_OPERANDS128                                                                                        \
  WGMMA_OPERANDS64, WGMMA_8(64), WGMMA_8(72), WGMMA_8(80), WGMMA_8(88), WGMMA_8(96), WGMMA_8(104), WGMMA_8(112), \
      WGMMA_8(120)

template <Major kMajorA, Major kMajorB>
__device__ __forceinline__ void wgmma_ptx(float (&d)[32], uint64_t a, uint64_t b, int accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" WGMMA_D32 "}, %32, %33, p, 1, 1, %35, %36;\n}"
      : WGMMA_OPERANDS32
      : "l"(a), "l"(b), "r"(accumulate), "n"(static_cast<int>(kMajorA)), "n"(static_cast<int>(kMajorB)));
}

template <Major kMajorB>
__device__ __forceinline__ void wgmma_ptx(float (&d)[32], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" WGMMA_D32
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, %38;\n}"
      : WGMMA_OPERANDS32
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(static_cast<int>(kMajorB)));
}

template <Major kMajorA, Major kMajorB>
__device__ __forceinline__ void wgmma_ptx(float (&d)[64], uint64_t a, uint64_t b, int accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" WGMMA_D64 "}, %64, %65, p, 1, 1, %67, %68;\n}"
      : WGMMA_OPERANDS64
      : "l"(a), "l"(b), "r"(accumulate), "n"(static_cast<int>(kMajorA)), "n"(static_cast<int>(kMajorB)));
}

template <Major kMajorB>
__device__ __forceinline__ void wgmma_ptx(float (&d)[64], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" WGMMA_D64
      "}, {%64, %65, %66, %67}, %68, p, 1, 1, %70;\n}"
      : WGMMA_OPERANDS64
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(static_cast<int>(kMajorB)));
}

template <Major kMajorA, Major kMajorB>
__device__ __forceinline__ void wgmma_ptx(float (&d)[128], uint64_t a, uint64_t b, int accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" WGMMA_D128 "}, %128, %129, p, 1, 1, %131, %132;\n}"
      : WGMMA_OPERANDS128
      : "l"(a), "l"(b), "r"(accumulate), "n"(static_cast<int>(kMajorA)), "n"(static_cast<int>(kMajorB)));
}

template <Major kMajorB>
__device__ __forceinline__ void wgmma_ptx(float (&d)[128], const uint32_t (&a)[4], uint64_t b, int accumulate) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %133, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" WGMMA_D128
      "}, {%128, %129, %130, %131}, %132, p, 1, 1, %134;\n}"
      : WGMMA_OPERANDS128
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(static_cast<int>(kMajorB)));
}

#undef WGMMA_8
#undef WGMMA_D32
#undef WGMMA_D64
#undef WGMMA_D128
#undef WGMMA_OPERANDS32
#undef WGMMA_OPERANDS64
#undef WGMMA_OPERANDS128
#endif

__device__ __forceinline__ void wgmma_fence() {
#ifdef __CUDACC__
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  simt::Block::running()->warpgroup().fence(simt::warpgroup_lane());
#endif
}

__device__ __forceinline__ void wgmma_commit() {
#ifdef __CUDACC__
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  simt::Block::running()->warpgroup().commit(simt::warpgroup_lane());
#endif
}

/// Waits for all groups but the kLatest last ones.
template <int kLatest>
__device__ __forceinline__ void wgmma_wait() {
#ifdef __CUDACC__
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLatest) : "memory");
#else
  simt::Block::running()->warpgroup().wait(simt::warpgroup_lane(), kLatest, {__builtin_FILE(), __builtin_LINE()});
#endif
}

/// D = A * B + (accumulate ? D : 0), both operands in shared memory. kN: 64, 128 or 256.
template <int kN, Major kMajorA, Major kMajorB>
__device__ __forceinline__ void wgmma(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate SIMT_CALL_SITE) {
#ifdef __CUDACC__
  wgmma_ptx<kMajorA, kMajorB>(d, a, b, accumulate);
#else
  simt::Block::running()->warpgroup().mma(
      simt::warpgroup_lane(),
      {.n = kN, .a_major = kMajorA, .b_major = kMajorB, .a = a, .b = b, .accumulators = d, .accumulate = accumulate},
      site);
#endif
}

/// The same with A in registers.
template <int kN, Major kMajorB>
__device__ __forceinline__ void wgmma(float (&d)[kN / 2], const uint32_t (&a)[4], uint64_t b,
                                      bool accumulate SIMT_CALL_SITE) {
#ifdef __CUDACC__
  wgmma_ptx<kMajorB>(d, a, b, accumulate);
#else
  simt::Block::running()->warpgroup().mma(simt::warpgroup_lane(),
                                          {.n = kN,
                                           .b_major = kMajorB,
                                           .a_in_registers = true,
                                           .b = b,
                                           .registers = {a[0], a[1], a[2], a[3]},
                                           .accumulators = d,
                                           .accumulate = accumulate},
                                          site);
#endif
}

/// Takes registers from a warpgroup, or gives it some; all its warps call it. A multiple of 8, 24 to 240.
template <int kRegisters>
__device__ __forceinline__ void shrink_registers() {
#ifdef __CUDACC__
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}
template <int kRegisters>
__device__ __forceinline__ void grow_registers() {
#ifdef __CUDACC__
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
