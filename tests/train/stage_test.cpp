#include "face/stage.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/random.h"
#include "kernels/warp/warp.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

Image random_picture(int height, int width, uint64_t seed) {
  Image image(height, width);
  Random random(seed);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random.below(256));
  return image;
}

// What the warp makes of a picture through six numbers.
std::vector<double> warped(const uint8_t* pixels, int height, int width, const float* matrix, int size) {
  WarpPicture picture;
  picture.height = height;
  picture.width = width;
  std::copy_n(matrix, 6, picture.matrix);
  std::vector<double> out(static_cast<size_t>(size) * static_cast<size_t>(size) * 3);
  reference::warp(picture, pixels, size, size, out.data());
  return out;
}

std::vector<double> warped_whole(const Image& image, const Affine& map, int size) {
  float matrix[6];
  for (int i = 0; i < 6; ++i) matrix[i] = static_cast<float>(map.m[i / 3][i % 3]);
  return warped(image.rgb.data(), image.height, image.width, matrix, size);
}

std::vector<double> warped_staged(const Image& image, const Affine& map, int size, StagedFace* face = nullptr) {
  std::vector<uint8_t> pixels(17, 99);  // staging appends
  const StagedFace staged = stage_face(image, map, size, pixels);
  EXPECT_EQ(staged.first_byte, 17);
  EXPECT_EQ(pixels.size(), 17 + static_cast<size_t>(staged.height) * static_cast<size_t>(staged.width) * 3);
  EXPECT_LE(pixels.size() - 17, staged_bytes_bound(size));
  if (face) *face = staged;
  return warped(pixels.data() + 17, staged.height, staged.width, staged.matrix.data(), size);
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

Affine random_map(Random& random, double zoom, double reach) {
  const double angle = random.uniform(-3, 3), scale = zoom * random.uniform(0.5f, 1.5f);
  const double mirror = random.chance(0.5f) ? -1 : 1;
  return {{{{mirror * scale * std::cos(angle), -scale * std::sin(angle), random.uniform(-0.3f, 1.1f) * reach},
            {mirror * scale * std::sin(angle), scale * std::cos(angle), random.uniform(-0.3f, 1.1f) * reach}}}};
}

TEST(Stage, EqualsTheWholePictureExactlyWhereArithmeticIsExact) {
  const Image image = random_picture(90, 70, 1);
  Random random(2);
  for (int trial = 0; trial < 200; ++trial) {
    Affine map = random_map(random, 1.2, 60);
    for (auto& row : map.m) {
      for (double& value : row) value = std::round(value * 64) / 64;
    }
    EXPECT_EQ(warped_staged(image, map, 24), warped_whole(image, map, 24)) << trial;
  }
}

TEST(Stage, EqualsTheWholePictureUpToRounding) {
  const Image image = random_picture(400, 500, 3);
  Random random(4);
  for (int trial = 0; trial < 100; ++trial) {
    const Affine map = random_map(random, 1.2, 400);
    EXPECT_LT(largest_difference(warped_staged(image, map, 64), warped_whole(image, map, 64)), 1e-4) << trial;
  }
}

TEST(Stage, KeepsOnlyWhatIsSeen) {
  const Image image = random_picture(400, 500, 5);
  StagedFace staged;
  warped_staged(image, {{{{0.5, 0, 100.25}, {0, 0.5, 200.25}}}}, 64, &staged);
  EXPECT_LE(staged.width, 37);
  EXPECT_LE(staged.height, 37);
  EXPECT_GE(staged.width, 33);
}

TEST(Stage, AveragesWhereThePictureIsMuchLarger) {
  // The output of 16 x 16 sees 160 x 160 pixels, more than 3 x 16: means of 4 x 4.
  const Image image = random_picture(300, 280, 6);
  const Affine map{{{{10, 0, 61}, {0, 10, 83}}}};
  StagedFace staged;
  const std::vector<double> out = warped_staged(image, map, 16, &staged);
  EXPECT_LE(staged.width, 3 * 16 + 8);
  for (int v = 0; v < 16; ++v) {
    for (int u = 0; u < 16; ++u) {
      // The box filter and the bilinear one of the reduced picture together: a tent-like mean about the place looked
      // at.
      double expected = 0, weights = 0;
      const double x = 10 * u + 61, y = 10 * v + 83;
      for (int row = 0; row < 300; ++row) {
        for (int column = 0; column < 280; ++column) {
          const double dx = std::abs(column - x), dy = std::abs(row - y);
          if (dx > 6 || dy > 6) continue;
          // Share of this pixel: its 4 x 4 block's bilinear weight. Blocks begin at the picture's 57th column, 79th
          // row.
          const double block_x = 57 + 4 * std::floor((column - 57) / 4.0) + 1.5,
                       block_y = 79 + 4 * std::floor((row - 79) / 4.0) + 1.5;
          const double weight =
              std::max(0.0, 1 - std::abs(block_x - x) / 4) * std::max(0.0, 1 - std::abs(block_y - y) / 4);
          expected += weight * image.at(row, column)[1];
          weights += weight;
        }
      }
      EXPECT_NEAR(out[static_cast<size_t>((v * 16 + u) * 3 + 1)], expected / weights / 255, 0.6 / 255) << u << " " << v;
    }
  }
}

TEST(Stage, AverageOfAGradientKeepsItsPlace) {
  // A ramp along x: its value tells the place, so a shift by half a block would show.
  Image ramp(50, 1000);
  for (int y = 0; y < ramp.height; ++y) {
    for (int x = 0; x < ramp.width; ++x) ramp.at(y, x)[0] = static_cast<uint8_t>(x / 4);
  }
  for (const double zoom : {3.5, 7.0, 20.0}) {
    const Affine map{{{{zoom, 0, 300}, {0, 1, 2}}}};
    const std::vector<double> out = warped_staged(ramp, map, 32);
    for (int u = 0; u < 32; ++u)
      EXPECT_NEAR(out[static_cast<size_t>((16 * 32 + u) * 3)] * 255 * 4, std::min(300 + zoom * u, 1e9) - 1.5, 3.5)
          << zoom;
  }
}

TEST(Stage, BytesHaveABound) {
  Random random(8);
  for (const int size : {1, 2, 7, 32}) {
    for (int trial = 0; trial < 300; ++trial) {
      const Image image =
          random_picture(1 + static_cast<int>(random.below(120)), 1 + static_cast<int>(random.below(700)), trial);
      warped_staged(image, random_map(random, std::exp(random.uniform(-4, 5)), 300), size);
    }
  }
  Image wide(3, 200000);
  warped_staged(wide, {{{{1e5, 0, 0}, {0, 1, 0}}}}, 2);
  warped_staged(wide, {{{{1e30, 0, -1e30}, {0, 1e30, 0}}}}, 2);
}

TEST(Stage, NothingSeenIsOneBlackPixel) {
  const Image image = random_picture(20, 20, 9);
  StagedFace staged;
  const std::vector<double> out = warped_staged(image, {{{{1, 0, 500}, {0, 1, 0}}}}, 8, &staged);
  EXPECT_EQ(staged.height * staged.width, 1);
  for (const double value : out) EXPECT_EQ(value, 0);
  warped_staged(image, {{{{1, 0, -1e12}, {0, 1, 1e12}}}}, 8);
}

TEST(Stage, RefusesWhatIsNotFinite) {
  const Image image(4, 4);
  std::vector<uint8_t> pixels;
  EXPECT_NE(error_of([&] {
              stage_face(image, {{{{NAN, 0, 0}, {0, 1, 0}}}}, 8, pixels);
            }).find("not finite"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              stage_face(image, {{{{1, 0, INFINITY}, {0, 1, 0}}}}, 8, pixels);
            }).find("not finite"),
            std::string::npos);
  EXPECT_THROW(stage_face(image, {}, 0, pixels), Error);
  EXPECT_TRUE(pixels.empty());
}

TEST(Stage, HeatmapsCoverTheSameArea) {
  // The left edge of the first pixel and the right edge of the last coincide: -0.5 and 255.5 against -0.5 and 63.5.
  EXPECT_EQ(to_heatmap({-0.5f, 255.5f}).x, -0.5f);
  EXPECT_EQ(to_heatmap({-0.5f, 255.5f}).y, 63.5f);
  const Point back = from_heatmap(to_heatmap({12.25f, 77.0f}));
  EXPECT_EQ(back.x, 12.25f);
  EXPECT_EQ(back.y, 77.0f);
}

}  // namespace
}  // namespace sandglass
