// Whether the GPU can run what nvcc made of this build's kernels: CUDA itself knows best which of them fits which GPU,
// so ask it about an empty one.
#include "engine/device_cuda.h"

namespace sandglass {
namespace {

__global__ void empty_kernel() {}

}  // namespace

int probe_cuda_architecture() {
  cudaFuncAttributes attributes;
  const cudaError_t result = cudaFuncGetAttributes(&attributes, empty_kernel);
  cudaGetLastError();
  return result;
}

}  // namespace sandglass
