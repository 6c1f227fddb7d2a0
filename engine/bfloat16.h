// bfloat16: the upper half of a float, 8 bits of mantissa. One type for host, cuda and simt code.
#pragma once

#include <bit>
#include <cstdint>

#ifdef __CUDACC__
#define SANDGLASS_EVERYWHERE __host__ __device__
#else
#define SANDGLASS_EVERYWHERE
#endif

namespace sandglass {

struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN, and what is beyond the largest becomes infinity.
  SANDGLASS_EVERYWHERE explicit bfloat16(float value) : bits(rounded(value)) {}
  SANDGLASS_EVERYWHERE explicit operator float() const {
    const uint32_t wide = uint32_t{bits} << 16;
#ifdef __CUDA_ARCH__
    return __uint_as_float(wide);
#else
    return std::bit_cast<float>(wide);
#endif
  }

 private:
  SANDGLASS_EVERYWHERE static uint16_t rounded(float value) {
#ifdef __CUDA_ARCH__
    uint16_t result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
#else
    const uint32_t wide = std::bit_cast<uint32_t>(value);
    if (value != value) return static_cast<uint16_t>(wide >> 16 | 0x40);
    return static_cast<uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
#endif
  }
};
static_assert(sizeof(bfloat16) == 2);

}  // namespace sandglass
