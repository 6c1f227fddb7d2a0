// Chooses the instance of a kernel that fits a feature map or weights.
#pragma once

#include "engine/bfloat16.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// Calls launch_instance.operator()<T>() with the elements' type, float or bfloat16.
template <typename LaunchInstance>
void with_type(DataType type, const LaunchInstance& launch_instance) {
  type == DataType::bfloat16 ? launch_instance.template operator()<bfloat16>()
                             : launch_instance.template operator()<float>();
}

/// Calls launch_instance.operator()<T, kWidth>() with the elements' type and the channels that a thread moves at once
/// (vector_width).
template <typename LaunchInstance>
void with_elements(DataType type, int channels, const LaunchInstance& launch_instance) {
  const bool vectors = vector_width(channels, type) > 1;
  if (type == DataType::bfloat16)
    vectors ? launch_instance.template operator()<bfloat16, 8>() : launch_instance.template operator()<bfloat16, 1>();
  else
    vectors ? launch_instance.template operator()<float, 4>() : launch_instance.template operator()<float, 1>();
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
