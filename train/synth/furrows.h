// Furrows, wrinkles and dimples: a relief finer than the surface's grid, which shading sees as a tilt of the normal.
#pragma once

#include <array>
#include <vector>

#include "train/synth/expression.h"
#include "train/synth/pack.h"

namespace sandglass::synth {

/// How strongly each unit creases this face now (intensity / 5 times the person's tendency), and the creases of age.
struct FurrowStrengths {
  std::array<float, kActionUnits> unit{};
  float age = 0;                   ///< 0 (child) to 1
  float shift_x = 0, shift_y = 0;  ///< this person's creases lie off the average ones, mm
};

/// The relief of one face at one moment, sampled over the places of the face.
class FurrowMap {
 public:
  void compose(const FurrowStrengths& strengths);

  struct Sample {
    Float8 height, slope_x, slope_y;  ///< mm and mm/mm
  };
  /// The relief at eight places (mm); flat outside the face.
  Sample at(Float8 x, Float8 y) const;

 private:
  std::vector<float> height_;
  float shift_x_ = 0, shift_y_ = 0;
};

}  // namespace sandglass::synth
