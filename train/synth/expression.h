// How Action Units move the face (Ekman & Friesen's Facial Action Coding System).
#pragma once

#include <array>
#include <vector>

#include "engine/random.h"
#include "train/synth/head.h"

namespace sandglass::synth {

/// The Action Units of the synthetic faces. The first five are the data set's labels, the others move as distractors.
enum class ActionUnit : int {
  cheek_raiser,       ///< AU6
  upper_lip_raiser,   ///< AU10
  lip_corner_puller,  ///< AU12
  dimpler,            ///< AU14
  chin_raiser,        ///< AU17
  inner_brow_raiser,  ///< AU1
  outer_brow_raiser,  ///< AU2
  brow_lowerer,       ///< AU4
  lips_part,          ///< AU25
  jaw_drop,           ///< AU26
  count
};
inline constexpr int kActionUnits = static_cast<int>(ActionUnit::count);
inline constexpr int kLabelledUnits = 5;
/// Their numbers in FACS.
inline constexpr std::array<int, kActionUnits> kFacsNumber = {6, 10, 12, 14, 17, 1, 2, 4, 25, 26};

/// What a face does at one moment.
struct Expression {
  std::array<float, kActionUnits> intensity{};  ///< 0 (none) to 5 (extreme), continuous
  std::array<float, kActionUnits> asymmetry{};  ///< the right side moves by 1 + a, the left by 1 - a
  float blink = 0;                              ///< 0 open to 1 closed
  float gaze_yaw = 0, gaze_pitch = 0;           ///< radians, to the viewer's right and up
  float& operator[](ActionUnit unit) { return intensity[static_cast<int>(unit)]; }
  float operator[](ActionUnit unit) const { return intensity[static_cast<int>(unit)]; }
};

/// A random expression: intensities of the labelled units are whole numbers, about 45 % of each 0, correlated as in
/// spontaneous behaviour (AU6 with AU12 0.6).
Expression random_expression(Random& random);

/// How far the place `point` moves at intensity 5, mm, in head coordinates.
Vec3 movement(ActionUnit unit, const GridPoint& point);

/// Moves the surface of `head` into `expression` and opens its lids; `mobility` scales each unit for this person.
std::vector<Vec3> express(const NeutralHead& head, const HeadShape& shape,
                          const std::array<float, kActionUnits>& mobility, const Expression& expression);

/// Height of the lids' edges at u = -1 (inner canthus) to 1 (outer canthus), mm above the eye's axis.
struct LidEdges {
  float upper, lower;
};
LidEdges lid_edges(const HeadShape& shape, const Expression& expression, float side, float u);

}  // namespace sandglass::synth
