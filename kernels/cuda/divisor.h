// Division by a number that is known before the launch: a multiplication and a shift.
#pragma once

#include <cstdint>

#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// For numbers from 0 to 2^31 - 1. Source: Granlund and Montgomery, "Division by Invariant Integers using
/// Multiplication", PLDI 1994: with 2^shift >= divisor, floor(n / divisor) = floor(n * m / 2^(31 + shift)), where m is
/// 2^(31 + shift) / divisor rounded up.
class Divisor {
 public:
  Divisor() : Divisor(1) {}
  explicit Divisor(int divisor) : divisor_(divisor) {
    while ((int64_t{1} << shift_) < divisor) ++shift_;
    const uint64_t power = uint64_t{1} << (31 + shift_);
    multiplier_ = static_cast<uint32_t>((power + static_cast<uint64_t>(divisor) - 1) / static_cast<uint64_t>(divisor));
  }

  /// The quotient; `n` becomes the remainder.
  __device__ __forceinline__ int divide(int& n) const {
    const uint64_t product = uint64_t{2 * static_cast<uint32_t>(n)} * multiplier_;
    const auto quotient = static_cast<int>(static_cast<uint32_t>(product >> 32) >> shift_);
    n -= quotient * divisor_;
    return quotient;
  }

 private:
  int divisor_;
  int shift_ = 0;
  uint32_t multiplier_;
};

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
