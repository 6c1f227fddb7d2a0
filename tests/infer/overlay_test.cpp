#include "infer/overlay.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::ElementsAre;

constexpr int kSide = 16;  // of the heatmaps

// A grey picture with `faces` faces of `aus` AUs each, all maps 0.
PicturePrediction prediction(int height, int width, int faces, int aus) {
  PicturePrediction made;
  made.path = "picture.png";
  made.image = Image(height, width);
  std::fill(made.image.rgb.begin(), made.image.rgb.end(), uint8_t{120});
  made.height = height;
  made.width = width;
  for (int i = 0; i < faces; ++i) {
    FacePrediction& face = made.faces.emplace_back();
    face.right = static_cast<float>(width);
    face.bottom = static_cast<float>(height);
    face.landmarks.emplace();
    for (size_t p = 0; p < 68; ++p) (*face.landmarks)[p] = {static_cast<float>(p), static_cast<float>(p * p % 50)};
    face.aus.resize(static_cast<size_t>(aus));
    face.heatmaps.resize(static_cast<size_t>(aus) * kSide * kSide);
  }
  return made;
}

std::vector<std::string> names(int count) {
  std::vector<std::string> made;
  for (int k = 0; k < count; ++k) made.push_back(fmt::format("AU{:02}", k + 1));
  return made;
}

TEST(Overlay, HeatChangesThePanelOfItsAuAlone) {
  PicturePrediction cold = prediction(100, 100, 1, 3), hot = cold;
  hot.faces[0].heatmaps[(1 * kSide + 5) * kSide + 12] = 4;  // AU 1, row 5, column 12
  const Image before = draw_overlay(cold, names(3)), after = draw_overlay(hot, names(3));
  ASSERT_EQ(before.width, after.width);
  double sum = 0, sum_x = 0, sum_y = 0;
  for (int y = 0; y < before.height; ++y) {
    for (int x = 0; x < before.width; ++x) {
      const int change = std::abs(before.at(y, x)[0] - after.at(y, x)[0]);
      sum += change;
      sum_x += change * x;
      sum_y += change * y;
    }
  }
  ASSERT_GT(sum, 0);
  // Where it changed: panels are 256 wide with a gap of 12 at the right end of the picture, whose margin is 18.
  const double panel_left = before.width - 18 - 12 - 2 * 256 - 12 + 12;
  EXPECT_NEAR(sum_x / sum, panel_left + (12.5 / kSide) * 256, 3);
  EXPECT_NEAR(sum_y / sum, 40 + (5.5 / kSide) * 256, 3);
}

TEST(Overlay, HidesFacesInThePhotographAndInThePanels) {
  PicturePrediction seen = prediction(100, 100, 1, 1);
  for (int y = 0; y < 100; ++y)
    for (int x = 0; x < 100; ++x) std::fill_n(seen.image.at(y, x), 3, static_cast<uint8_t>((x / 4 + y / 4) % 2 * 200));
  seen.faces[0].landmarks.reset();  // its box is the whole picture
  const Image open = draw_overlay(seen, names(1)), hidden = draw_overlay(seen, names(1), true);
  ASSERT_EQ(open.width, hidden.width);
  const auto contrast = [](const Image& image, int left) {
    int least = 255, most = 0;
    for (int y = 60; y < 120; ++y) {
      for (int x = left; x < left + 60; ++x) {
        least = std::min<int>(least, image.at(y, x)[1]);
        most = std::max<int>(most, image.at(y, x)[1]);
      }
    }
    return most - least;
  };
  for (const int left : {60, open.width - 18 - 40}) {
    const int at = std::min(left, open.width - 18 - 61);
    EXPECT_GT(contrast(open, at), 100) << at;
    EXPECT_LT(contrast(hidden, at), 40) << at;
  }
}

TEST(Overlay, TakesAnyNumberOfFacesAndAus) {
  for (const int faces : {0, 1, 2, 15}) {
    for (const int aus : {1, 5, 12}) {
      const Image image = draw_overlay(prediction(48, 64, faces, aus), names(aus));
      EXPECT_GT(image.width, 300) << faces << " faces, " << aus << " AUs";
      EXPECT_LE(image.height, 40 + 12 * 2 * (256 + 66 + 12) + 18);
    }
  }
}

TEST(Overlay, TakesExtremePictures) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 3000}, {3000, 1}, {2000, 3000}}) {
    PicturePrediction extreme = prediction(height, width, 1, 5);
    extreme.faces[0].left = -1e6f;
    extreme.faces[0].right = 1e6f;
    (*extreme.faces[0].landmarks)[3] = {-1e6f, 1e6f};
    extreme.faces[0].aus[2] = {1e9f, {-500, 1e6f}, {1e7f, -1e7f}};
    std::fill(extreme.faces[0].heatmaps.begin(), extreme.faces[0].heatmaps.end(), 1e30f);
    const Image image = draw_overlay(extreme, names(5));
    EXPECT_LT(image.width, 3000);
    EXPECT_LT(image.height, 1000);
  }
}

}  // namespace
}  // namespace sandglass
