// A few neighbouring channels of a pixel in registers, moved by one memory access.
#pragma once

#include "engine/bfloat16.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

template <int kWidth>
struct Channels {
  float v[kWidth];
};

/// From a feature map; the address is a multiple of kWidth floats.
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
__device__ __forceinline__ void store(float* address, const Channels<kWidth>& channels) {
  if constexpr (kWidth == 4)
    *reinterpret_cast<float4*>(address) = make_float4(channels.v[0], channels.v[1], channels.v[2], channels.v[3]);
  else
    *address = channels.v[0];
}

/// The same for bfloat16.
template <int kWidth>
struct alignas(kWidth * sizeof(bfloat16)) PackedChannels {
  bfloat16 v[kWidth];
};
template <int kWidth>
__device__ __forceinline__ Channels<kWidth> load(const bfloat16* address) {
  const auto packed = *reinterpret_cast<const PackedChannels<kWidth>*>(address);
  Channels<kWidth> result;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) result.v[i] = static_cast<float>(packed.v[i]);
  return result;
}
template <int kWidth>
__device__ __forceinline__ void store(bfloat16* address, const Channels<kWidth>& channels) {
  PackedChannels<kWidth> packed;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) packed.v[i] = static_cast<bfloat16>(channels.v[i]);
  *reinterpret_cast<PackedChannels<kWidth>*>(address) = packed;
}

/// The same at an element of a float32 feature map.
template <int kWidth>
__device__ __forceinline__ Channels<kWidth> load(const void* map, int64_t element) {
  return load<kWidth>(static_cast<const float*>(map) + element);
}
template <int kWidth>
__device__ __forceinline__ void store(void* map, int64_t element, const Channels<kWidth>& channels) {
  store(static_cast<float*>(map) + element, channels);
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
