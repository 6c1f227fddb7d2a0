#include "engine/tensor.h"

#include <algorithm>

#include "engine/error.h"

namespace sandglass {

size_t bytes_per_element(DataType type) {
  switch (type) {
    case DataType::float32:
      return 4;
    case DataType::bfloat16:
      return 2;
    case DataType::uint8:
      return 1;
  }
  fail("unknown data type {}", static_cast<int>(type));
}

const char* name_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return "float32";
    case DataType::bfloat16:
      return "bfloat16";
    case DataType::uint8:
      return "uint8";
  }
  return "unknown";
}

std::string to_string(const Shape& shape) { return fmt::format("{}x{}x{}x{}", shape.n, shape.h, shape.w, shape.c); }

void convert_layout(const TensorDesc& from, const float* source, const TensorDesc& to, float* target) {
  check(from.shape == to.shape, "convert_layout: shapes {} and {} differ", to_string(from.shape), to_string(to.shape));
  if (to.padded_channels() != to.shape.c) std::fill_n(target, to.elements(), 0.0f);
  const Shape& s = from.shape;
#pragma omp parallel for collapse(2)
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c) target[to.index(n, h, w, c)] = source[from.index(n, h, w, c)];
}

}  // namespace sandglass
