#include "train/localisation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr Point kAbsent{kNaN, kNaN};

// Four pictures, two AUs of up to two points, on 32 x 32 maps: a pixel is two of a 64 x 64 map.
TEST(Localisation, IsTheDistanceToTheNearestPoint) {
  Peaks peaks;
  peaks.points_per_map = 2;
  const std::vector<float> labels = {1, 5, 3, 0.5, 0, -1, 2, 1};
  peaks.places = {{10, 10}, {4, 4}, {20, 10}, {0, 0}, {9, 9}, {9, 9}, {10, 16}, {8, 8}};
  for (int n = 0; n < 4; ++n) peaks.points.insert(peaks.points.end(), {{13, 14}, {20, 10}, {4, 8}, kAbsent});
  const Localisation found = localise({"AU06", "AU12"}, peaks, labels, 32);
  // AU06: pictures 0 (5 from the first point), 1 (0 from the second), 3 (sqrt(13)): not the one coded 0.
  EXPECT_EQ(found.aus[0].count, 3);
  EXPECT_NEAR(found.aus[0].mean, 2 * (5 + 0 + std::sqrt(13)) / 3, 1e-6);
  EXPECT_NEAR(found.aus[0].median, 2 * std::sqrt(13), 1e-6);
  // AU12: pictures 0 and 3, both 4 from its only point; not those coded 0.5 and not coded.
  EXPECT_EQ(found.aus[1].count, 2);
  EXPECT_NEAR(found.aus[1].mean, 8, 1e-6);
  EXPECT_NEAR(found.aus[1].median, 8, 1e-6);
  EXPECT_EQ(found.mean.aus, 2);
  EXPECT_NEAR(found.mean.value, (found.aus[0].mean + 8) / 2, 1e-6);
}

TEST(Localisation, WithoutPointsOrPicturesThereIsNone) {
  Peaks peaks;
  peaks.places = {{1, 1}};
  EXPECT_EQ(localise({"AU06"}, peaks, std::vector<float>{5}, 64).aus[0].count, 0);
  peaks.points_per_map = 1;
  peaks.points = {{1, 1}};
  const Localisation none = localise({"AU06"}, peaks, std::vector<float>{0.9f}, 64);
  EXPECT_EQ(none.aus[0].count, 0);
  EXPECT_TRUE(std::isnan(none.aus[0].mean));
  EXPECT_TRUE(std::isnan(none.mean.value));
  EXPECT_THROW(localise({"AU06"}, peaks, std::vector<float>{1, 2}, 64), Error);
}

}  // namespace
}  // namespace sandglass
