// launch(KERNEL(name), grid, block, shared_bytes, stream, arguments...): cudaLaunchKernelEx under nvcc, the emulator
// under g++. Throws Error that names the kernel if it cannot start.
#pragma once

#include <type_traits>

#include "engine/device.h"
#include "engine/error.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// A __global__ function and what to call it in reports.
template <typename... Parameters>
struct Kernel {
  void (*function)(Parameters...);
  const char* name;
};
template <typename... Parameters>
Kernel(void (*)(Parameters...), const char*) -> Kernel<Parameters...>;

/// KERNEL(reduce<4, true>)
#define KERNEL(...) (::sandglass::Kernel{__VA_ARGS__, #__VA_ARGS__})

template <typename... Parameters>
void launch(const Kernel<Parameters...>& kernel, dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            std::type_identity_t<Parameters>... arguments) {
#ifdef __CUDACC__
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream.handle);
  constexpr size_t kWithoutAsking = 48 * 1024;
  cudaError_t result = cudaSuccess;
  if (shared_bytes > kWithoutAsking)
    result = cudaFuncSetAttribute(kernel.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes));
  if (result == cudaSuccess) result = cudaLaunchKernelEx(&config, kernel.function, arguments...);
  if (result != cudaSuccess) {
    cudaGetLastError();
    fail(
        "CUDA: launch of kernel '{}' with grid {} x {} x {}, block {} x {} x {}, {} bytes of shared memory failed: {}: "
        "{}",
        kernel.name, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, cudaGetErrorName(result),
        cudaGetErrorString(result));
  }
#else
  simt::launch({kernel.name, grid, block, shared_bytes}, stream,
               [function = kernel.function, arguments...] { function(arguments...); });
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
