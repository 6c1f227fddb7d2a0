#include "train/synth/camera.h"

#include <numbers>

namespace sandglass::synth {

Pose random_pose(Random& random) {
  const float yaw = random.uniform(-20, 20), pitch = random.uniform(-15, 15), roll = random.uniform(-15, 15);
  return {yaw, pitch, roll};
}

Camera make_camera(const Pose& pose, float distance, float picture_height, float shift_x, float shift_y, int size) {
  const auto cosine_sine = [](float degrees) {
    const float radians = degrees * std::numbers::pi_v<float> / 180;
    return std::pair{std::cos(radians), std::sin(radians)};
  };
  const auto [cy, sy] = cosine_sine(pose.yaw);
  const auto [cp, sp] = cosine_sine(pose.pitch);
  const auto [cr, sr] = cosine_sine(pose.roll);
  const Mat3 yaw{{{{cy, 0, sy}, {0, 1, 0}, {-sy, 0, cy}}}};
  const Mat3 pitch{{{{1, 0, 0}, {0, cp, sp}, {0, -sp, cp}}}};
  const Mat3 roll{{{{cr, sr, 0}, {-sr, cr, 0}, {0, 0, 1}}}};
  Camera camera;
  camera.rotation = roll * (pitch * yaw);
  camera.focal = static_cast<float>(size) * distance / picture_height;
  // The middle of the face (between the eyes and the mouth, before the ears) appears in the picture's middle.
  constexpr Vec3 kMiddleOfFace{0, -25, 60};
  camera.translation =
      Vec3{shift_x * picture_height, shift_y * picture_height, -distance} - camera.rotation * kMiddleOfFace;
  camera.centre_x = camera.centre_y = 0.5f * static_cast<float>(size - 1);
  return camera;
}

}  // namespace sandglass::synth
