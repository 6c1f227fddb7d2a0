// What the kernels ask of feature maps beyond the contracts; the launchers check it before they launch.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "engine/error.h"
#include "engine/tensor.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// Throws Error unless the map is plain NHWC, as Device::activation of cuda and simt says.
inline void check_nhwc(const char* operation, const char* name, const TensorDesc& desc) {
  check(desc.block == desc.shape.c,
        "{}: {} has {} channels in blocks of {}; device '{}' works on plain NHWC, blocks of {}", operation, name,
        desc.shape.c, desc.block, name_of(kTargetDevice), desc.shape.c);
}

/// Channels that a thread reads and writes at once: 128 bits of them where every pixel begins at such a multiple.
inline int vector_width(int channels, DataType type = DataType::float32) {
  const int widest = static_cast<int>(16 / bytes_per_element(type));
  return channels % widest == 0 ? widest : 1;
}

/// Throws Error unless vectors of `width` elements can be read at all the addresses; null is left out.
inline void check_aligned(const char* operation, int width, std::initializer_list<const void*> addresses,
                          DataType type = DataType::float32) {
  const size_t bytes = bytes_per_element(type) * static_cast<size_t>(width);
  for (const void* address : addresses)
    check(reinterpret_cast<uintptr_t>(address) % bytes == 0, "{}: the address {} is not a multiple of {} bytes",
          operation, address, bytes);
}

/// The same for 16 bytes of whatever is there.
inline void check_chunks(const char* operation, std::initializer_list<const void*> addresses) {
  check_aligned(operation, 16, addresses, DataType::uint8);
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
