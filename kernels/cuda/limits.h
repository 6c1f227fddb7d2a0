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

/// Channels that a thread reads and writes at once: 4 (128 bits) where every pixel begins at a multiple of 4 channels.
inline int vector_width(int channels) { return channels % 4 == 0 ? 4 : 1; }

/// Throws Error unless vectors of `width` floats can be read at all the addresses; null is left out.
inline void check_aligned(const char* operation, int width, std::initializer_list<const void*> addresses) {
  for (const void* address : addresses)
    check(reinterpret_cast<uintptr_t>(address) % (sizeof(float) * width) == 0,
          "{}: the address {} of a feature map is not a multiple of {} bytes", operation, address,
          sizeof(float) * width);
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
