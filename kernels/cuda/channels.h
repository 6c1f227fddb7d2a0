// A few neighbouring channels of a pixel in registers, as float, moved by one memory access.
#pragma once

#include "engine/bfloat16.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

template <int kWidth>
struct Channels {
  float v[kWidth];
};

/// Neighbouring elements in memory, aligned so that one access moves them all: up to 16 bytes.
template <typename T, int kWidth>
struct alignas(sizeof(T) * kWidth) PackedChannels {
  static_assert(sizeof(T) * kWidth <= 16);
  T v[kWidth];
};

/// From a map of float or bfloat16; the address is a multiple of kWidth elements.
template <int kWidth>
__device__ __forceinline__ Channels<kWidth> load(const float* address) {
  if constexpr (kWidth == 4) {
    const float4 all = *reinterpret_cast<const float4*>(address);
    return {{all.x, all.y, all.z, all.w}};
  } else {
    return {{*address}};
  }
}
template <int kWidth>
__device__ __forceinline__ Channels<kWidth> load(const bfloat16* address) {
  const auto packed = *reinterpret_cast<const PackedChannels<bfloat16, kWidth>*>(address);
  Channels<kWidth> result;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) result.v[i] = static_cast<float>(packed.v[i]);
  return result;
}

template <int kWidth>
__device__ __forceinline__ void store(float* address, const Channels<kWidth>& channels) {
  if constexpr (kWidth == 4)
    *reinterpret_cast<float4*>(address) = make_float4(channels.v[0], channels.v[1], channels.v[2], channels.v[3]);
  else
    *address = channels.v[0];
}
/// Rounds to nearest, ties to even.
template <int kWidth>
__device__ __forceinline__ void store(bfloat16* address, const Channels<kWidth>& channels) {
  PackedChannels<bfloat16, kWidth> packed;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) packed.v[i] = static_cast<bfloat16>(channels.v[i]);
  *reinterpret_cast<PackedChannels<bfloat16, kWidth>*>(address) = packed;
}

/// The same at an element of a feature map, whose type the TensorDesc has.
template <typename T, int kWidth>
__device__ __forceinline__ Channels<kWidth> load(const void* map, int64_t element) {
  return load<kWidth>(static_cast<const T*>(map) + element);
}
template <typename T, int kWidth>
__device__ __forceinline__ void store(void* map, int64_t element, const Channels<kWidth>& channels) {
  store(static_cast<T*>(map) + element, channels);
}

/// From a per-channel array at any address of a float.
template <int kWidth>
__device__ __forceinline__ Channels<kWidth> load_coefficients(const float* address) {
  Channels<kWidth> result;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) result.v[i] = address[i];
  return result;
}

/// max(0, v) that lets NaN through, so that a diverged run is noticed.
__device__ __forceinline__ float relu(float v) { return 0.0f > v ? 0.0f : v; }

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
