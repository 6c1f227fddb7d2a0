// Pose of the head and the pinhole camera that sees it.
#pragma once

#include "engine/random.h"
#include "face/image.h"
#include "train/synth/vec.h"

namespace sandglass::synth {

/// Head coordinates to pictures. Camera coordinates are millimetres: x right, y up, z from the scene towards the camera
/// (so that what is seen has z < 0), origin in the pinhole.
struct Camera {
  Mat3 rotation;                     ///< head to camera
  Vec3 translation;                  ///< of the head's origin, mm
  float focal = 1;                   ///< pixels
  float centre_x = 0, centre_y = 0;  ///< principal point, pixels

  Vec3 to_camera(Vec3 head) const { return rotation * head + translation; }
  Point project(Vec3 camera) const {
    const float scale = focal / -camera.z;
    return {centre_x + scale * camera.x, centre_y - scale * camera.y};
  }
};

/// Yaw (positive: the face turns to the viewer's right), pitch (up) and roll (clockwise as seen), degrees.
struct Pose {
  float yaw = 0, pitch = 0, roll = 0;
};

/// Uniform within +-20, +-15 and +-15 degrees.
Pose random_pose(Random& random);

/// A camera `distance` mm before the face that shows `picture_height` mm (brows to chin are about 135) over the
/// picture's `size` pixels; `shift_x` and `shift_y` move the face by that part of the picture.
Camera make_camera(const Pose& pose, float distance, float picture_height, float shift_x, float shift_y, int size);

}  // namespace sandglass::synth
