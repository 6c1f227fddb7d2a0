// What every use of cuDNN needs: its errors as Error, and a handle.
#pragma once

#include <cudnn.h>

#include "engine/error.h"

namespace sandglass {

inline void check_cudnn(cudnnStatus_t status, const char* expression, const char* file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char details[512] = "";
  cudnnGetLastErrorString(details, sizeof(details));
  fail("cuDNN: {} failed: {} {} ({}:{})", expression, cudnnGetErrorString(status), details, file, line);
}
#define CUDNN_CHECK(...) ::sandglass::check_cudnn((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

/// This thread's handle: one may be used by one thread at a time, and is slow to make.
inline cudnnHandle_t cudnn_handle() {
  struct Owner {
    Owner() { CUDNN_CHECK(cudnnCreate(&handle)); }
    ~Owner() { cudnnDestroy(handle); }
    cudnnHandle_t handle = nullptr;
  };
  thread_local const Owner owner;
  return owner.handle;
}

}  // namespace sandglass
