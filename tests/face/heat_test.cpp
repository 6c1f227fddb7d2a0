#include "face/heat.h"

#include <gtest/gtest.h>

#include "engine/error.h"

namespace sandglass {
namespace {

int red_minus_blue(const Image& image, int y, int x) { return image.at(y, x)[0] - image.at(y, x)[2]; }

TEST(Heat, IsDrawnWhereTheMapIsHigh) {
  Image face(32, 32);
  face.rgb.assign(face.rgb.size(), 120);
  std::vector<float> map(8 * 8, 0.0f);
  map[2 * 8 + 5] = 5;  // map pixel (5, 2) covers face pixels 20-23, 8-11
  const Image panel = draw_heat(face, map);
  ASSERT_EQ(panel.width, 32);
  EXPECT_GT(red_minus_blue(panel, 9, 21), 80);
  EXPECT_EQ(red_minus_blue(panel, 25, 5), 0);  // grey as it was
  EXPECT_NEAR(panel.at(25, 5)[0], 0.82 * 120, 1);
  map[2 * 8 + 5] = 1;
  EXPECT_LT(draw_heat(face, map).at(9, 21)[0], panel.at(9, 21)[0]);  // one scale: less is darker
}

TEST(Heat, RefusesWhatIsNoSquare) {
  EXPECT_THROW(draw_heat(Image(4, 5), std::vector<float>(4)), Error);
  EXPECT_THROW(draw_heat(Image(4, 4), std::vector<float>(5)), Error);
  EXPECT_THROW(draw_heat(Image(4, 4), {}), Error);
}

TEST(Heat, ThePeakIsMarkedOnDarkAndBright) {
  for (const float ground : {0.0f, 255.0f}) {
    Canvas canvas(20, 20, {ground, ground, ground});
    const Image before = canvas.image();
    mark_peak(canvas, {10, 9});
    EXPECT_GT(canvas.image().at(9, 10)[0], 240);
    EXPECT_NE(canvas.image().rgb, before.rgb);
    EXPECT_EQ(canvas.image().at(2, 2)[0], before.at(2, 2)[0]);
  }
}

}  // namespace
}  // namespace sandglass
