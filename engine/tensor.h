// Shapes, element types and layouts of device tensors. A Tensor is a view: it owns no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sandglass {

enum class DataType { float32, bfloat16, uint8 };

size_t bytes_per_element(DataType type);
const char* name_of(DataType type);

/// Sizes of a batch of feature maps: N pictures of H x W pixels with C channels.
struct Shape {
  int n = 0, h = 0, w = 0, c = 0;
  bool operator==(const Shape&) const = default;
  int64_t elements() const { return int64_t{n} * h * w * c; }
  int64_t pixels() const { return int64_t{n} * h * w; }
};

/// "2x64x64x256" (N x H x W x C).
std::string to_string(const Shape& shape);

/// Where each element of a feature map lies. Channels are stored in blocks of `block`: element (n, h, w, c) is at
///
///     (((n * blocks() + c / block) * H + h) * W + w) * block + c % block
///
/// One formula covers the layouts in use: block == C is NHWC, block == 1 is NCHW, block == 8 with C % 8 == 0 is
/// oneDNN's nChw8c, and block > C is NHWC with padded channels. Where C is not a multiple of `block`, the channels
/// between C and blocks() * block are padding: every operation reads them as zero and writes them as zero.
struct TensorDesc {
  Shape shape;
  DataType type = DataType::float32;
  int block = 0;

  bool operator==(const TensorDesc&) const = default;
  int blocks() const { return (shape.c + block - 1) / block; }
  int padded_channels() const { return blocks() * block; }
  /// Elements in memory, padding included.
  size_t elements() const { return static_cast<size_t>(shape.pixels()) * static_cast<size_t>(padded_channels()); }
  size_t bytes() const { return elements() * bytes_per_element(type); }
  size_t index(int n, int h, int w, int c) const {
    const size_t row = (static_cast<size_t>(n) * blocks() + c / block) * shape.h + h;
    return (row * shape.w + w) * block + c % block;
  }
};

/// The bytes of several feature maps together.
inline double bytes_of(std::initializer_list<TensorDesc> maps) {
  double sum = 0;
  for (const TensorDesc& map : maps) sum += static_cast<double>(map.bytes());
  return sum;
}

/// Feature map in plain NHWC.
inline TensorDesc nhwc(Shape shape, DataType type = DataType::float32) { return {shape, type, shape.c}; }

/// The address of a float32 feature map, which operations take as void*: its type is in its TensorDesc.
inline const float* f32(const void* map) { return static_cast<const float*>(map); }
inline float* f32(void* map) { return static_cast<float*>(map); }

/// A described piece of device memory.
struct Tensor {
  TensorDesc desc;
  void* data = nullptr;
  float* f32() const { return static_cast<float*>(data); }
};

/// Copies a feature map between two layouts and element types (float32, bfloat16) on the host; `to` has the same
/// shape, its padding becomes zero.
void convert_layout(const TensorDesc& from, const void* source, const TensorDesc& to, void* target);

}  // namespace sandglass
