// Copies of bfloat16 tensors from global to shared memory by the tensor memory accelerator (TMA, sm_90).
//
// A tensor map, made on the host, describes the tensor and how much of it a copy takes; a copy, started by one thread,
// names the place in the tensor, the place in shared memory and the mbarrier that counts its bytes. Rows of a copy are
// 64 elements (128 bytes) and are stored with the 128-byte swizzle that wgmma reads: the 16-byte chunk c of row r goes
// to chunk c ^ (r % 8). Shared memory for a copy begins at a multiple of 1024 bytes. Elements outside of the tensor are
// zero. Sources: PTX ISA 5.5, "Tensors" (5.5.3 tiled, 5.5.4 im2col, 5.5.7 swizzling); 9.7.9.25.5.2,
// "cp.async.bulk.tensor"; CUDA driver API, "Tensor Map Object Management".
#pragma once

#include <cstdint>
#include <initializer_list>

#include "engine/tensor.h"
#include "kernels/cuda/mbarrier.h"
#ifdef __CUDACC__
#include <cuda.h>
#else
#include "kernels/simt/block.h"
#include "kernels/simt/tensor_map.h"
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {

#ifdef __CUDACC__
using TensorMap = CUtensorMap;
#else
using TensorMap = simt::TensorMap;
#endif

/// Elements of a copy's row.
constexpr int kTensorRow = 64;

/// A dense tensor of 2 to 5 dimensions, the contiguous one first, and the box that a copy takes of it: box[0] is 64.
/// Throws Error for what TMA cannot do: an address or a stride that is no multiple of 16 bytes, a box over 256.
TensorMap tiled_tensor_map(const void* tensor, std::initializer_list<int64_t> dims, std::initializer_list<int> box);

/// A plain NHWC map whose copies take 64 channels of `pixels` pixels, one after the other as a convolution's outputs
/// are: those pixels that the filter's first tap (r = 0, s = 0) meets. The filter is `filter` x `filter`. Its other
/// taps are reached by the copy's offsets. Throws Error for what TMA cannot do.
TensorMap im2col_tensor_map(const void* tensor, const Shape& shape, int filter, int stride, int padding, int pixels);

/// The block's first multiple of 1024 bytes of shared memory from there on.
__device__ __forceinline__ char* swizzle_aligned(char* shared) {
  constexpr uint32_t kPatternBytes = 1024;
#ifdef __CUDACC__
  const uint32_t address = shared_address(shared);
#else
  const uint32_t address = simt::Block::running()->shared_memory().address(shared);
#endif
  return shared + (kPatternBytes - address % kPatternBytes) % kPatternBytes;
}

/// The address of a kernel's parameter `const __grid_constant__ TensorMap map`.
__device__ __forceinline__ void prefetch_tensor_map(const TensorMap& map) {
#ifdef __CUDACC__
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
#else
  (void)map;
#endif
}

/// Starts a copy of the box at (x, y) of a tensor of two dimensions.
__device__ __forceinline__ void start_tensor_copy(void* shared, const TensorMap& map, uint64_t* barrier, int x,
                                                  int y SIMT_CALL_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(shared_address(shared)),
      "l"(&map), "r"(x), "r"(y), "r"(shared_address(barrier))
      : "memory");
#else
  simt::copy_tensor(shared, map, barrier, {.at = {x, y}}, site);
#endif
}

/// The same with three dimensions.
__device__ __forceinline__ void start_tensor_copy(void* shared, const TensorMap& map, uint64_t* barrier, int x, int y,
                                                  int z SIMT_CALL_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
      "[%5];" ::"r"(shared_address(shared)),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier))
      : "memory");
#else
  simt::copy_tensor(shared, map, barrier, {.at = {x, y, z}}, site);
#endif
}

/// Starts a copy of channels c ... c + 63 of an im2col map: for the output pixels of a convolution from that one on
/// whose first tap meets (n, h, w), what the tap (r, s) meets. Pixels outside of the picture, and behind the last
/// picture, are zero.
__device__ __forceinline__ void start_im2col_copy(void* shared, const TensorMap& map, uint64_t* barrier, int c, int w,
                                                  int h, int n, int s, int r SIMT_CALL_SITE) {
#ifdef __CUDACC__
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, "
      "%5}], [%6], {%7, %8};" ::"r"(shared_address(shared)),
      "l"(&map), "r"(c), "r"(w), "r"(h), "r"(n), "r"(shared_address(barrier)), "h"(static_cast<uint16_t>(s)),
      "h"(static_cast<uint16_t>(r))
      : "memory");
#else
  simt::copy_tensor(shared, map, barrier, {.at = {c, w, h, n}, .offset = {s, r}}, site);
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
