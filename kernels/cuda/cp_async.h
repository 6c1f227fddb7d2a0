// cp.async (sm_80 and up): copies of 16 bytes from global to shared memory that run beside the thread's own work.
//
// A thread commits the copies it has started as a group and later waits until all but its latest groups are done; other
// threads see them after a barrier that follows the wait. PTX ISA, "Data Movement: cp.async".
#pragma once

#include "kernels/cuda/target.h"
#ifndef __CUDACC__
#include "kernels/simt/async_copy.h"
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {

constexpr int kAsyncCopyBytes = 16;

/// Starts a copy of 16 bytes, past the L1 cache. Where `valid` is false the destination becomes zero and nothing is
/// read, but `global` must be an address in global memory all the same. Both addresses are multiples of 16.
__device__ __forceinline__ void start_async_copy(void* shared, const void* global, bool valid) {
#ifdef __CUDACC__
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid ? 16 : 0) : "memory");
#else
  simt::async_copies().start(shared, global, kAsyncCopyBytes, valid ? kAsyncCopyBytes : 0);
#endif
}

/// Makes a group, possibly an empty one, of the copies that the thread has started since the last call.
__device__ __forceinline__ void commit_async_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  simt::async_copies().commit();
#endif
}

/// Waits until all of the thread's groups but the `kNewest` latest are done.
template <int kNewest>
__device__ __forceinline__ void wait_for_async_copies() {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kNewest) : "memory");
#else
  simt::async_copies().wait(kNewest);
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
