// mbarriers (sm_90): barriers in shared memory that count arrivals of threads and bytes of asynchronous copies.
// PTX ISA 9.7.13.15, "mbarrier"; 9.7.13.4, "membar / fence".
//
// A phase of a barrier ends when all its arrivals and all bytes that were announced for it have come; the next phase
// then begins by itself. Phases have the parity 0, 1, 0, ...
#pragma once

#include <cstdint>

#include "kernels/cuda/target.h"
#ifndef __CUDACC__
#include "kernels/simt/mbarrier.h"
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {

#ifdef __CUDACC__
/// The address in shared memory that PTX instructions take.
__device__ __forceinline__ uint32_t shared_address(const void* memory) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(memory));
}
#endif

/// One thread calls it, then fence_mbarrier_init(); the others may use the barrier after a __syncthreads().
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int arrivals SIMT_CALL_SITE) {
#ifdef __CUDACC__
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#else
  simt::mbarrier_init(barrier, arrivals, site);
#endif
}

/// Makes the thread's initialised barriers known to asynchronous copies, which see memory by another proxy.
__device__ __forceinline__ void fence_mbarrier_init() {
#ifdef __CUDACC__
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  simt::fence_mbarrier_init();
#endif
}

__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier SIMT_CALL_SITE) {
#ifdef __CUDACC__
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#else
  simt::mbarrier_arrive(barrier, site);
#endif
}

/// Announces `bytes` that asynchronous copies will bring in this phase, and arrives.
__device__ __forceinline__ void mbarrier_arrive_expecting(uint64_t* barrier, int bytes SIMT_CALL_SITE) {
#ifdef __CUDACC__
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
#else
  simt::mbarrier_expect(barrier, bytes, site);
  simt::mbarrier_arrive(barrier, site);
#endif
}

/// Waits until the phase with this parity is over. A new barrier's phase "before the first one" has parity 1 and is
/// over.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, int parity SIMT_CALL_SITE) {
#ifdef __CUDACC__
  uint32_t over;
  do {
    asm volatile(
        "{\n.reg .pred over;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.u32 %0, 1, 0, over;\n}"
        : "=r"(over)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (!over);
#else
  simt::mbarrier_wait(barrier, parity, site);
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
