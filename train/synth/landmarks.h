// The 68 landmarks of the 300-W (Multi-PIE) markup on the synthetic head.
#pragma once

#include <vector>

#include "face/image.h"
#include "train/synth/camera.h"

namespace sandglass::synth {

/// Projects the landmarks. `positions`: the head's grid in its expression, head coordinates. Brows, eyes, nose and
/// mouth are points of the surface. The jaw's points 0 to 16 are chosen as annotators do: on each level the place where
/// the cheek ends in the picture, be it the head's outline or, on the side turned to the camera, the line before the
/// ear.
Landmarks project_landmarks(const std::vector<Vec3>& positions, const Camera& camera);

}  // namespace sandglass::synth
