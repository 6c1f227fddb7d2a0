// Which instructions the program was compiled to use, and whether the processor has them. A program built on one
// machine and copied to another must say what is wrong instead of dying of an illegal instruction.
#pragma once

#include <cstdint>

namespace sandglass {

enum ProcessorFeature : uint32_t {
  kSse41 = 1u << 0,
  kSse42 = 1u << 1,
  kPopcnt = 1u << 2,
  kAvx = 1u << 3,
  kAvx2 = 1u << 4,
  kFma = 1u << 5,
  kBmi = 1u << 6,
  kBmi2 = 1u << 7,
  kAvx512f = 1u << 8,
  kAvx512bw = 1u << 9,
  kAvx512dq = 1u << 10,
  kAvx512vl = 1u << 11,
  kAvx512vnni = 1u << 12,
  kXop = 1u << 13,
  kFma4 = 1u << 14,
};

/// What processor_required.cpp, and so all of the program, was compiled for.
extern const uint32_t kRequiredFeatures;

}  // namespace sandglass
