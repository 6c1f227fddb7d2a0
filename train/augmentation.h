// Augmentation: random changes of a training face, as numbers that go into the affine map and the warp's colour; pixels
// are touched once, by the warp on the device. All points of the face move along.
//
//   picture --mirror--> --registration by jittered landmarks--> registered face --rotate, scale, shift--> network's
//   input
#pragma once

#include <array>

#include "engine/random.h"
#include "face/image.h"
#include "face/registration.h"
#include "train/config.h"

namespace sandglass {

/// What happens to one face. The default changes nothing.
struct Augmentation {
  bool mirror = false;              ///< left and right exchanged, in the picture and in the landmarks' numbers
  double rotation = 0;              ///< radians, about the registered face's centre
  double scale = 1;                 ///< above 1: larger
  double shift_x = 0, shift_y = 0;  ///< fraction of the registered face's side
  std::array<Point, 3> jitter{};    ///< error of each registration landmark, in distances between the outer eye corners
  float gain = 1, offset = 0;  ///< the warp's: value * gain + offset in [0, 1] (contrast about mid-grey, brightness)
};

/// Draws one. Uniform: rotation within +-rotation degrees, shifts within +-shift, brightness within +-brightness,
/// contrast within 1 +- contrast. Scale is log-uniform from 1 / (1 + scale) to 1 + scale, jitter normal. Always draws
/// the same number of words, so that changing one setting leaves the others' values as they were.
Augmentation draw_augmentation(const AugmentationConfig& config, Random& random);

/// A registration that is wrong by a known amount, and nothing else: each landmark that it rests on is moved by
/// `pixels` of the 256 x 256 registered face in a direction of its own, drawn uniformly. The directions do not depend
/// on `pixels`. Throws Error if the face cannot be registered.
Augmentation draw_misalignment(const Landmarks& landmarks, double pixels, Random& random);
/// The largest misalignment that leaves a triangle: half of the least height of kRegistrationPlaces' is 46.
constexpr double kMostMisalignment = 40;

/// Where a face goes: from pixels of its picture to pixels of the network's input, and its landmarks there, numbered as
/// they appear (after mirroring, 36 is again the eye corner on the left).
struct PlacedFace {
  Affine to_output;
  Landmarks landmarks{};  ///< the true ones: jitter moves the registration, not the points to be found
};

/// Places a face of a picture `picture_width` pixels wide in an input of `size` x `size` pixels.
/// Throws Error if it cannot be registered (see face/registration.h).
PlacedFace place_face(const Landmarks& landmarks, int picture_width, int size, const Augmentation& augmentation);

}  // namespace sandglass
