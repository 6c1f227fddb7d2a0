// The faces of a picture, and how they lie in it: found, given or registered already. What they show is for the network
// to say (infer/face_network.h).
#pragma once

#include <span>
#include <vector>

#include "face/detector.h"
#include "infer/prediction.h"

namespace sandglass {

/// The faces that a detector found; all but their registration.
std::vector<FacePrediction> detected_faces(std::span<const Face> found);

/// The faces that these landmarks (picture pixels) belong to, in their order; all but their registration.
std::vector<FacePrediction> given_faces(std::span<const Landmarks> landmarks);

/// Leaves the first `max_faces` (0: all), numbers them from 0, and sets how each is registered to `size` x `size`
/// pixels. Throws Error as registration() does.
void register_faces(std::vector<FacePrediction>& faces, int max_faces, int size);

/// The face that a registered picture of `side` x `side` pixels is, for a network of `size` x `size` pixels.
FacePrediction registered_face(int side, int size);

}  // namespace sandglass
