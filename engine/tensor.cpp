#include "engine/tensor.h"

#include <algorithm>

#include "engine/bfloat16.h"
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

namespace {

template <typename From, typename To>
void convert(const TensorDesc& from, const From* source, const TensorDesc& to, To* target) {
  if (to.padded_channels() != to.shape.c) std::fill_n(target, to.elements(), To(0.0f));
  const Shape& s = from.shape;
#pragma omp parallel for collapse(2)
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c)
          target[to.index(n, h, w, c)] = To(static_cast<float>(source[from.index(n, h, w, c)]));
}

template <typename From>
void convert(const TensorDesc& from, const void* source, const TensorDesc& to, void* target) {
  if (to.type == DataType::bfloat16)
    convert(from, static_cast<const From*>(source), to, static_cast<bfloat16*>(target));
  else
    convert(from, static_cast<const From*>(source), to, static_cast<float*>(target));
}

}  // namespace

void convert_layout(const TensorDesc& from, const void* source, const TensorDesc& to, void* target) {
  check(from.shape == to.shape, "convert_layout: shapes {} and {} differ", to_string(from.shape), to_string(to.shape));
  for (const DataType type : {from.type, to.type})
    check(type == DataType::float32 || type == DataType::bfloat16, "convert_layout: a feature map of type {}",
          name_of(type));
  if (from.type == DataType::bfloat16)
    convert<bfloat16>(from, source, to, target);
  else
    convert<float>(from, source, to, target);
}

}  // namespace sandglass
