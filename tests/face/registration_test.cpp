#include "face/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/error.h"
#include "engine/random.h"
#include "tests/face/one_line_error.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

Landmarks random_landmarks(Random& random) {
  Landmarks landmarks;
  for (Point& point : landmarks) point = {random.uniform(0, 600), random.uniform(0, 400)};
  return landmarks;
}

Affine random_affine(Random& random) {
  Affine affine;
  for (auto& row : affine.m) row = {random.uniform(-2, 2), random.uniform(-2, 2), random.uniform(-50, 80)};
  return affine;
}

Image random_image(int height, int width, Random& random) {
  Image image(height, width);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random.below(256));
  return image;
}

TEST(Registration, BringsTheThreeLandmarksToThePapersPlaces) {
  Random random(1);
  for (int trial = 0; trial < 100; ++trial) {
    Landmarks landmarks = random_landmarks(random);
    landmarks[8] = {300 + random.uniform(-50, 50), 400};
    landmarks[36] = {200, 200 + random.uniform(-50, 50)};
    landmarks[45] = {400 + random.uniform(-50, 50), 200};
    const Landmarks registered = registration(landmarks).apply(landmarks);
    EXPECT_NEAR(registered[8].x, 127.6475, 1e-4);
    EXPECT_NEAR(registered[8].y, 227.8161, 1e-4);
    EXPECT_NEAR(registered[36].x, 79.1608, 1e-4);
    EXPECT_NEAR(registered[36].y, 87.0376, 1e-4);
    EXPECT_NEAR(registered[45].x, 176.8392, 1e-4);
    EXPECT_NEAR(registered[45].y, 87.0376, 1e-4);
  }
}

// Of the 256 pixels' area [-0.5, 255.5], a picture of another size covers the same: its area is [-0.5, size - 0.5].
TEST(Registration, OtherSizesCoverTheSameArea) {
  Random random(2);
  Landmarks landmarks = random_landmarks(random);
  landmarks[8] = {300, 400}, landmarks[36] = {200, 200}, landmarks[45] = {390, 210};
  const Affine full = registration(landmarks);
  for (const int size : {1, 64, 128, 255, 512}) {
    const Affine other = compose(registration(landmarks, size), full.inverse());
    for (const float edge : {-0.5f, 255.5f}) {
      const Point moved = other.apply(Point{edge, edge});
      EXPECT_NEAR(moved.x, edge < 0 ? -0.5 : size - 0.5, 1e-3);
      EXPECT_NEAR(moved.y, edge < 0 ? -0.5 : size - 0.5, 1e-3);
    }
  }
  EXPECT_THAT(one_line_error_of([&] { registration(landmarks, 0); }), HasSubstr("at least 1 x 1"));
}

TEST(Registration, FacesThatCannotBeRegisteredAreErrors) {
  Landmarks landmarks{};  // all at (0, 0)
  EXPECT_THAT(one_line_error_of([&] { registration(landmarks); }), HasSubstr("landmarks 8, 36 and 45"));
  landmarks[8] = {10.1f, 20.2f}, landmarks[36] = {20.2f, 40.4f}, landmarks[45] = {30.3f, 60.6f};  // one line
  EXPECT_THAT(one_line_error_of([&] { registration(landmarks); }), HasSubstr("lie on a line"));
  landmarks[45] = {30.3f, 10};
  EXPECT_EQ(one_line_error_of([&] { registration(landmarks); }), "");
  landmarks[45].x = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(one_line_error_of([&] { registration(landmarks); }), HasSubstr("not finite"));
  landmarks[45].x = std::numeric_limits<float>::infinity();
  EXPECT_THAT(one_line_error_of([&] { registration(landmarks); }), HasSubstr("not finite"));
}

TEST(AffineMap, InverseUndoesAndComposeChains) {
  Random random(3);
  for (int trial = 0; trial < 100; ++trial) {
    const Affine a = random_affine(random), b = random_affine(random);
    const Point point{random.uniform(-100, 100), random.uniform(-100, 100)};
    const Point chained = a.apply(b.apply(point)), composed = compose(a, b).apply(point);
    EXPECT_NEAR(chained.x, composed.x, 1e-3);
    EXPECT_NEAR(chained.y, composed.y, 1e-3);
    if (std::abs(a.m[0][0] * a.m[1][1] - a.m[0][1] * a.m[1][0]) < 0.1) continue;
    const Affine identity = compose(a, a.inverse());
    for (int row = 0; row < 2; ++row) {
      for (int column = 0; column < 3; ++column) EXPECT_NEAR(identity.m[row][column], row == column, 1e-9);
    }
  }
  EXPECT_THAT(one_line_error_of([] { Affine{{{{1, 2, 0}, {2, 4, 0}}}}.inverse(); }), HasSubstr("no inverse"));
}

/// The definition: every output pixel asks all four neighbours of its place, in double.
double sample(const Image& image, double x, double y, int channel) {
  const double left = std::floor(x), top = std::floor(y);
  double sum = 0;
  for (const double row : {top, top + 1}) {
    for (const double column : {left, left + 1}) {
      const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
      const double value = inside ? image.at(static_cast<int>(row), static_cast<int>(column))[channel] : 0;
      sum += value * (1 - std::abs(x - column)) * (1 - std::abs(y - row));
    }
  }
  return sum;
}

TEST(WarpImage, EqualsItsDefinition) {
  Random random(4);
  const Image image = random_image(41, 57, random);
  for (int trial = 0; trial < 30; ++trial) {
    const Affine affine = random_affine(random);
    const double a = affine.m[0][0], b = affine.m[0][1], c = affine.m[1][0], d = affine.m[1][1];
    const double determinant = a * d - b * c;
    if (std::abs(determinant) < 0.2) continue;
    const Image output = warp_image(image, affine, 50, 63);
    ASSERT_EQ(output.height, 50);
    ASSERT_EQ(output.width, 63);
    for (int y = 0; y < output.height; ++y) {
      for (int x = 0; x < output.width; ++x) {
        const double u = x - affine.m[0][2], v = y - affine.m[1][2];  // Cramer's rule
        const double from_x = (d * u - b * v) / determinant, from_y = (a * v - c * u) / determinant;
        for (int channel = 0; channel < 3; ++channel) {
          EXPECT_NEAR(output.at(y, x)[channel], sample(image, from_x, from_y, channel), 0.501) << x << " " << y;
        }
      }
    }
  }
}

TEST(WarpImage, KeepsPixelsUnderIdentityAndWholeShifts) {
  Random random(5);
  const Image image = random_image(20, 30, random);
  EXPECT_EQ(warp_image(image, Affine{}, 20, 30).rgb, image.rgb);
  const Image shifted = warp_image(image, Affine{{{{1, 0, 3}, {0, 1, -2}}}}, 20, 30);
  for (int y = 0; y < 20; ++y) {
    for (int x = 0; x < 30; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        const bool inside = x >= 3 && y < 18;
        EXPECT_EQ(shifted.at(y, x)[channel], inside ? image.at(y + 2, x - 3)[channel] : 0);
      }
    }
  }
}

TEST(WarpImage, OutsideIsBlackHoweverFar) {
  Image white(8, 8);
  std::fill(white.rgb.begin(), white.rgb.end(), uint8_t{255});
  EXPECT_EQ(warp_image(white, Affine{{{{1, 0, 0.25}, {0, 1, 0}}}}, 8, 8).at(3, 0)[0], 191);  // 3/4 white, 1/4 outside
  for (const double far : {20.0, 1e9, 1e30, -1e300}) {
    for (const uint8_t value : warp_image(white, Affine{{{{1, 0, far}, {0, 1, 0}}}}, 4, 4).rgb) EXPECT_EQ(value, 0);
  }
  for (const uint8_t value : warp_image(Image(), Affine{}, 4, 4).rgb) EXPECT_EQ(value, 0);
  EXPECT_THAT(one_line_error_of([&] {
                warp_image(white, Affine{{{{0, 0, 0}, {0, 0, 0}}}}, 4, 4);
              }),
              HasSubstr("no inverse"));
  EXPECT_THAT(one_line_error_of([&] { warp_image(white, Affine{}, 0, 4); }), HasSubstr("at least 1 x 1"));
}

}  // namespace
}  // namespace sandglass
