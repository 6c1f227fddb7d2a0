// The block's barrier.
#pragma once

#include "kernels/simt/warp.h"

namespace sandglass::simt {

/// Waits until all threads of the block are here. CUDA lets threads of a block wait only in the same place of the
/// program, and only if none has returned; what breaks that is reported.
void synchronize_threads(CallSite site);

}  // namespace sandglass::simt
