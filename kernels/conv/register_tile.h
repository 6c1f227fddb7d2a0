// 8 x 8 sums of a matrix product in a thread's registers.
#pragma once

#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

#ifdef __CUDACC__

class RegisterTile {
 public:
  __device__ __forceinline__ RegisterTile() {
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j) sums_[i][j] = 0;
  }
  /// sums[i][j] += a[i] * b[j]; both addresses are multiples of 16 bytes.
  __device__ __forceinline__ void add_outer_product(const float* a_address, const float* b_address) {
    float a[8], b[8];
    load(a_address, a);
    load(b_address, b);
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j) sums_[i][j] = fmaf(a[i], b[j], sums_[i][j]);
  }
  __device__ __forceinline__ float sum(int i, int j) const { return sums_[i][j]; }

 private:
  static __device__ __forceinline__ void load(const float* address, float (&v)[8]) {
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
      const float4 all = *reinterpret_cast<const float4*>(address + i);
      v[i] = all.x, v[i + 1] = all.y, v[i + 2] = all.z, v[i + 3] = all.w;
    }
  }
  float sums_[8][8];
};

#else

// The same with g++'s vectors, because g++ 12 does not find 8 rows of 8 in the loops above: twice as fast.
class RegisterTile {
 public:
  void add_outer_product(const float* a, const float* b) {
    const Row row = *reinterpret_cast<const Row*>(b);
    for (int i = 0; i < 8; ++i) rows_[i] += a[i] * row;
  }
  float sum(int i, int j) const { return rows_[i][j]; }

 private:
  typedef float Row __attribute__((vector_size(32), aligned(16), may_alias));
  Row rows_[8]{};
};

#endif

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
