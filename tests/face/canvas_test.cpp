#include "face/canvas.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sandglass {
namespace {

constexpr Colour kBlack{0, 0, 0}, kWhite{255, 255, 255};

double brightness(const Image& image) {
  double sum = 0;
  for (const uint8_t value : image.rgb) sum += value;
  return sum / 255 / 3;
}

TEST(Canvas, FillsExactlyItsArea) {
  Canvas canvas(10, 12, kBlack);
  canvas.fill(1.5f, 2.5f, 4.5f, 7.5f, kWhite);  // edges between pixels
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 12; ++x) {
      const bool inside = x >= 2 && x <= 4 && y >= 3 && y <= 7;
      EXPECT_EQ(canvas.image().at(y, x)[1], inside ? 255 : 0) << x << ", " << y;
    }
  }
  Canvas half(10, 12, kBlack);
  half.fill(2, 2, 5, 5, {255, 0, 0});  // through pixels: they are covered in part
  EXPECT_NEAR(brightness(half.image()) * 3, 9, 0.05);
  EXPECT_EQ(half.image().at(2, 2)[0], 64);
  EXPECT_EQ(half.image().at(2, 2)[1], 0);
}

TEST(Canvas, LinesHaveTheirWidthAndLength) {
  Canvas canvas(60, 60, kBlack);
  const Segment line{{10, 10}, {40, 50}};  // 50 pixels long
  canvas.stroke({&line, 1}, 4, kWhite);
  EXPECT_NEAR(brightness(canvas.image()), 50 * 4 + 3.1416 * 4, 3);
  Canvas faint(60, 60, kBlack);
  faint.stroke({&line, 1}, 4, kWhite, 0.5f);
  EXPECT_NEAR(brightness(faint.image()), (50 * 4 + 3.1416 * 4) / 2, 3);
}

TEST(Canvas, CutsOffWhatLiesOutside) {
  Canvas canvas(8, 8, kBlack);
  const float huge = 1e30f, nan = std::numeric_limits<float>::quiet_NaN();
  canvas.fill(-100, -100, 2.5f, 100, kWhite);
  canvas.frame(-1e9f, -5, 1e9f, 500, 3, kBlack);
  canvas.dot({-50, 4}, 10, kWhite);
  canvas.dot({huge, nan}, 10, kWhite);
  canvas.fill(nan, 0, 1, 1, kWhite);
  canvas.text({-20, 300}, 14, "outside", kWhite);
  canvas.paste(Image(20, 20), -30, 2);
  EXPECT_NEAR(brightness(canvas.image()), 3 * 8, 1e-6);
  canvas.paste(Image(20, 20), -10, -10);
  EXPECT_EQ(brightness(canvas.image()), 0);
}

TEST(Canvas, WritesEveryCharacterWithinItsWidth) {
  std::string all;
  for (char letter = ' '; letter <= '~'; ++letter) {
    const std::string text(1, letter);
    const float width = Canvas::text_width(24, text);
    Canvas canvas(60, 80, kBlack);
    canvas.text({20, 40}, 24, text, kWhite);
    double inside = 0;
    for (int y = 0; y < 60; ++y)
      for (int x = 18; x <= 20 + std::ceil(width); ++x) inside += canvas.image().at(y, x)[0] / 255.0;
    EXPECT_NEAR(inside, brightness(canvas.image()), 1e-3) << letter;
    if (letter == ' ') {
      EXPECT_EQ(inside, 0);
    } else {
      EXPECT_GT(inside, 4) << letter;
    }
    all += letter;
  }
  EXPECT_GT(Canvas::text_width(24, all), 95 * 5);
  Canvas box(60, 80, kBlack), missing(60, 80, kBlack);
  box.text({20, 40}, 24, "\x01", kWhite);
  missing.text({20, 40}, 24, "\xC3", kWhite);
  EXPECT_EQ(box.image().rgb, missing.image().rgb);
  EXPECT_GT(brightness(box.image()), 50);
}

TEST(Canvas, DigitsAreEquallyWide) {
  for (char digit = '1'; digit <= '9'; ++digit)
    EXPECT_EQ(Canvas::text_width(10, std::string(1, digit)), Canvas::text_width(10, "0"));
}

TEST(HeatColour, GrowsBrighterAllTheWay) {
  const auto lightness = [](Colour c) { return 0.2126f * c.red + 0.7152f * c.green + 0.0722f * c.blue; };
  for (int i = 0; i < 100; ++i)
    EXPECT_LT(lightness(heat_colour(static_cast<float>(i) / 100)),
              lightness(heat_colour(static_cast<float>(i + 1) / 100)));
  EXPECT_EQ(heat_colour(-3).blue, heat_colour(0).blue);
  EXPECT_EQ(heat_colour(9).red, heat_colour(1).red);
}

TEST(Scaled, KeepsAreasAndColours) {
  Image image(40, 60);
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 60; ++x)
      for (int c = 0; c < 3; ++c) image.at(y, x)[c] = static_cast<uint8_t>(x < 30 ? 10 + c : 200 + c);
  for (const auto& [height, width] : {std::pair{10, 15}, {80, 120}, {7, 90}, {1, 2}}) {
    const Image result = scaled(image, height, width);
    ASSERT_EQ(result.height, height);
    ASSERT_EQ(result.width, width);
    for (int c = 0; c < 3; ++c) {
      EXPECT_NEAR(result.at(height - 1, 0)[c], 10 + c, width > 2 ? 1 : 30);
      EXPECT_NEAR(result.at(0, width - 1)[c], 200 + c, width > 2 ? 1 : 30);
    }
  }
}

}  // namespace
}  // namespace sandglass
