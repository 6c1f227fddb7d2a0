#include "bench/kernels/data.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "engine/bfloat16.h"
#include "engine/error.h"
#include "engine/random.h"

namespace sandglass::bench {

std::vector<int> all(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

std::vector<int> some(int count, int most) {
  if (count <= most) return all(count);
  std::vector<int> numbers;
  for (int i = 0; i < most; ++i)
    numbers.push_back(static_cast<int>(std::lround(static_cast<double>(i) * (count - 1) / std::max(most - 1, 1))));
  return numbers;
}

Values picked(const Values& values, const std::vector<int>& indices) {
  Values result;
  for (const int i : indices) result.push_back(values[static_cast<size_t>(i)]);
  return result;
}

TensorDesc array(int size, DataType type) { return nhwc({1, 1, 1, size}, type); }
TensorDesc doubles(int size) { return array(2 * size); }

Array::Array(Device& device, const TensorDesc& desc, const Numbers& numbers, uint64_t seed, int sets)
    : device_(device), desc_(desc), values_(kPeriod) {
  Random random(seed);
  const int steps = numbers.step > 0 ? static_cast<int>(std::lround((numbers.high - numbers.low) / numbers.step)) : 0;
  for (float& v : values_)
    v = steps ? static_cast<float>(numbers.low + random.below(static_cast<uint32_t>(steps + 1)) * numbers.step)
              : random.uniform(static_cast<float>(numbers.low), static_cast<float>(numbers.high));
  if (desc.type == DataType::bfloat16)
    for (float& v : values_) v = static_cast<float>(bfloat16(v));
  allocate(sets);
}

Array::Array(Device& device, const TensorDesc& desc, int sets) : device_(device), desc_(desc) { allocate(sets); }

Array::Array(Device& device, const void* content, size_t bytes, int sets)
    : device_(device), desc_(array(static_cast<int>(bytes), DataType::uint8)), bytes_(bytes) {
  std::memcpy(bytes_.data(), content, bytes);
  allocate(sets);
}

void Array::allocate(int sets) {
  constexpr size_t kAlignment = 256;
  stride_ = (desc_.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  memory_ = DeviceMemory(device_, stride_ * static_cast<size_t>(sets));
  reset();
  for (int set = 1; set < sets; ++set) device_.copy(at(set), at(0), desc_.bytes());
  device_.synchronize();
}

void Array::reset() {
  if (!bytes_.empty())
    device_.copy_to_device(at(0), bytes_.data(), bytes_.size());
  else if (values_.empty())
    device_.fill(at(0), 0xff, desc_.bytes());
  else if (desc_.type == DataType::bfloat16)
    upload<bfloat16>();
  else if (desc_.type == DataType::uint8)
    upload<uint8_t>();
  else
    upload<float>();
  device_.synchronize();
}

template <typename T>
void Array::upload() {
  std::vector<T> elements;
  if (desc_.block == desc_.shape.c) {  // plain: a period, then copies of what is there
    for (size_t i = 0; i < std::min(kPeriod, desc_.elements()); ++i) elements.push_back(T(values_[i]));
  } else {
    elements.assign(desc_.elements(), T());  // padding is zero
    const Shape& s = desc_.shape;
    int64_t i = 0;
    for (int n = 0; n < s.n; ++n)
      for (int h = 0; h < s.h; ++h)
        for (int w = 0; w < s.w; ++w)
          for (int c = 0; c < s.c; ++c) elements[desc_.index(n, h, w, c)] = T(static_cast<float>(value(i++)));
  }
  auto* const to = static_cast<uint8_t*>(at(0));
  device_.copy_to_device(to, elements.data(), elements.size() * sizeof(T));
  const size_t bytes = desc_.bytes();
  for (size_t there = elements.size() * sizeof(T); there < bytes; there *= 2)
    device_.copy(to + there, to, std::min(there, bytes - there));
  device_.synchronize();
}

Values Array::initial(const Sample& sample) const {
  const Shape& s = desc_.shape;
  Values values;
  values.reserve(static_cast<size_t>(sample.of(s).elements()));
  for (const int n : sample.pictures)
    for (int64_t pixel = 0; pixel < int64_t{s.h} * s.w; ++pixel)
      for (const int c : sample.channels) values.push_back(value((int64_t{n} * s.h * s.w + pixel) * s.c + c));
  return values;
}

Values Array::current(const Sample& sample) const {
  const Shape& s = desc_.shape;
  const size_t size = bytes_per_element(desc_.type), picture = desc_.bytes() / static_cast<size_t>(s.n);
  std::vector<uint8_t> bytes(picture);
  Values values;
  values.reserve(static_cast<size_t>(sample.of(s).elements()));
  for (const int n : sample.pictures) {
    device_.copy_to_host(bytes.data(), as<uint8_t>(0) + static_cast<size_t>(n) * picture, picture);
    device_.synchronize();
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (const int c : sample.channels) {
          const uint8_t* const from = &bytes[desc_.index(0, h, w, c) * size];
          float value = *from;
          if (desc_.type == DataType::float32) std::memcpy(&value, from, sizeof(value));
          if (desc_.type == DataType::bfloat16) {
            bfloat16 stored;
            std::memcpy(&stored, from, sizeof(stored));
            value = static_cast<float>(stored);
          }
          values.push_back(value);
        }
  }
  return values;
}

Values Array::current_doubles() const {
  Values values(desc_.elements() / 2);
  device_.copy_to_host(values.data(), at(0), desc_.bytes());
  device_.synchronize();
  return values;
}

}  // namespace sandglass::bench
