#include "train/augmentation.h"

#include <cmath>
#include <numbers>

#include "face/au_points.h"

namespace sandglass {
namespace {

constexpr int kEyeCornerRight = 36, kEyeCornerLeft = 45;

// Rotation, scale and shift about the centre of a size x size picture.
Affine in_place(const Augmentation& augmentation, int size) {
  const double centre = 0.5 * (size - 1);
  const double c = augmentation.scale * std::cos(augmentation.rotation);
  const double s = augmentation.scale * std::sin(augmentation.rotation);
  return {{{{c, -s, centre - c * centre + s * centre + augmentation.shift_x * size},
            {s, c, centre - s * centre - c * centre + augmentation.shift_y * size}}}};
}

float outer_eye_distance(const Landmarks& face) {
  return std::hypot(face[kEyeCornerLeft].x - face[kEyeCornerRight].x, face[kEyeCornerLeft].y - face[kEyeCornerRight].y);
}

}  // namespace

Augmentation draw_augmentation(const AugmentationConfig& config, Random& random) {
  const auto within = [&](double limit) { return limit * random.uniform(-1, 1); };
  Augmentation drawn;
  drawn.mirror = random.chance(static_cast<float>(config.mirror));
  drawn.rotation = within(config.rotation) * std::numbers::pi / 180;
  drawn.scale = std::pow(1 + config.scale, within(1));
  drawn.shift_x = within(config.shift);
  drawn.shift_y = within(config.shift);
  const double brightness = within(config.brightness);
  drawn.gain = static_cast<float>(1 + within(config.contrast));
  drawn.offset = static_cast<float>(brightness) + 0.5f * (1 - drawn.gain);
  const float deviation = static_cast<float>(config.landmark_jitter);
  for (Point& error : drawn.jitter) {
    error.x = deviation * random.normal();
    error.y = deviation * random.normal();
  }
  return drawn;
}

Augmentation draw_misalignment(const Landmarks& landmarks, double pixels, Random& random) {
  const Affine to_picture = registration(landmarks).inverse();
  const double eye_distance = outer_eye_distance(landmarks);
  Augmentation drawn;
  for (Point& error : drawn.jitter) {
    const double direction = random.uniform(0, 2 * std::numbers::pi_v<float>);
    const double x = pixels * std::cos(direction), y = pixels * std::sin(direction);
    error.x = static_cast<float>((to_picture.m[0][0] * x + to_picture.m[0][1] * y) / eye_distance);
    error.y = static_cast<float>((to_picture.m[1][0] * x + to_picture.m[1][1] * y) / eye_distance);
  }
  return drawn;
}

PlacedFace place_face(const Landmarks& landmarks, int picture_width, int size, const Augmentation& augmentation) {
  const Landmarks seen = augmentation.mirror ? mirror(landmarks, picture_width) : landmarks;
  const float eye_distance = outer_eye_distance(seen);
  Landmarks found = seen;
  for (size_t i = 0; i < kRegistrationLandmarks.size(); ++i) {
    Point& landmark = found[static_cast<size_t>(kRegistrationLandmarks[i])];
    landmark.x += eye_distance * augmentation.jitter[i].x;
    landmark.y += eye_distance * augmentation.jitter[i].y;
  }
  const Affine seen_to_output = compose(in_place(augmentation, size), registration(found, size));

  PlacedFace placed;
  placed.landmarks = seen_to_output.apply(seen);
  const Affine flip{{{{-1, 0, static_cast<double>(picture_width - 1)}, {0, 1, 0}}}};
  placed.to_output = augmentation.mirror ? compose(seen_to_output, flip) : seen_to_output;
  return placed;
}

}  // namespace sandglass
