// What CUDA adds to C++, for g++: qualifiers, built-in variables and functions. In the global namespace, as there.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/simt/shared_memory.h"
#include "kernels/simt/synchronize.h"
#include "kernels/simt/vector_types.h"
#include "kernels/simt/warp.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

// Of the CUDA thread that runs; the emulator sets them when it goes on with another one.
extern thread_local constinit uint3 threadIdx;
extern thread_local constinit uint3 blockIdx;
extern thread_local constinit dim3 blockDim;
extern thread_local constinit dim3 gridDim;

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  sandglass::simt::synchronize_threads({file, line});
}

inline void __syncwarp(unsigned mask = 0xffffffff, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  sandglass::simt::synchronize_warp(mask, {file, line});
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  using namespace sandglass::simt;
  return shuffle("__shfl_sync", mask, value, shuffle_source(lane(), source, width), {file, line});
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE()) {
  using namespace sandglass::simt;
  return shuffle("__shfl_up_sync", mask, value, shuffle_up_source(lane(), delta, width), {file, line});
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
  using namespace sandglass::simt;
  return shuffle("__shfl_down_sync", mask, value, shuffle_down_source(lane(), delta, width), {file, line});
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  using namespace sandglass::simt;
  return shuffle("__shfl_xor_sync", mask, value, shuffle_xor_source(lane(), lane_mask, width), {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int vote, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  return static_cast<unsigned>(sandglass::simt::exchange("__ballot_sync", mask, vote != 0, -1, {file, line}));
}

inline int __any_sync(unsigned mask, int vote, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return sandglass::simt::exchange("__any_sync", mask, vote != 0, -1, {file, line}) != 0;
}

inline int __all_sync(unsigned mask, int vote, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return sandglass::simt::exchange("__all_sync", mask, vote == 0, -1, {file, line}) == 0;
}
