#include "kernels/simt/synchronize.h"

#include "kernels/simt/block.h"

namespace sandglass::simt {

void synchronize_threads(CallSite site) { Block::running()->barrier(site); }

}  // namespace sandglass::simt
