#include "train/synth/head.h"

#include <numbers>

namespace sandglass::synth {
namespace {

constexpr float kDegree = std::numbers::pi_v<float> / 180;

// The bare head without eyes, nose and lips: meridians at these angles from the front ...
constexpr int kMeridians = 10;
constexpr std::array<float, kMeridians> kMeridianAngle = {0, 15, 30, 45, 60, 75, 90, 120, 150, 180};

// ... through these levels: height y and distance from the axis, mm. `steps` rows of the grid lie between a level and
// the next.
struct Level {
  int steps;
  std::array<float, kMeridians> y, radius;
};
enum {
  crown,
  crown_rim,
  upper_skull,
  hairline,
  forehead,
  brow,
  eye,
  cheek,
  nose_base,
  mouth,
  lip_groove,
  chin,
  jaw_edge,
  under_jaw,
  neck,
  neck_base,
  shoulder,
  chest,
  level_count
};
constexpr std::array<Level, level_count> kLevels = {{
    {2, {118, 118, 118, 118, 118, 118, 118, 118, 118, 118}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {3, {113, 113, 113, 113, 113, 113, 113, 113, 113, 113}, {30, 30, 29, 28, 27, 27, 28, 30, 32, 32}},
    {4, {100, 100, 100, 100, 100, 100, 100, 100, 100, 100}, {60, 60, 58, 55, 53, 53, 54, 58, 62, 63}},
    {6, {76, 76, 76, 76, 76, 76, 76, 76, 76, 76}, {86, 85.5, 82, 77, 73, 71.5, 72.5, 80, 85, 86}},
    {9, {50, 50, 50, 50, 50, 50, 50, 50, 50, 50}, {97, 96, 91, 84, 78, 75, 76.5, 87, 94, 95}},
    {13, {22, 22, 22, 22, 22, 22, 22, 22, 22, 22}, {98, 97, 92, 84, 77, 74, 75, 86, 94, 96}},
    {13, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {93, 92, 88.5, 80.5, 74.5, 71, 71.5, 84, 93, 95}},
    {14, {-24, -24, -24, -24, -24, -22, -18, -20, -20, -20}, {95, 94.5, 90, 80.5, 73, 69, 69, 80, 88, 91}},
    {15, {-47, -47, -47, -47, -45, -40, -32, -35, -35, -35}, {97, 95.5, 88, 77, 69.5, 65.5, 66, 75, 82, 85}},
    {15, {-68.5, -68.5, -68.5, -66, -61, -54, -43, -48, -48, -48}, {98, 94.5, 83, 72, 65, 62, 63, 72, 79, 81}},
    {8, {-88, -88, -85, -80, -72, -62, -49, -56, -56, -56}, {96, 92, 79, 68.5, 62, 60, 61.5, 70, 77, 79}},
    {7, {-103, -102.5, -96, -88, -78, -66.5, -53, -62, -62, -62}, {96, 90.5, 75.5, 65.5, 60.5, 59, 60.5, 69, 76, 78}},
    {5,
     {-114, -112.5, -104.5, -94.5, -83, -70.5, -57, -68, -70, -70},
     {86, 82, 71, 62.5, 58.5, 57.5, 59.5, 68, 75, 77}},
    {4, {-117, -116, -110, -102, -93, -82, -70, -80, -82, -82}, {62, 60, 55.5, 52.5, 52, 53.5, 57, 66, 73, 75}},
    {4, {-140, -140, -139, -137, -133, -130, -125, -130, -133, -133}, {44, 45.5, 48, 50, 52, 54.5, 57, 64, 70, 71}},
    {4, {-172, -171, -169, -166, -163, -160, -158, -160, -162, -162}, {50, 51, 54, 59, 66, 73, 79, 84, 84, 82}},
    {3, {-192, -192, -190, -188, -185, -182, -182, -184, -186, -186}, {82, 85, 98, 122, 150, 175, 188, 150, 112, 100}},
    {0,
     {-290, -290, -290, -290, -290, -290, -290, -290, -290, -290},
     {105, 108, 118, 140, 170, 195, 205, 170, 130, 115}},
}};

// Cubic through the values at nodes i and i+1 with the slopes of the neighbours (Catmull-Rom); t in [0, 1].
float catmull_rom(float before, float from, float to, float after, float t) {
  const float slope_from = 0.5f * (to - before), slope_to = 0.5f * (after - from);
  const float t2 = t * t, t3 = t2 * t;
  return from * (2 * t3 - 3 * t2 + 1) + slope_from * (t3 - 2 * t2 + t) + to * (3 * t2 - 2 * t3) + slope_to * (t3 - t2);
}

// A level's value at an angle (degrees, 0 to 180): cubic in the meridian's number, which is smooth as the angles are
// graded.
float at_angle(const std::array<float, kMeridians>& values, float degrees) {
  int i = 0;
  while (i < kMeridians - 2 && degrees > kMeridianAngle[i + 1]) ++i;
  const float t = (degrees - kMeridianAngle[i]) / (kMeridianAngle[i + 1] - kMeridianAngle[i]);
  // Mirror symmetric at the front and at the back. Where the spacing doubles (at 90 degrees) the inner neighbour is
  // used.
  const auto value = [&](int k) { return values[k < 0 ? -k : k >= kMeridians ? 2 * (kMeridians - 1) - k : k]; };
  const float before = kMeridianAngle[i] == 90 ? value(i - 2) : value(i - 1);
  const float after =
      i + 1 < kMeridians && kMeridianAngle[i + 1] == 90 ? 0.5f * (value(i + 1) + value(i + 2)) : value(i + 2);
  return catmull_rom(before, value(i), value(i + 1), after, t);
}

// The table's value between nodes, nodes ascending or descending in their first column, with smooth slopes.
template <size_t N>
float curve(const std::array<std::array<float, 2>, N>& nodes, float at) {
  const float sign = nodes[N - 1][0] > nodes[0][0] ? 1.0f : -1.0f;
  if (sign * at <= sign * nodes[0][0]) return nodes[0][1];
  if (sign * at >= sign * nodes[N - 1][0]) return nodes[N - 1][1];
  size_t i = 0;
  while (sign * at > sign * nodes[i + 1][0]) ++i;
  const float step = nodes[i + 1][0] - nodes[i][0];
  const auto slope = [&](size_t k) {
    return k == 0 || k == N - 1 ? 0.0f : (nodes[k + 1][1] - nodes[k - 1][1]) / (nodes[k + 1][0] - nodes[k - 1][0]);
  };
  const float t = (at - nodes[i][0]) / step, t2 = t * t, t3 = t2 * t;
  return nodes[i][1] * (2 * t3 - 3 * t2 + 1) + slope(i) * step * (t3 - 2 * t2 + t) +
         nodes[i + 1][1] * (3 * t2 - 2 * t3) + slope(i + 1) * step * (t3 - t2);
}

// How far the nose stands out of the face.
float nose_relief(float x, float y) {
  static constexpr std::array<std::array<float, 2>, 12> kRidge = {{{14, 0},
                                                                   {6, 2.2f},
                                                                   {0, 5.5f},
                                                                   {-8, 9},
                                                                   {-17, 14},
                                                                   {-26, 19},
                                                                   {-33, 23.5f},
                                                                   {-37.5f, 25},
                                                                   {-41.5f, 22.5f},
                                                                   {-44.5f, 14.5f},
                                                                   {-47.5f, 6},
                                                                   {-54, 0}}};
  static constexpr std::array<std::array<float, 2>, 6> kHalfWidth = {
      {{12, 6.0f}, {0, 5.8f}, {-14, 7.2f}, {-26, 8.6f}, {-36, 9.8f}, {-48, 9.6f}}};
  const float across = x / curve(kHalfWidth, y);
  const float ridge = curve(kRidge, y) * std::exp(-0.5f * std::pow(std::abs(across), 2.2f));
  // The wings are half balls beside the tip; the groove behind them is sharp.
  const float wing_distance = std::hypot((std::abs(x) - 12.2f) / 5.6f, (y + 41.2f) / 6.2f);
  const float wing = 11.5f * std::sqrt(std::max(0.0f, 1 - wing_distance * wing_distance));
  const float nostril = -5.0f * blob(x, y, 6.6f, -44.6f, 2.6f, 1.6f);
  const float columella = 3.0f * blob(x, y, 0, -45.5f, 2.4f, 2.2f);
  return smooth_max(ridge, wing, 2.0f) - 1.0f * bell(std::hypot(ridge, wing)) + nostril + columella;
}

// Lips, philtrum and the groove under the lower lip. `above`: on the upper lip's side of the mouth's slit.
float lip_relief(float x, float y, bool above) {
  const float s = std::abs(x) / kMouthHalfWidth;
  const float taper = std::pow(std::max(0.0f, 1 - s * s), 0.6f);
  float z = 0;
  if (above) {
    const float t = (y - kMouthY) / kUpperLipHeight;  // 0 at the slit, 1 at the vermilion's border
    z += taper * (4.0f * bell((t - 0.5f) / 0.42f) - 4.5f * bell(t / 0.16f));
    z += taper * 0.8f * bell((t - 1.05f) / 0.12f);  // white roll
  } else {
    const float t = (kMouthY - y) / kLowerLipHeight;
    z += taper * (5.0f * bell((t - 0.45f) / 0.38f) - 4.5f * bell(t / 0.14f));
  }
  z -= 3.2f * blob(x, y, 0, -86.5f, 15, 4.5f);                                            // mentolabial groove
  z -= 1.3f * blob(x, y, 0, -54.5f, 2.4f, 4.5f) - 0.7f * blob(x, y, 4.6f, -55, 1.6f, 5);  // philtrum and its columns
  z -= 2.2f * blob(x, y, kMouthHalfWidth + 1.5f, kMouthY, 3.2f, 3.5f);                    // mouth corner
  return z;
}

// All that stands out of or lies in the bare head's front, without the eyeballs, mm along z.
float relief(float x, float y, bool above_mouth) {
  float z = nose_relief(x, y) + lip_relief(x, y, above_mouth);
  z += 2.6f * blob(x, y, 24, 15, 15, 6);                                          // brow ridge
  z -= 7.0f * blob(x, y, kEyeX - 1, 2, 14, 10) + 3.5f * blob(x, y, 14, 2, 5, 8);  // eye socket
  z -= 1.6f * blob(x, y, 24, -13, 8, 4);                                          // tear trough
  z += 3.5f * blob(x, y, 46, -25, 13, 10);                                        // cheekbone
  z += 1.5f * blob(x, y, 38, -48, 14, 16);                                        // cheek
  z += 4.5f * blob(x, y, 0, -66, 22, 16);                                         // teeth push the lips forward
  z -= 1.2f * blob(x, y, 25, -54, 4, 10);                                         // nasolabial fold at rest
  z += 4.5f * blob(x, y, 0, -101, 12, 8);                                         // chin boss
  z -= 2.0f * blob(x, y, 58, 16, 9, 12);                                          // temple
  return z;
}

std::vector<float> column_angles() {
  // Degrees from the front of the columns on one side: about 1.7 mm apart on the face, wider behind.
  std::vector<float> side;
  for (float angle = 0, step = 1.1f; angle < 180; angle += step) {
    side.push_back(angle);
    if (angle > 30) step = std::min(step * 1.12f, 11.0f);
  }
  side.back() = 180;
  std::vector<float> angles;
  for (auto angle = side.rbegin(); angle != side.rend() - 1; ++angle) angles.push_back(-*angle * kDegree);
  for (float angle : side) angles.push_back(angle * kDegree);
  return angles;
}

HeadGrid make_grid() {
  HeadGrid grid;
  const std::vector<float> angles = column_angles();
  grid.columns = static_cast<int>(angles.size());
  const auto add_row = [&](int level, float t, bool above_eyes, bool above_mouth) {
    const auto at_level = [&](auto member, int k, float degrees) {
      return at_angle(kLevels[std::clamp(k, 0, level_count - 1)].*member, degrees);
    };
    for (float angle : angles) {
      const float degrees = std::abs(angle) / kDegree;
      const auto value = [&](auto member) {
        return catmull_rom(at_level(member, level - 1, degrees), at_level(member, level, degrees),
                           at_level(member, level + 1, degrees), at_level(member, level + 2, degrees), t);
      };
      const float y = value(&Level::y), radius = std::max(0.0f, value(&Level::radius));
      GridPoint point{radius * std::sin(angle), y, angle, smoothstep(95, 70, degrees), above_eyes, above_mouth, {}};
      point.mean = {point.x, y, radius * std::cos(angle) + point.front * relief(point.x, y, above_mouth)};
      grid.points.push_back(point);
    }
    return grid.rows++;
  };
  for (int level = 0; level < level_count; ++level) {
    const int steps = std::max(kLevels[level].steps, 1);
    for (int step = 0; step < steps; ++step) {
      // More rows next to the slits: lids and lips are finer than the rest.
      float t = static_cast<float>(step) / static_cast<float>(steps);
      if (level == brow || level == nose_base) t = 1 - (1 - t) * lerp(0.6f, 1.0f, 1 - t);
      if (level == eye || level == mouth) t = t * lerp(0.6f, 1.0f, t);
      if (level == eye && step == 0) grid.eye_upper = add_row(level, t, true, true);
      if (level == mouth && step == 0) grid.mouth_upper = add_row(level, t, false, true);
      const int row = add_row(level, t, level < eye, level < mouth);
      if (level == eye && step == 0) grid.eye_lower = row;
      if (level == mouth && step == 0) grid.mouth_lower = row;
    }
  }
  return grid;
}

// Scales distances from (+-at_x, at_y) within a neighbourhood.
Vec3 scaled_around(float x, float y, float at_x, float at_y, float deviation_x, float deviation_y, float amount) {
  const float weight = amount * blob(x, y, at_x, at_y, deviation_x, deviation_y);
  const float sign = x < 0 ? -1.0f : 1.0f;
  return {weight * sign * (std::abs(x) - at_x), weight * (y - at_y), 0};
}

}  // namespace

const HeadGrid& head_grid() {
  static const HeadGrid grid = make_grid();
  return grid;
}

GridPlace find_place(float x, float y, int row) {
  const HeadGrid& grid = head_grid();
  const auto at = [&](float r, float c, auto member) {
    const int i = std::min(static_cast<int>(r), grid.rows - 2), j = std::min(static_cast<int>(c), grid.columns - 2);
    const float u = r - static_cast<float>(i), v = c - static_cast<float>(j);
    const auto value = [&](int a, int b) { return grid.points[grid.index(a, b)].*member; };
    return lerp(lerp(value(i, j), value(i, j + 1), v), lerp(value(i + 1, j), value(i + 1, j + 1), v), u);
  };
  // x grows along the front columns and y falls along the rows: halve the intervals in turn until both fit.
  GridPlace place{row >= 0 ? static_cast<float>(row) : 0.5f * static_cast<float>(grid.rows),
                  0.5f * static_cast<float>(grid.columns)};
  for (int round = 0; round < 6; ++round) {
    float low = 0, high = static_cast<float>(grid.columns - 1);
    while (low < high && grid.points[static_cast<size_t>(low)].angle < -0.5f * std::numbers::pi_v<float>) ++low;
    while (low < high && grid.points[static_cast<size_t>(high)].angle > 0.5f * std::numbers::pi_v<float>) --high;
    for (int step = 0; step < 24; ++step) {
      place.column = 0.5f * (low + high);
      (at(place.row, place.column, &GridPoint::x) < x ? low : high) = place.column;
    }
    if (row >= 0) break;
    float top = 0, bottom = static_cast<float>(grid.rows - 1);
    for (int step = 0; step < 24; ++step) {
      place.row = 0.5f * (top + bottom);
      (at(place.row, place.column, &GridPoint::y) > y ? top : bottom) = place.row;
    }
  }
  return place;
}

Vec3 at_place(const std::vector<Vec3>& positions, GridPlace place) {
  const HeadGrid& grid = head_grid();
  const int i = std::min(static_cast<int>(place.row), grid.rows - 2);
  const int j = std::min(static_cast<int>(place.column), grid.columns - 2);
  const float u = place.row - static_cast<float>(i), v = place.column - static_cast<float>(j);
  const auto row = [&](int r) { return lerp(positions[grid.index(r, j)], positions[grid.index(r, j + 1)], v); };
  return u > 0 ? lerp(row(i), row(i + 1), u) : row(i);
}

Vec3 proportion_shift(Proportion proportion, float x, float y, float front) {
  const float side = x < 0 ? -1.0f : 1.0f, above_neck = smoothstep(-165, -125, y);
  const auto on_face = [&](float at_x, float at_y, float dx, float dy) {
    return front * blob(x, y, at_x, at_y, dx, dy);
  };
  switch (proportion) {
    case Proportion::face_width:
      return {0.032f * x * above_neck, 0, 0};
    case Proportion::face_height:
      return {0, 0.035f * std::min(y, 0.0f) * above_neck, 0};
    case Proportion::skull_height:
      return {0, 0.035f * std::max(y - 20, 0.0f), 0};
    case Proportion::jaw_width:
      return {0.045f * x * smoothstep(-25, -75, y) * above_neck, 0, 0};
    case Proportion::chin_length:
      return {0, -3.0f * smoothstep(-78, -112, y) * smoothstep(-160, -118, y), 0};
    case Proportion::chin_forward:
      return {0, 0, 2.5f * on_face(0, -103, 20, 11)};
    case Proportion::cheekbones:
      return {side * 1.6f * on_face(56, -22, 14, 13), 0, 1.5f * on_face(45, -24, 14, 11)};
    case Proportion::cheek_fat:
      return {side * 3.2f * on_face(56, -58, 18, 20), 0, 2.0f * on_face(38, -55, 15, 16)};
    case Proportion::temples:
      return {side * 1.8f * on_face(66, 25, 14, 22), 0, 0};
    case Proportion::eye_spacing:
      return {side * 1.3f * on_face(kEyeX, 3, 16, 16) * smoothstep(6, 20, std::abs(x)), 0, 0};
    case Proportion::eye_size:
      return front * scaled_around(x, y, kEyeX, 0, 15, 12, 0.05f);
    case Proportion::eye_tilt:
      return {0, 1.3f * on_face(kEyeX, 2, 17, 12) * (std::abs(x) - kEyeX) / kEyeHalfLength, 0};
    case Proportion::eye_depth:
      return {0, 0, -1.4f * on_face(kEyeX - 2, 0, 17, 12)};
    case Proportion::brow_ridge:
      return {0, -0.6f * on_face(22, 18, 18, 8), 1.5f * on_face(22, 16, 18, 7)};
    case Proportion::brow_height:
      return {0, 1.7f * on_face(30, 21, 24, 8), 0};
    case Proportion::brow_tilt:
      return {0, 1.6f * on_face(46, 20, 10, 7) - 0.8f * on_face(12, 19, 9, 6), 0};
    case Proportion::nose_length:
      return {0, -2.2f * on_face(0, -42, 20, 11), 0};
    case Proportion::nose_width:
      return {0.085f * x * on_face(0, -42, 16, 8), 0, 0};
    case Proportion::nose_forward:
      return {0, 0, 2.0f * on_face(0, -36, 10, 12)};
    case Proportion::nose_hump:
      return {0, 0, 1.3f * on_face(0, -14, 7, 8)};
    case Proportion::nose_tip:
      return {0, 1.6f * on_face(0, -40, 9, 5), 0.6f * on_face(0, -40, 9, 5)};
    case Proportion::nose_root:
      return {0, 0, 1.3f * on_face(0, 0, 8, 9)};
    case Proportion::nose_bridge_width:
      return {0.09f * x * on_face(0, -15, 11, 14), 0, 0};
    case Proportion::mouth_width:
      return {side * 1.9f * on_face(kMouthHalfWidth, kMouthY, 12, 12) * smoothstep(0, 12, std::abs(x)), 0, 0};
    case Proportion::mouth_height:
      return {0, 1.5f * on_face(0, kMouthY, 34, 13), 0};
    case Proportion::mouth_corners:
      return {0, 1.1f * on_face(kMouthHalfWidth, kMouthY, 8, 9), 0};
    case Proportion::upper_lip:
      return {0, 1.3f * on_face(0, kMouthY + 8.5f, 15, 4), 0};
    case Proportion::lower_lip:
      return {0, -1.5f * on_face(0, kMouthY - 10, 15, 5), 0};
    case Proportion::lip_fullness:
      return {0, 0, 1.2f * on_face(0, kMouthY + 4, 15, 3) + 1.3f * on_face(0, kMouthY - 5, 14, 3.5f)};
    case Proportion::philtrum:
      return {0, 1.3f * on_face(0, kNoseBaseY, 22, 7), 0};
    case Proportion::muzzle:
      return {0, 0, 1.8f * on_face(0, -67, 24, 18)};
    case Proportion::count:
      break;
  }
  return {};
}

HeadShape random_head_shape(Random& random) {
  HeadShape shape;
  for (int i = 0; i < kProportions; ++i) {
    const float value = std::clamp(random.normal(), -2.2f, 2.2f);
    shape.left[i] = value + 0.18f * std::clamp(random.normal(), -2.0f, 2.0f);
    shape.right[i] = value + 0.18f * std::clamp(random.normal(), -2.0f, 2.0f);
  }
  shape.upper_lid = random.uniform(3.7f, 5.4f);
  shape.lower_lid = random.uniform(3.8f, 4.9f);
  return shape;
}

NeutralHead build_head(const HeadShape& shape) {
  const HeadGrid& grid = head_grid();
  static const std::vector<std::array<Vec3, kProportions>> basis = [&] {
    std::vector<std::array<Vec3, kProportions>> shifts(grid.points.size());
    for (size_t i = 0; i < shifts.size(); ++i) {
      const GridPoint& point = grid.points[i];
      for (int k = 0; k < kProportions; ++k)
        shifts[i][k] = proportion_shift(Proportion(k), point.x, point.y, point.front);
    }
    return shifts;
  }();
  // The two sides' proportions pass into each other over the width of the nose.
  const auto coefficient = [&](int k, float x) { return lerp(shape.left[k], shape.right[k], smoothstep(-12, 12, x)); };
  NeutralHead head;
  head.positions.resize(grid.points.size());
  for (size_t i = 0; i < grid.points.size(); ++i) {
    const float x = grid.points[i].x, right = smoothstep(-12, 12, x);
    Vec3 position = grid.points[i].mean;
    for (int k = 0; k < kProportions; ++k) position += lerp(shape.left[k], shape.right[k], right) * basis[i][k];
    head.positions[i] = position;
  }
  const auto eye_centre = [&](float x) {
    Vec3 centre{x, 0.3f, 74.2f};
    for (int k = 0; k < kProportions; ++k) centre += coefficient(k, x) * proportion_shift(Proportion(k), x, 0, 1);
    return centre;
  };
  head.left_eye = eye_centre(-kEyeX);
  head.right_eye = eye_centre(kEyeX);
  return head;
}

}  // namespace sandglass::synth
