// Compiled for the oldest processor, and without any function of the C++ library: the linker may take those from a file
// that was compiled for a newer one.
#include <unistd.h>

#include <cstring>

#include "cli/processor.h"

#if defined(__x86_64__)

namespace sandglass {
namespace {

void print(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) _exit(1);
}

void require(ProcessorFeature feature, bool present, const char* name) {
  if ((kRequiredFeatures & feature) == 0 || present) return;
  print("sandglass: error: this program was built for processors with ");
  print(name);
  print(", which this one lacks; build it on this machine, or with -DSANDGLASS_NATIVE=OFF\n");
  _exit(1);
}

// Before the constructors of static objects, which may use these instructions.
__attribute__((constructor(101))) void check_processor() {
  __builtin_cpu_init();
  require(kSse41, __builtin_cpu_supports("sse4.1"), "SSE4.1");
  require(kSse42, __builtin_cpu_supports("sse4.2"), "SSE4.2");
  require(kPopcnt, __builtin_cpu_supports("popcnt"), "POPCNT");
  require(kAvx, __builtin_cpu_supports("avx"), "AVX");
  require(kAvx2, __builtin_cpu_supports("avx2"), "AVX2");
  require(kFma, __builtin_cpu_supports("fma"), "FMA");
  require(kBmi, __builtin_cpu_supports("bmi"), "BMI");
  require(kBmi2, __builtin_cpu_supports("bmi2"), "BMI2");
  require(kAvx512f, __builtin_cpu_supports("avx512f"), "AVX-512F");
  require(kAvx512bw, __builtin_cpu_supports("avx512bw"), "AVX-512BW");
  require(kAvx512dq, __builtin_cpu_supports("avx512dq"), "AVX-512DQ");
  require(kAvx512vl, __builtin_cpu_supports("avx512vl"), "AVX-512VL");
  require(kAvx512vnni, __builtin_cpu_supports("avx512vnni"), "AVX-512VNNI");
  require(kXop, __builtin_cpu_supports("xop"), "XOP");
  require(kFma4, __builtin_cpu_supports("fma4"), "FMA4");
}

}  // namespace
}  // namespace sandglass

#endif
