// CUDA_CHECK(cudaFree(p)): throws Error with the expression and CUDA's name and description of what went wrong.
#pragma once

#include <cuda_runtime_api.h>

#include "engine/error.h"

namespace sandglass {

inline void check_cuda(cudaError_t result, const char* expression, const char* file, int line) {
  if (result == cudaSuccess) return;
  cudaGetLastError();  // an error that the next call could survive must not be reported again there
  fail("CUDA: {} failed: {}: {} ({}:{})", expression, cudaGetErrorName(result), cudaGetErrorString(result), file, line);
}

}  // namespace sandglass

#define CUDA_CHECK(...) ::sandglass::check_cuda((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)
