// mbarriers of the emulated block: barriers in shared memory that count arrivals and the bytes of asynchronous copies.
// PTX ISA 9.7.13.15, "Parallel Synchronization and Communication Instructions: mbarrier".
#pragma once

#include <cstdint>

#include "kernels/simt/warp.h"

namespace sandglass::simt {

/// The state is in the barrier's own 8 bytes, as on the GPU, so that what overwrites it there is noticed here.
void mbarrier_init(uint64_t* barrier, int arrivals, CallSite site);
/// Makes initialised barriers known to asynchronous copies; a copy that meets a barrier without it is reported.
void fence_mbarrier_init();
/// The current phase waits for `bytes` more.
void mbarrier_expect(uint64_t* barrier, int bytes, CallSite site);
void mbarrier_arrive(uint64_t* barrier, CallSite site);
/// Waits until the phase of this parity (0 for the first one) is over.
void mbarrier_wait(uint64_t* barrier, int parity, CallSite site);

/// For asynchronous copies: throws Error unless the barrier was initialised and the fence came after.
void check_mbarrier_for_copy(const uint64_t* barrier, CallSite site);
/// A copy of so many bytes has arrived.
void mbarrier_complete(uint64_t* barrier, int bytes);

}  // namespace sandglass::simt
