// AddressSanitizer ends the program when a kernel reads or writes outside of its memory. This says first whose fault it
// was.
#if defined(__SANITIZE_ADDRESS__)

#include <cstdio>

#include "kernels/simt/block.h"

// AddressSanitizer calls it before it reports an error.
extern "C" void __asan_on_error() {
  sandglass::simt::Block* const block = sandglass::simt::Block::running();
  if (block) std::fprintf(stderr, "sandglass: simt: %s\n", block->where().c_str());
}

#endif
