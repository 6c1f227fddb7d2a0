// Operand tiles of tensor cores in shared memory, without bank conflicts.
//
// A tile is a matrix of rows of kRowBytes, a multiple of 128, each cut into chunks of 16 bytes. The chunks of a row are
// exchanged by an exclusive or with a number that depends on the row, so that the accesses of a warp's phase fall into
// different banks whether they go along a row or down a column:
//
//   copies and transforms     8 lanes, chunks 8 i to 8 i + 7 of one row
//   ldmatrix                  8 lanes, one chunk of 8 rows from a multiple of 8
//   tf32 fragments            32 lanes, 4 bytes: floats 8 i to 8 i + 7 of 4 rows from a multiple of 4
//   accumulators              16 lanes, 8 bytes: floats 8 i to 8 i + 7 of 4 rows from a multiple of 4
//
// tests/kernels/conv_tensor_core_test.cpp counts them.
#pragma once

#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

constexpr int kChunkBytes = 16;

/// Where a chunk lies, in bytes from the tile's beginning.
template <int kRowBytes>
__host__ __device__ __forceinline__ int place_in_tile(int row, int chunk) {
  static_assert(kRowBytes % 128 == 0);
  const int exchange = (row & 3) << 1 | (row >> 2 & 1);
  return row * kRowBytes + (chunk ^ exchange) * kChunkBytes;
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
