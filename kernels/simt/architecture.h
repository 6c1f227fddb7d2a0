// Which GPU the emulator stands for, where kernels for several architectures can be chosen from.
#pragma once

#include <string_view>

namespace sandglass::simt {

/// The emulator executes the instructions of both; this is what the operations are chosen by.
enum class Architecture { sm_80, sm_90 };

/// Of the operations that are made from now on. At first what the environment variable SANDGLASS_SIMT_ARCHITECTURE
/// says, or sm_80.
Architecture architecture();
void set_architecture(Architecture architecture);

/// "sm_80" or "sm_90". Throws Error for anything else.
Architecture parse_architecture(std::string_view text);

}  // namespace sandglass::simt
