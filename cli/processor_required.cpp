#include "cli/processor.h"

namespace sandglass {

const uint32_t kRequiredFeatures = 0
#ifdef __SSE4_1__
                                   | kSse41
#endif
#ifdef __SSE4_2__
                                   | kSse42
#endif
#ifdef __POPCNT__
                                   | kPopcnt
#endif
#ifdef __AVX__
                                   | kAvx
#endif
#ifdef __AVX2__
                                   | kAvx2
#endif
#ifdef __FMA__
                                   | kFma
#endif
#ifdef __BMI__
                                   | kBmi
#endif
#ifdef __BMI2__
                                   | kBmi2
#endif
#ifdef __AVX512F__
                                   | kAvx512f
#endif
#ifdef __AVX512BW__
                                   | kAvx512bw
#endif
#ifdef __AVX512DQ__
                                   | kAvx512dq
#endif
#ifdef __AVX512VL__
                                   | kAvx512vl
#endif
#ifdef __AVX512VNNI__
                                   | kAvx512vnni
#endif
#ifdef __XOP__
                                   | kXop
#endif
#ifdef __FMA4__
                                   | kFma4
#endif
    ;

}  // namespace sandglass
