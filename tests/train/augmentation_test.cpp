#include "train/augmentation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "face/au_points.h"
#include "face_pictures.h"

namespace sandglass {
namespace {

const Landmarks kFace = test_landmarks(100, 90, 60, 0.2f);

TEST(Augmentation, NoneIsTheRegistration) {
  const PlacedFace placed = place_face(kFace, 200, 256, {});
  const Landmarks expected = registration(kFace, 256).apply(kFace);
  for (size_t i = 0; i < 68; ++i) {
    EXPECT_NEAR(placed.landmarks[i].x, expected[i].x, 1e-3);
    EXPECT_NEAR(placed.landmarks[i].y, expected[i].y, 1e-3);
  }
  EXPECT_NEAR(placed.landmarks[36].x, 79.1608, 1e-3);
  EXPECT_NEAR(placed.landmarks[8].y, 227.8161, 1e-3);
}

TEST(Augmentation, MovesAboutTheCentre) {
  const PlacedFace plain = place_face(kFace, 200, 256, {});
  Augmentation change;
  change.rotation = std::numbers::pi / 2;
  change.scale = 1.5;
  change.shift_x = 0.25;
  change.shift_y = -0.125;
  const PlacedFace moved = place_face(kFace, 200, 256, change);
  for (size_t i = 0; i < 68; ++i) {
    // A quarter turn takes (x, y) from the centre to (-y, x).
    EXPECT_NEAR(moved.landmarks[i].x, 127.5 - 1.5 * (plain.landmarks[i].y - 127.5) + 64, 2e-3);
    EXPECT_NEAR(moved.landmarks[i].y, 127.5 + 1.5 * (plain.landmarks[i].x - 127.5) - 32, 2e-3);
  }
}

TEST(Augmentation, MirrorExchangesLeftAndRight) {
  Augmentation change;
  change.mirror = true;
  const PlacedFace placed = place_face(kFace, 200, 256, change);
  EXPECT_NEAR(placed.landmarks[36].x, 79.1608, 1e-3);  // registered by what is now on the left
  EXPECT_LT(placed.to_output.m[0][0], 0);
  for (size_t i = 0; i < 68; ++i) {
    // The map takes landmark j of the picture to where landmark mirrored(j) is said to be.
    const Point place = placed.to_output.apply(kFace[static_cast<size_t>(kMirroredLandmark[i])]);
    EXPECT_NEAR(place.x, placed.landmarks[i].x, 2e-3);
    EXPECT_NEAR(place.y, placed.landmarks[i].y, 2e-3);
  }
}

TEST(Augmentation, JitterMovesTheRegistrationNotTheTruth) {
  Augmentation change;
  change.jitter[1] = {0.1f, 0};  // the corner at 36 is believed to lie a tenth of the eyes' distance further right
  const PlacedFace placed = place_face(kFace, 200, 256, change);
  EXPECT_LT(placed.landmarks[36].x, 79.1608 - 5);
  EXPECT_NEAR(placed.landmarks[45].x, 176.8392, 1e-3);
  for (size_t i = 0; i < 68; ++i) {
    EXPECT_NEAR(placed.to_output.apply(kFace[i]).x, placed.landmarks[i].x, 2e-3);
    EXPECT_NEAR(placed.to_output.apply(kFace[i]).y, placed.landmarks[i].y, 2e-3);
  }
}

TEST(Augmentation, DrawsWhatTheSettingsSay) {
  AugmentationConfig config;
  config.rotation = 20;
  config.scale = 0.25;
  config.shift = 0.1;
  config.mirror = 0.3;
  config.brightness = 0.2;
  config.contrast = 0.4;
  config.landmark_jitter = 0.05;
  constexpr int kDraws = 20000;
  int mirrored = 0;
  double most_rotation = 0, smallest = 9, largest = 0, most_shift = 0, jitter = 0, least_gain = 9, most_brightness = 0;
  Random random(5);
  for (int i = 0; i < kDraws; ++i) {
    const Augmentation drawn = draw_augmentation(config, random);
    mirrored += drawn.mirror;
    most_rotation = std::max(most_rotation, std::abs(drawn.rotation));
    smallest = std::min(smallest, drawn.scale);
    largest = std::max(largest, drawn.scale);
    most_shift = std::max({most_shift, std::abs(drawn.shift_x), std::abs(drawn.shift_y)});
    least_gain = std::min(least_gain, static_cast<double>(drawn.gain));
    most_brightness = std::max(most_brightness, std::abs(drawn.offset - 0.5 * (1 - drawn.gain)));
    for (const Point& error : drawn.jitter) jitter += error.x * error.x + error.y * error.y;
  }
  EXPECT_NEAR(mirrored / static_cast<double>(kDraws), 0.3, 0.015);
  EXPECT_NEAR(most_rotation, 20 * std::numbers::pi / 180, 0.001);
  EXPECT_LE(most_rotation, 20 * std::numbers::pi / 180);
  EXPECT_NEAR(smallest, 1 / 1.25, 0.001);
  EXPECT_NEAR(largest, 1.25, 0.001);
  EXPECT_NEAR(most_shift, 0.1, 0.001);
  EXPECT_NEAR(least_gain, 0.6, 0.001);
  EXPECT_NEAR(most_brightness, 0.2, 0.001);
  EXPECT_NEAR(std::sqrt(jitter / (6.0 * kDraws)), 0.05, 0.001);
}

TEST(Augmentation, SettingsDoNotDisturbEachOther) {
  AugmentationConfig all, no_mirror;
  no_mirror.mirror = 0;
  no_mirror.landmark_jitter = 0;
  Random a(9), b(9);
  for (int i = 0; i < 20; ++i) {
    const Augmentation first = draw_augmentation(all, a), second = draw_augmentation(no_mirror, b);
    EXPECT_EQ(first.rotation, second.rotation);
    EXPECT_EQ(first.gain, second.gain);
    EXPECT_FALSE(second.mirror);
  }
  EXPECT_EQ(a.position(), b.position());
}

TEST(Augmentation, MisalignmentMovesEachLandmarkByThatMuch) {
  const Affine to_face = registration(kFace);
  const auto moved_by = [&](double pixels, uint64_t seed) {
    Random random(seed);
    const Augmentation drawn = draw_misalignment(kFace, pixels, random);
    const float eyes = std::hypot(kFace[45].x - kFace[36].x, kFace[45].y - kFace[36].y);
    std::array<Point, 3> moves;
    for (size_t i = 0; i < 3; ++i) {
      const Point landmark = kFace[static_cast<size_t>(kRegistrationLandmarks[i])];
      const Point found =
          to_face.apply(Point{landmark.x + eyes * drawn.jitter[i].x, landmark.y + eyes * drawn.jitter[i].y});
      moves[i] = {found.x - kRegistrationPlaces[i].x, found.y - kRegistrationPlaces[i].y};
    }
    return moves;
  };
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::array<Point, 3> small = moved_by(2, seed), large = moved_by(16, seed);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(std::hypot(small[i].x, small[i].y), 2, 1e-3);
      EXPECT_NEAR(std::hypot(large[i].x, large[i].y), 16, 1e-3);
      EXPECT_NEAR(8 * small[i].x, large[i].x, 1e-2);  // the same direction
      EXPECT_NEAR(8 * small[i].y, large[i].y, 1e-2);
    }
    EXPECT_GT(std::hypot(large[0].x - large[1].x, large[0].y - large[1].y), 1e-2) << "each its own";
  }
  Random random(1);
  const Augmentation drawn = draw_misalignment(kFace, 3, random);
  EXPECT_FALSE(drawn.mirror);
  EXPECT_EQ(drawn.gain, 1);
  EXPECT_EQ(place_face(kFace, 200, 256, draw_misalignment(kFace, 0, random)).landmarks[8].x,
            place_face(kFace, 200, 256, {}).landmarks[8].x);
}

}  // namespace
}  // namespace sandglass
