// The two ways to compile the .cu sources, and the few names that depend on the way: by nvcc for the cuda device, by
// g++ for the simt device (docs/simt.md).
#pragma once

#include "engine/device.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>
/// Namespace of all that kernels share, so that both ways fit into one program.
#define SANDGLASS_TARGET on_cuda
/// void SANDGLASS_REGISTER(peak)() {...} defines register_peak_cuda or register_peak_simt of kernels/registry.h.
#define SANDGLASS_REGISTER(operation) register_##operation##_cuda
/// SIMT_SHARED(float, tile, [32][33]): an array in the block's shared memory.
#define SIMT_SHARED(type, name, ...) __shared__ type name __VA_ARGS__
/// SIMT_DYNAMIC_SHARED(float, tile): `float* tile`, the launch's shared_bytes, aligned to 16 bytes.
#define SIMT_DYNAMIC_SHARED(type, name)                                  \
  extern __shared__ __align__(16) unsigned char dynamic_shared_memory[]; \
  type* const name = reinterpret_cast<type*>(dynamic_shared_memory)
/// Last parameter of a device function that the emulator's reports name the caller of.
#define SIMT_CALL_SITE
#else
#include "kernels/simt/cuda_language.h"
#include "kernels/simt/launch.h"
#define SANDGLASS_TARGET on_simt
#define SANDGLASS_REGISTER(operation) register_##operation##_simt
// The static variable's address stands for the declaration; each instance of a template has its own.
#define SIMT_SHARED(type, name, ...)    \
  using name##_type = type __VA_ARGS__; \
  static constinit char name##_tag = 0; \
  name##_type& name =                   \
      *static_cast<name##_type*>(::sandglass::simt::shared_array(&name##_tag, #name, sizeof(name##_type)))
#define SIMT_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(::sandglass::simt::dynamic_shared_memory())
#define SIMT_CALL_SITE , ::sandglass::simt::CallSite site = {__builtin_FILE(), __builtin_LINE()}
#endif

/// Whether the code being compiled may use what only sm_90a has (wgmma, setmaxnreg), TMA and mbarriers. The emulator
/// has all of it; nvcc compiles each kernel once for each architecture.
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SANDGLASS_SM90A 1
#else
#define SANDGLASS_SM90A 0
#endif

namespace sandglass {
inline namespace SANDGLASS_TARGET {

#ifdef __CUDACC__
constexpr DeviceKind kTargetDevice = DeviceKind::cuda;
#else
constexpr DeviceKind kTargetDevice = DeviceKind::simt;
#endif

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
