#include "kernels/warp/warp.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kTolerance = 1e-5;  // promised difference from the reference, in units of the output

using Matrix = std::array<float, 6>;

// Pictures one after the other in one byte buffer.
struct Batch {
  Values pixels;
  std::vector<WarpPicture> pictures;

  void add(int height, int width, const Values& rgb, const Matrix& matrix, float gain = 1, float offset = 0) {
    WarpPicture picture;
    picture.first_byte = static_cast<int64_t>(pixels.size());
    picture.height = height;
    picture.width = width;
    std::copy(matrix.begin(), matrix.end(), picture.matrix);
    picture.gain = gain;
    picture.offset = offset;
    pictures.push_back(picture);
    pixels.insert(pixels.end(), rgb.begin(), rgb.end());
  }
  void add_random(int height, int width, const Matrix& matrix, float gain = 1, float offset = 0) {
    add(height, width, integers(static_cast<size_t>(height) * width * 3, 0, 255, pixels.size() + 1), matrix, gain,
        offset);
  }
};

Values run_warp(Device& device, const TensorDesc& desc, const Batch& batch) {
  OperationRun<Warp> run(device, {desc});
  Values out;
  WarpArguments arguments;
  arguments.pixels = run.input<uint8_t>(batch.pixels);
  arguments.pictures = run.input_objects(batch.pictures);
  arguments.out = run.output(desc, &out);
  run.execute(arguments);
  return out;
}

Values expected_warp(const Shape& shape, const Batch& batch) {
  const std::vector<uint8_t> bytes(batch.pixels.begin(), batch.pixels.end());
  Values out(static_cast<size_t>(shape.elements()));
  for (int n = 0; n < shape.n; ++n)
    reference::warp(batch.pictures[n], bytes.data(), shape.h, shape.w,
                    &out[static_cast<size_t>(n) * shape.h * shape.w * 3]);
  return out;
}

void expect_near(const Values& got, const Values& expected, const std::string& what,
                 DataType type = DataType::float32) {
  const double rounding = type == DataType::bfloat16 ? std::ldexp(1, -8) : 0;  // half a unit of 8 bits
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], kTolerance + rounding * expected[i])
        << what << ", pixel " << i / 3 << ", channel " << i % 3;
}

// The device's layout for the network's input, and others it can write.
std::vector<TensorDesc> picture_layouts(const Device& device, const Shape& shape) {
  std::vector<TensorDesc> all;
  for (const DataType type : element_types(device)) {
    for (const TensorDesc& desc : layouts(device, shape, type)) all.push_back(desc);
    all.push_back(device.picture(shape));
    all.back().type = type;
  }
  return all;
}

// Rotation by `degrees` and scaling about the centres of source and output, with a shift in source pixels.
Matrix about_centre(double degrees, double scale, int source_h, int source_w, int h, int w, double dx = 0,
                    double dy = 0, bool mirror = false) {
  const double a = degrees * std::numbers::pi / 180, c = scale * std::cos(a), s = scale * std::sin(a);
  const double cx = (source_w - 1) / 2.0 + dx, cy = (source_h - 1) / 2.0 + dy, u = (w - 1) / 2.0, v = (h - 1) / 2.0;
  const double m = mirror ? -1 : 1;
  return {float(m * c), float(-s), float(cx - m * c * u + s * v),
          float(m * s), float(c),  float(cy - m * s * u - c * v)};
}

struct WarpCase {
  int height, width;  // of the output
  std::string name() const { return fmt::format("{}x{}", height, width); }
};
using WarpReferenceTest = OperationTest<WarpCase, Warp>;

TEST_P(WarpReferenceTest, EqualsReference) {
  const auto [h, w] = test_case();
  Batch batch;
  batch.add_random(40, 50, {1, 0, 0, 0, 1, 0});
  batch.add_random(256, 256, about_centre(17, 1.1, 256, 256, h, w, 3.3, -5.2));
  batch.add_random(31, 77, about_centre(-140, 0.4, 31, 77, h, w, 0, 0, true), 1.3f, -0.1f);
  batch.add_random(600, 900, about_centre(3, 3.7, 600, 900, h, w, 40, 20), 0.7f, 0.2f);
  batch.add_random(12, 4100, about_centre(1, 4100.0 / w, 12, 4100, h, w));
  batch.add_random(1, 1, about_centre(30, 0.05, 1, 1, h, w));
  batch.add_random(1, 9, about_centre(0, 0.25, 1, 9, h, w));
  batch.add_random(9, 1, about_centre(90, 0.25, 9, 1, h, w));
  const Shape shape{static_cast<int>(batch.pictures.size()), h, w, 3};
  const Values expected = expected_warp(shape, batch);
  for (const TensorDesc& desc : picture_layouts(device(), shape))
    expect_near(run_warp(device(), desc, batch), expected, fmt::format("{}, block {}", name_of(desc.type), desc.block),
                desc.type);
}
INSTANTIATE_TEST_SUITE_P(Devices, WarpReferenceTest,
                         on_every_device(std::vector<WarpCase>{{64, 64}, {1, 1}, {5, 131}, {33, 7}}),
                         case_name<WarpCase>);

// Single pictures whose output is known without the reference.
struct OnePicture {
  std::string name() const { return "one_picture"; }
};
class WarpTest : public OperationTest<OnePicture, Warp> {
 protected:
  static constexpr int kHeight = 5, kWidth = 7;
  WarpTest() : rgb_(integers(kHeight * kWidth * 3, 1, 255, 77)) {}

  Values warp(const Matrix& matrix, int h = kHeight, int w = kWidth, float gain = 1, float offset = 0) {
    Batch batch;
    batch.add(kHeight, kWidth, rgb_, matrix, gain, offset);
    return run_warp(device(), device().picture({1, h, w, 3}), batch);
  }
  double source(int x, int y, int c) const { return rgb_.at((static_cast<size_t>(y) * kWidth + x) * 3 + c); }
  // Output of the picture's size whose value (0 to 255) at (u, v, c) is value(u, v, c).
  template <typename Function>
  static Values picture(const Function& value, int h = kHeight, int w = kWidth) {
    Values out;
    for (int v = 0; v < h; ++v)
      for (int u = 0; u < w; ++u)
        for (int c = 0; c < 3; ++c) out.push_back(static_cast<float>(value(u, v, c)) / 255.0f);
    return out;
  }
  // The same with 0 outside the source.
  double source_or_black(int x, int y, int c) const {
    return x >= 0 && x < kWidth && y >= 0 && y < kHeight ? source(x, y, c) : 0;
  }

  Values rgb_;
};

TEST_P(WarpTest, IdentityIsExact) {
  expect_equal(warp({1, 0, 0, 0, 1, 0}), picture([&](int u, int v, int c) { return source(u, v, c); }), "identity");
}

TEST_P(WarpTest, ShiftsByWholePixelsInEveryDirection) {
  for (const int dx : {-9, -7, -6, -1, 0, 1, 6, 7, 9})
    for (const int dy : {-6, -5, -4, -1, 0, 1, 4, 5, 6})
      expect_equal(warp({1, 0, float(dx), 0, 1, float(dy)}),
                   picture([&](int u, int v, int c) { return source_or_black(u + dx, v + dy, c); }),
                   fmt::format("shift by {}, {}", dx, dy));
}

TEST_P(WarpTest, HalfPixelsAverageTheNeighboursAndFadeToBlackAtTheBorder) {
  const auto half = [&](int x, int y, int c) {  // the place between four pixels, (x, y) being the lower one
    return (source_or_black(x, y, c) + source_or_black(x + 1, y, c) + source_or_black(x, y + 1, c) +
            source_or_black(x + 1, y + 1, c)) /
           4;
  };
  const int h = kHeight + 3, w = kWidth + 3;
  expect_equal(warp({1, 0, -1.5f, 0, 1, -1.5f}, h, w),
               picture([&](int u, int v, int c) { return half(u - 2, v - 2, c); }, h, w), "half a pixel");
}

TEST_P(WarpTest, WeightsAtEachBorder) {
  const auto quarter = [&](float x, float y) { return warp({1, 0, x, 0, 1, y}, 1, 1); };
  const auto expected = [&](double weight, int x, int y) {
    return picture([&](int, int, int c) { return weight * source(x, y, c); }, 1, 1);
  };
  expect_equal(quarter(-0.75f, 2), expected(0.25, 0, 2), "left");
  expect_equal(quarter(kWidth - 0.75f, 2), expected(0.75, kWidth - 1, 2), "right");
  expect_equal(quarter(3, -0.25f), expected(0.75, 3, 0), "top");
  expect_equal(quarter(3, kHeight - 0.25f), expected(0.25, 3, kHeight - 1), "bottom");
  expect_equal(quarter(-0.5f, -0.5f), expected(0.25, 0, 0), "top left");
  expect_equal(quarter(kWidth - 0.5f, kHeight - 0.5f), expected(0.25, kWidth - 1, kHeight - 1), "bottom right");
  expect_equal(quarter(-1, 2), expected(0, 0, 2), "one pixel outside");
  expect_equal(quarter(kWidth, 2), expected(0, 0, 2), "one pixel outside, right");
}

TEST_P(WarpTest, MirrorsAndQuarterTurnsAreExact) {
  expect_equal(warp({-1, 0, kWidth - 1, 0, 1, 0}),
               picture([&](int u, int v, int c) { return source(kWidth - 1 - u, v, c); }), "left and right");
  expect_equal(warp({1, 0, 0, 0, -1, kHeight - 1}),
               picture([&](int u, int v, int c) { return source(u, kHeight - 1 - v, c); }), "up and down");
  expect_equal(warp({0, 1, 0, -1, 0, kHeight - 1}, kWidth, kHeight),
               picture([&](int u, int v, int c) { return source(v, kHeight - 1 - u, c); }, kWidth, kHeight),
               "quarter turn");
}

TEST_P(WarpTest, Scales) {
  expect_equal(warp({2, 0, 0, 0, 2, 0}, 3, 4),
               picture([&](int u, int v, int c) { return source_or_black(2 * u, 2 * v, c); }, 3, 4),
               "every second pixel");
  expect_equal(warp({0.5f, 0, 0, 0, 1, 0}, kHeight, 2 * kWidth),
               picture([&](int u, int v,
                           int c) { return (source_or_black(u / 2, v, c) + source_or_black((u + 1) / 2, v, c)) / 2; },
                       kHeight, 2 * kWidth),
               "twice as wide");
}

TEST_P(WarpTest, ColourIsScaledThenClamped) {
  const Values out = warp({1, 0, 0, 0, 1, 0}, kHeight, kWidth, 2.5f, -0.5f);
  int black = 0, white = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const double colour = rgb_[i] / 255 * 2.5 - 0.5;
    ASSERT_NEAR(out[i], std::min(std::max(colour, 0.0), 1.0), 1e-6);
    ASSERT_TRUE(out[i] >= 0 && out[i] <= 1);
    black += out[i] == 0;
    white += out[i] == 1;
  }
  EXPECT_GT(black, 0);
  EXPECT_GT(white, 0);
}

TEST_P(WarpTest, OutsideIsBlackBeforeBrightness) {
  for (const double value : warp({1, 0, 1000, 0, 1, 0}, 3, 3, 2, 0.25f)) EXPECT_EQ(value, 0.25);
}

TEST_P(WarpTest, AMatrixOfAnySortLooksOutsideAtWorst) {
  const Values black(kHeight * kWidth * 3, 0.0);
  for (const float strange : {kNan, kInfinity, -kInfinity, 1e30f, -1e30f, 3e9f, -3e9f, 1e15f})
    for (const int at : {2, 5}) {
      Matrix matrix = {1, 0, 0, 0, 1, 0};
      matrix[at] = strange;
      expect_equal(warp(matrix), black, fmt::format("matrix[{}] = {}", at, strange));
    }
  for (const float strange : {kNan, kInfinity, -kInfinity}) {
    Matrix matrix;
    matrix.fill(strange);
    expect_equal(warp(matrix), black, fmt::format("all {}", strange));
  }
  // A factor that sends all but column 0 away.
  expect_equal(warp({1e30f, 0, 3, 0, 1, 0}), picture([&](int u, int v, int c) { return u == 0 ? source(3, v, c) : 0; }),
               "huge scale");
}

TEST_P(WarpTest, StrangeColoursStayInRangeAndNotANumberIsBlack) {
  struct {
    float gain, offset, expected;
  } cases[] = {{kNan, 0, 0},       {1, kNan, 0},      {kInfinity, -kInfinity, 0}, {-kInfinity, 0, 0},
               {1, -kInfinity, 0}, {kInfinity, 0, 1}, {1, kInfinity, 1}};
  for (const auto& [gain, offset, expected] : cases)  // no source value is 0
    expect_equal(warp({1, 0, 0, 0, 1, 0}, kHeight, kWidth, gain, offset), Values(rgb_.size(), expected),
                 fmt::format("gain {}, offset {}", gain, offset));
}

// For address checkers: pictures that fill their memory to the last byte, without the guards of the other tests.
TEST_P(WarpTest, ReadsNothingBesideThePicture) {
  constexpr int kSize = 8;
  const TensorDesc desc = device().picture({1, kSize + 4, kSize + 4, 3});
  DeviceMemory pixels(device(), kSize * kSize * 3), picture(device(), sizeof(WarpPicture)), out(device(), desc.bytes());
  const std::vector<uint8_t> bytes(pixels.bytes(), 255);
  device().copy_to_device(pixels.data(), bytes.data(), bytes.size());
  WarpPicture host;
  host.height = host.width = kSize;
  host.matrix[2] = host.matrix[5] = -1.5f;
  device().copy_to_device(picture.data(), &host, sizeof(host));
  make_operation(device(), Warp{desc})
      ->run({pixels.data(), reinterpret_cast<const WarpPicture*>(picture.data()), out.f32()}, {});
  std::vector<float> result(desc.elements());
  device().copy_to_host(result.data(), out.data(), desc.bytes());
  device().synchronize();
  EXPECT_EQ(result[desc.index(0, 0, 0, 0)], 0);
  EXPECT_EQ(result[desc.index(0, 1, 1, 0)], 0.25f);
  EXPECT_EQ(result[desc.index(0, 5, 5, 1)], 1);
  EXPECT_EQ(result[desc.index(0, kSize + 1, kSize + 1, 2)], 0.25f);
}

TEST_P(WarpTest, APictureWithoutPixelsIsBlack) {
  Batch batch;
  batch.add(0, 0, {}, {1, 0, 0, 0, 1, 0});
  batch.add(1, 1, {51, 102, 204}, {0, 0, 0, 0, 0, 0});  // every output pixel looks at the only one
  batch.add(0, 4, {}, {1, 0, 0, 0, 1, 0}, 1, 0.5f);
  const Values out = run_warp(device(), device().picture({3, 1, 2, 3}), batch);
  expect_near(out, {0, 0, 0, 0, 0, 0, 0.2, 0.4, 0.8, 0.2, 0.4, 0.8, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}, "three pictures");
}
TEST_P(WarpTest, TheNetworksInputSize) {
  Batch batch;
  batch.add_random(480, 640, about_centre(-8, 1.4, 480, 640, 256, 256, 60, 10, true), 1.1f, 0.02f);
  const Shape shape{1, 256, 256, 3};
  expect_near(run_warp(device(), device().picture(shape), batch), expected_warp(shape, batch), "256x256");
}

TEST_P(WarpTest, WhatTheCudaKernelCannotDoIsRefused) {
  if (device().kind() == DeviceKind::cpu) GTEST_SKIP() << "the cpu device has no such limits";
  const auto refused = [&](const TensorDesc& desc, void* out, const std::string& message) {
    expect_error([&] { make_operation(device(), Warp{desc})->run({nullptr, nullptr, out}, {}); }, message);
  };
  refused(nhwc({65536, 1, 1, 3}), nullptr, "takes at most 65535 pictures of 1073741824 pixels at once");
  refused({{1, 4, 4, 3}, DataType::float32, 1}, nullptr, "out has its colours in blocks of 1");
  refused(device().picture({1, 4, 4, 3}), reinterpret_cast<void*>(uintptr_t{4}), "not a multiple of 16 bytes");
}
INSTANTIATE_TEST_SUITE_P(Devices, WarpTest, on_every_device(std::vector<OnePicture>(1)), case_name<OnePicture>);

TEST(WarpSpecTest, NonsenseIsRefused) {
  EXPECT_NO_THROW((Warp{nhwc({1, 256, 256, 3})}.check()));
  expect_error([] { Warp{nhwc({1, 256, 256, 4})}.check(); }, "warp: out has 4 channels, expected 3 (RGB)");
  expect_error([] { Warp{nhwc({1, 0, 256, 3})}.check(); }, "warp: out is 1x0x256x3");
  expect_error([] { Warp{nhwc({1, 256, 256, 3}, DataType::uint8)}.check(); }, "warp: out is uint8");
}

}  // namespace
}  // namespace sandglass::test
