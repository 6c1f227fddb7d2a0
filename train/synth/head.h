// The head as a surface: one grid of points around skull, face, neck and shoulders, and how heads differ.
//
// Head coordinates are millimetres: x to the viewer's right when the face looks at him, y up, z towards the viewer. The
// origin lies on the axis between the ears at eye height. Every grid point has a *place*: its x and y on the average
// head with closed eyes and mouth. All features, furrows and movements are written as functions of the place, so they
// follow their feature on every head: the left mouth corner is at (26, -68.5) of everybody.
#pragma once

#include <array>
#include <vector>

#include "engine/random.h"
#include "train/synth/vec.h"

namespace sandglass::synth {

// Places of the average face (anthropometric means of adults), mm.
inline constexpr float kEyeX = 31.0f;           // middle of the palpebral fissure
inline constexpr float kEyeHalfLength = 13.8f;  // half the distance from inner to outer canthus
inline constexpr float kEyeballRadius = 12.2f;
inline constexpr float kMouthY = -68.5f;         // stomion
inline constexpr float kMouthHalfWidth = 26.0f;  // to the cheilion
inline constexpr float kUpperLipHeight = 8.0f;   // vermilion at the cupid's bow
inline constexpr float kLowerLipHeight = 9.5f;
inline constexpr float kNoseTipY = -37.0f;   // pronasale
inline constexpr float kNoseBaseY = -47.0f;  // subnasale
inline constexpr float kChinY = -114.0f;     // gnathion

/// One point of the grid; the same for all heads.
struct GridPoint {
  float x, y;        ///< place, mm
  float angle;       ///< around the head's axis: 0 in front, positive on the viewer's right, +-pi at the back
  float front;       ///< 1 on the face, 0 behind the ears: features fade by it
  bool above_eyes;   ///< belongs to the upper side of the slits between the lids
  bool above_mouth;  ///< belongs to the upper side of the slit between the lips
  Vec3 mean;         ///< average head with its features, mm
};

/// The grid: `rows` from the crown to the chest, `columns` around the head. The rows eye_upper/eye_lower and
/// mouth_upper/mouth_lower lie on each other: there the surface is slit open.
struct HeadGrid {
  int rows = 0, columns = 0;
  int eye_upper = 0, eye_lower = 0, mouth_upper = 0, mouth_lower = 0;
  std::vector<GridPoint> points;  ///< rows * columns

  int index(int row, int column) const { return row * columns + column; }
};

/// A bell of height 1 at the place (+-at_x, at_y) of both sides of the face: what most features and movements are sums
/// of.
inline float blob(float x, float y, float at_x, float at_y, float deviation_x, float deviation_y) {
  const float dx = (std::abs(x) - at_x) / deviation_x, dy = (y - at_y) / deviation_y;
  return std::exp(-0.5f * (dx * dx + dy * dy));
}

/// The grid of the average head (made once).
const HeadGrid& head_grid();

/// A place on the grid between points: row + fraction, column + fraction.
struct GridPlace {
  float row, column;
};

/// Where on the grid the place (x, y) of the face lies; `row` < 0 finds it, otherwise it is that row (a lip's or lid's
/// edge).
GridPlace find_place(float x, float y, int row = -1);

/// The surface point at `place`, by bilinear interpolation of `positions` (one for each grid point).
Vec3 at_place(const std::vector<Vec3>& positions, GridPlace place);

/// The proportions in which heads differ; each is a normal variate (mean 0, deviation 1, cut at +-2.2).
enum class Proportion : int {
  face_width,
  face_height,
  skull_height,
  jaw_width,
  chin_length,
  chin_forward,
  cheekbones,
  cheek_fat,
  temples,
  eye_spacing,
  eye_size,
  eye_tilt,
  eye_depth,
  brow_ridge,
  brow_height,
  brow_tilt,
  nose_length,
  nose_width,
  nose_forward,
  nose_hump,
  nose_tip,
  nose_root,
  nose_bridge_width,
  mouth_width,
  mouth_height,
  mouth_corners,
  upper_lip,
  lower_lip,
  lip_fullness,
  philtrum,
  muzzle,
  count
};
inline constexpr int kProportions = static_cast<int>(Proportion::count);

/// How much the proportions move the place (x, y) per unit: the shape basis, mm.
Vec3 proportion_shift(Proportion proportion, float x, float y, float front);

/// One person's bones and flesh.
struct HeadShape {
  std::array<float, kProportions> left{}, right{};  ///< slightly different on the two sides
  float upper_lid = 4.6f, lower_lid = 4.3f;         ///< height of the lids' edges over and under the eye's axis, mm
  float hair_thickness = 0;                         ///< mm
};

HeadShape random_head_shape(Random& random);

/// The neutral surface of a person (lids and lips closed), one position for each grid point, and the eyeballs' centres.
struct NeutralHead {
  std::vector<Vec3> positions;
  Vec3 left_eye, right_eye;  ///< viewer's left and right, mm
};

NeutralHead build_head(const HeadShape& shape);

}  // namespace sandglass::synth
