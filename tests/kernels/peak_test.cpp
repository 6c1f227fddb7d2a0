#include "kernels/peak/peak.h"

#include <cmath>
#include <limits>

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Values find_peaks(Device& device, const TensorDesc& desc, const Values& maps) {
  OperationRun<Peak> run(device, {desc});
  Values peaks;
  PeakArguments arguments;
  arguments.maps = f32(run.input(desc, maps));
  arguments.peaks = run.output(static_cast<size_t>(desc.shape.n) * desc.shape.c * 3, &peaks);
  run.execute(arguments);
  return peaks;
}

struct PeakCase {
  Shape shape;
  std::string name() const { return to_string(shape); }
};
std::vector<PeakCase> peak_cases() {
  return {{{2, 64, 64, 5}}, {{1, 1, 1, 1}}, {{3, 7, 131, 12}}, {{1, 33, 1, 5}}, {{2, 1, 9, 1}}, {{1, 2, 2, 12}}};
}
using PeakReferenceTest = OperationTest<PeakCase, Peak>;

TEST_P(PeakReferenceTest, EqualsReference) {
  const Shape& shape = test_case().shape;
  const size_t elements = static_cast<size_t>(shape.elements());
  // Few different integers: the maximum occurs often, and often beside itself.
  for (const Values& maps : {uniform(elements, -1, 5, 1), integers(elements, -2, 1, 2), Values(elements, -3.0)}) {
    Values expected(static_cast<size_t>(shape.n) * shape.c * 3);
    reference::peak(shape, maps.data(), expected.data());
    for (double& value : expected) value = static_cast<float>(value);
    for (const TensorDesc& desc : layouts(device(), shape)) {
      const Values got = find_peaks(device(), desc, maps);
      for (size_t i = 0; i < got.size(); i += 3) ASSERT_EQ(got[i], expected[i]) << "height of map " << i / 3;
      expect_close(got, expected, fmt::format("peaks, block {}", desc.block), {1e-13, 1e-6});
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Devices, PeakReferenceTest, on_every_device(peak_cases()), case_name<PeakCase>);

// Single maps whose peaks are known without the reference.
struct OneMap {
  std::string name() const { return "one_map"; }
};
class PeakTest : public OperationTest<OneMap, Peak> {
 protected:
  static constexpr int kHeight = 5, kWidth = 6;
  PeakTest() : map_(kHeight * kWidth, 0.0) {}
  double& at(int u, int v) { return map_.at(static_cast<size_t>(v) * kWidth + u); }
  Values peak() { return find_peaks(device(), device().activation({1, kHeight, kWidth, 1}), map_); }

  Values map_;
};

TEST_P(PeakTest, ASinglePixel) {
  at(3, 2) = 4;
  EXPECT_EQ(peak(), (Values{4, 3, 2}));
}

TEST_P(PeakTest, VertexOfAParabola) {
  for (const double x : {2.5, 2.75, 3.0, 3.25, 3.4375})
    for (const double y : {1.5625, 2.0, 2.25}) {
      for (int v = 0; v < kHeight; ++v)
        for (int u = 0; u < kWidth; ++u) at(u, v) = 100 - 2 * (u - x) * (u - x) - (v - y) * (v - y);
      const int column = x == 2.5 ? 2 : static_cast<int>(std::round(x)), row = static_cast<int>(std::round(y));
      const Values got = peak();
      EXPECT_EQ(got[0], at(column, row)) << "the stored value, not the vertex's";
      EXPECT_NEAR(got[1], x, 1e-6);
      EXPECT_NEAR(got[2], y, 1e-6);
    }
}

TEST_P(PeakTest, TheFirstMaximumInRowOrderWins) {
  at(4, 1) = 2;
  at(1, 3) = 2;
  EXPECT_EQ(peak(), (Values{2, 4, 1}));
  at(2, 1) = 2;
  EXPECT_EQ(peak(), (Values{2, 2, 1}));
  at(3, 1) = 2;  // an equal neighbour: the vertex is half way between
  EXPECT_EQ(peak(), (Values{2, 2.5, 1}));
}

TEST_P(PeakTest, ConstantMap) {
  for (const double value : {0.0, -7.0, kInfinity, -kInfinity}) {
    map_.assign(map_.size(), value);
    EXPECT_EQ(peak(), (Values{value, 0, 0}));
  }
}

TEST_P(PeakTest, NoRefinementAcrossTheBorder) {
  for (const int u : {0, kWidth - 1})
    for (const int v : {0, kHeight - 1}) {
      map_.assign(map_.size(), 0.0);
      at(u, v) = 4;
      at(u ? u - 1 : 1, v) = 3;
      at(u, v ? v - 1 : 1) = 3;
      EXPECT_EQ(peak(), (Values{4, double(u), double(v)}));
    }
  map_.assign(map_.size(), 0.0);
  at(0, 2) = 4;
  at(0, 1) = 2;  // along the border there is a parabola: (4, 2), (2, 0)
  EXPECT_NEAR(peak()[2], 2 + 0.5 * (2 - 0) / (2 - 8 + 0), 1e-6);
  EXPECT_EQ(peak()[1], 0);
}

TEST_P(PeakTest, ANumberBeatsNotANumber) {
  map_.assign(map_.size(), kNan);
  at(4, 3) = -5;
  EXPECT_EQ(peak(), (Values{-5, 4, 3})) << "with neighbours that are NaN there is no refinement";
  at(2, 1) = -4;
  EXPECT_EQ(peak(), (Values{-4, 2, 1}));
}

TEST_P(PeakTest, NothingButNaN) {
  map_.assign(map_.size(), kNan);
  const Values got = peak();
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_EQ(got[1], 0);
  EXPECT_EQ(got[2], 0);
}

TEST_P(PeakTest, Infinity) {
  at(2, 2) = kInfinity;
  EXPECT_EQ(peak(), (Values{kInfinity, 2, 2}));
  at(3, 2) = kInfinity;
  EXPECT_EQ(peak(), (Values{kInfinity, 2, 2}));
}

TEST_P(PeakTest, LargestFloats) {  // the parabola's differences are no floats
  const double largest = std::numeric_limits<float>::max();
  at(1, 2) = -largest;
  at(2, 2) = largest;
  const Values got = peak();
  EXPECT_EQ(got[0], largest);
  EXPECT_NEAR(got[1], 2 + 0.5 * (-1 - 0) / (-1 - 2 + 0), 1e-6);
  EXPECT_EQ(got[2], 2);
}

TEST_P(PeakTest, WhatTheCudaKernelCannotDoIsRefused) {
  if (device().kind() == DeviceKind::cpu) GTEST_SKIP() << "the cpu device has no such limits";
  const auto refused = [&](const TensorDesc& desc, const std::string& message) {
    expect_error([&] { make_operation(device(), Peak{desc})->run({}, {}); }, message);
  };
  refused(nhwc({65536, 1, 1, 1}), "takes at most 65535 pictures");
  refused({{1, 4, 4, 5}, DataType::float32, 8}, "maps has 5 channels in blocks of 8");
}
INSTANTIATE_TEST_SUITE_P(Devices, PeakTest, on_every_device(std::vector<OneMap>(1)), case_name<OneMap>);

TEST(PeakSpecTest, NonsenseIsRefused) {
  EXPECT_NO_THROW((Peak{nhwc({1, 64, 64, 5})}.check()));
  expect_error([] { Peak{nhwc({1, 0, 64, 5})}.check(); }, "peak: maps is 1x0x64x5");
  expect_error([] { Peak{{{1, 64, 64, 5}, DataType::float32, 0}}.check(); }, "peak: maps has no layout");
}

}  // namespace
}  // namespace sandglass::test
