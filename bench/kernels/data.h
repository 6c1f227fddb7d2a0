// Arguments of operations on a device, and what they hold, for a check on the host.
#pragma once

#include <deque>
#include <vector>

#include "engine/device.h"
#include "tests/kernels/values.h"

namespace sandglass::bench {

using test::Values;

/// Some pictures and channels of a map, all pixels of each: as operations treat channels alike, a few tell of all.
struct Sample {
  std::vector<int> pictures, channels;
  /// Of what the sample holds of a map of this shape.
  Shape of(const Shape& shape) const {
    return {static_cast<int>(pictures.size()), shape.h, shape.w, static_cast<int>(channels.size())};
  }
};
/// 0 .. count - 1.
std::vector<int> all(int count);
/// At most `most` of 0 .. count - 1: the first, the last and some between.
std::vector<int> some(int count, int most);

/// Two pictures and a few channels; every picture.
inline Sample sample_of(const Shape& shape, int channels = 4) { return {some(shape.n, 2), some(shape.c, channels)}; }
inline Sample every_picture(const Shape& shape, int channels = 4) { return {all(shape.n), some(shape.c, channels)}; }

/// The values at these indices.
Values picked(const Values& values, const std::vector<int>& indices);

/// Numbers to fill arrays with: uniform in [low, high), or, with a step, multiples of it in [low, high].
struct Numbers {
  double low = -1, high = 1, step = 0;
};
inline constexpr Numbers kScale{0.5, 1.5}, kShift{-0.5, 0.5};
/// Where a sign decides what passes, numbers are such that it is exact: multiples of 1/64, scales of 1/2.
inline constexpr Numbers kExact{-1, 1, 1.0 / 64}, kExactScale{0.5, 1.5, 0.5}, kExactShift{-0.5, 0.5, 1.0 / 64};

/// A map or an array on a device, `sets` times, so that runs may take one after the other. Random numbers repeat after
/// a prime number of elements, so that large maps are made quickly, by copies within the device.
class Array {
 public:
  /// With numbers, as the type holds them.
  Array(Device& device, const TensorDesc& desc, const Numbers& numbers, uint64_t seed, int sets);
  /// For a result: every byte 0xff (NaN).
  Array(Device& device, const TensorDesc& desc, int sets);
  /// Of `bytes` bytes that are given, for structures.
  Array(Device& device, const void* content, size_t bytes, int sets);

  const TensorDesc& desc() const { return desc_; }
  void* at(int set) const { return memory_.data() + static_cast<size_t>(set) * stride_; }
  template <typename T>
  T* as(int set) const {
    return static_cast<T*>(at(set));
  }

  /// What it was made with, NHWC.
  Values initial(const Sample& sample) const;
  /// What set 0 holds now.
  Values current(const Sample& sample) const;
  /// The same for arrays of double, whose `desc` counts elements of four bytes.
  Values current_doubles() const;
  /// Gives set 0 its first content again.
  void reset();

 private:
  static constexpr size_t kPeriod = 65537;
  void allocate(int sets);
  template <typename T>
  void upload();
  double value(int64_t element) const { return values_[static_cast<size_t>(element) % values_.size()]; }

  Device& device_;
  TensorDesc desc_;
  size_t stride_ = 0;
  std::vector<float> values_;   // of a period, if it has numbers
  std::vector<uint8_t> bytes_;  // if it was given bytes
  DeviceMemory memory_;
};

/// Of a plain array of `size` elements.
TensorDesc array(int size, DataType type = DataType::float32);
TensorDesc doubles(int size);

}  // namespace sandglass::bench
