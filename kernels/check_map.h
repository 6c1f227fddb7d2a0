// Checks of feature maps that the specs' check() functions share.
#pragma once

#include "engine/error.h"
#include "engine/tensor.h"

namespace sandglass {

/// Throws Error unless the map has positive sizes, a layout and elements of type float32 or bfloat16.
inline void check_map(const char* operation, const char* name, const TensorDesc& desc) {
  const Shape& s = desc.shape;
  check(s.n > 0 && s.h > 0 && s.w > 0 && s.c > 0, "{}: {} is {}, every size must be positive", operation, name,
        to_string(s));
  check(desc.block > 0, "{}: {} has no layout, its block is {}", operation, name, desc.block);
  check(desc.type == DataType::float32 || desc.type == DataType::bfloat16,
        "{}: {} is {}, only float32 and bfloat16 are supported", operation, name, name_of(desc.type));
}

/// As above, and the map must have the expected shape.
inline void check_map(const char* operation, const char* name, const TensorDesc& desc, const Shape& expected) {
  check_map(operation, name, desc);
  check(desc.shape == expected, "{}: {} is {}, expected {}", operation, name, to_string(desc.shape),
        to_string(expected));
}

/// As above, and it must be stored in the same channel blocks and element type as another map of the operation.
inline void check_same_layout(const char* operation, const char* name, const TensorDesc& desc, const char* other_name,
                              const TensorDesc& other) {
  check(desc.type == other.type, "{}: {} is {}, {} is {}; they must agree", operation, name, name_of(desc.type),
        other_name, name_of(other.type));
  check(desc.block == other.block, "{}: {} is stored in channel blocks of {}, {} in blocks of {}; they must agree",
        operation, name, desc.block, other_name, other.block);
}

}  // namespace sandglass
