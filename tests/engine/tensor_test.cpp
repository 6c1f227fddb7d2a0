// Shapes and layouts.
#include "engine/tensor.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "engine/error.h"

namespace sandglass {
namespace {

TEST(Tensor, types_have_sizes_and_names) {
  EXPECT_EQ(bytes_per_element(DataType::float32), 4u);
  EXPECT_EQ(bytes_per_element(DataType::bfloat16), 2u);
  EXPECT_EQ(bytes_per_element(DataType::uint8), 1u);
  EXPECT_STREQ(name_of(DataType::float32), "float32");
  EXPECT_STREQ(name_of(DataType::bfloat16), "bfloat16");
  EXPECT_STREQ(name_of(DataType::uint8), "uint8");
  EXPECT_THROW(bytes_per_element(static_cast<DataType>(9)), Error);
}

TEST(Tensor, shapes_count_their_elements) {
  const Shape shape{2, 3, 4, 5};
  EXPECT_EQ(to_string(shape), "2x3x4x5");
  EXPECT_EQ(shape.elements(), 120);
  EXPECT_EQ(shape.pixels(), 24);
  EXPECT_EQ((Shape{1 << 10, 1 << 10, 1 << 10, 1 << 10}.elements()), int64_t{1} << 40);
}

TEST(Tensor, known_layouts_are_special_cases_of_the_blocked_one) {
  const Shape s{2, 3, 4, 16};
  const TensorDesc last = nhwc(s), first{s, DataType::float32, 1}, blocked{s, DataType::float32, 8};
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c) {
          EXPECT_EQ(last.index(n, h, w, c), size_t(((n * 3 + h) * 4 + w) * 16 + c));
          EXPECT_EQ(first.index(n, h, w, c), size_t(((n * 16 + c) * 3 + h) * 4 + w));
          EXPECT_EQ(blocked.index(n, h, w, c), size_t((((n * 2 + c / 8) * 3 + h) * 4 + w) * 8 + c % 8));
        }
}

TEST(Tensor, every_element_has_its_own_place) {
  for (int channels : {1, 3, 5, 8, 17})
    for (int block : {1, 3, 5, 8, 16, 32}) {
      const TensorDesc desc{{2, 3, 2, channels}, DataType::float32, block};
      EXPECT_EQ(desc.padded_channels() % block, 0);
      EXPECT_GE(desc.padded_channels(), channels);
      EXPECT_LT(desc.padded_channels(), channels + block);
      EXPECT_EQ(desc.elements(), size_t(12 * desc.padded_channels()));
      EXPECT_EQ(desc.bytes(), 4 * desc.elements());
      std::set<size_t> places;
      for (int n = 0; n < 2; ++n)
        for (int h = 0; h < 3; ++h)
          for (int w = 0; w < 2; ++w)
            for (int c = 0; c < desc.padded_channels(); ++c) places.insert(desc.index(n, h, w, c));
      EXPECT_EQ(places.size(), desc.elements());
      EXPECT_EQ(*places.rbegin(), desc.elements() - 1);
    }
}

TEST(Tensor, conversion_keeps_elements_and_clears_padding) {
  const Shape shape{2, 3, 5, 7};
  const auto value = [](int n, int h, int w, int c) { return 1.0f + ((n * 3 + h) * 5 + w) * 7 + c; };
  for (int from_block : {1, 7, 8, 3})
    for (int to_block : {1, 7, 8, 16}) {
      const TensorDesc from{shape, DataType::float32, from_block}, to{shape, DataType::float32, to_block};
      std::vector<float> source(from.elements(), -1), target(to.elements(), -2);
      double sum = 0;
      for (int n = 0; n < 2; ++n)
        for (int h = 0; h < 3; ++h)
          for (int w = 0; w < 5; ++w)
            for (int c = 0; c < 7; ++c) sum += source[from.index(n, h, w, c)] = value(n, h, w, c);
      convert_layout(from, source.data(), to, target.data());
      for (int n = 0; n < 2; ++n)
        for (int h = 0; h < 3; ++h)
          for (int w = 0; w < 5; ++w)
            for (int c = 0; c < 7; ++c) EXPECT_EQ(target[to.index(n, h, w, c)], value(n, h, w, c));
      for (float v : target) sum -= v;
      EXPECT_EQ(sum, 0);  // what is left are zeros
    }
}

TEST(Tensor, conversion_between_shapes_is_an_error) {
  std::vector<float> memory(100);
  EXPECT_THROW(convert_layout(nhwc({1, 2, 3, 4}), memory.data(), nhwc({1, 3, 2, 4}), memory.data()), Error);
}

}  // namespace
}  // namespace sandglass
