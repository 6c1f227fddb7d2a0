#include "train/synth/expression.h"

namespace sandglass::synth {
namespace {

constexpr float kLidThickness = 1.0f;

// 1 in the middle of the slit of the mouth, 0 at its corners and outside: how far the lips can part here.
float mouth_opening(float x) {
  const float s = std::abs(x) / kMouthHalfWidth;
  return std::pow(std::max(0.0f, 1 - s * s), 0.6f);
}

// How much a place hangs on the lower jaw: nothing of the upper lip, all of the chin, the cheeks in between.
float jaw_share(const GridPoint& p) {
  const float distance = std::abs(p.x);
  const float neck = smoothstep(-165, -118, p.y);
  const float cheek = smoothstep(kMouthHalfWidth, 46, distance) * smoothstep(-38, -92, p.y);
  const float below = p.above_mouth ? 0 : lerp(mouth_opening(p.x), 1.0f, smoothstep(kMouthY, -92, p.y));
  return p.front * neck * std::max(cheek, below);
}

}  // namespace

Vec3 movement(ActionUnit unit, const GridPoint& p) {
  const float x = p.x, y = p.y;
  const float outward = std::tanh(x / 4);  // direction away from the midline: -1, +1, passing smoothly through 0
  const auto at = [&](float at_x, float at_y, float dx, float dy) { return p.front * blob(x, y, at_x, at_y, dx, dy); };
  const auto move = [&](float weight, float out, float up, float forward) {
    return weight * Vec3{out * outward, up, forward};
  };
  const float upper_lip_only =
      !p.above_mouth ? 0
                     : smoothstep(40, 30, std::abs(x)) *
                           lerp(smoothstep(kMouthHalfWidth, 15, std::abs(x)), 1.0f, smoothstep(kMouthY, -58, y));
  switch (unit) {
    case ActionUnit::cheek_raiser: {
      // Orbicularis oculi, outer part: the cheek rises under the eye, skin is drawn in from temple and brow's tail.
      const float below_lids = smoothstep(1, -10, y);
      return move(at(38, -22, 16, 10) * below_lids, -0.5f, 6.0f, 4.2f) + move(at(56, 1, 8, 11), -2.4f, -0.6f, 0.8f) +
             move(at(44, 17, 13, 8), -0.8f, -2.2f, 0.4f);
    }
    case ActionUnit::upper_lip_raiser:
      // Levator labii superioris: the middle of the upper lip goes up, most beside the philtrum; the wings of the nose
      // too.
      return move(upper_lip_only * at(12, -62, 10, 10), 0.4f, 7.5f, 1.6f) +
             move(upper_lip_only * at(0, -60, 6, 9), 0, 1.5f, 0.3f) + move(at(15, -42, 5, 6), 2.0f, 3.8f, 0.6f) +
             move(at(26, -36, 9, 10), 0.2f, 4.0f, 3.6f);
    case ActionUnit::lip_corner_puller:
      // Zygomaticus major: the corners go up, out and back, the lips stretch, the cheeks bunch up over them.
      return move(at(kMouthHalfWidth + 2, kMouthY, 9, 9), 7.5f, 9.0f, -5.0f) +
             move(at(14, kMouthY, 9, 8), 2.5f, 1.6f, -1.5f) + move(at(38, -40, 12, 11), 1.5f, 5.0f, 5.0f) +
             move(at(0, -62, 9, 5), 0, -0.8f, -1.2f);
    case ActionUnit::dimpler:
      // Buccinator: the corners are pulled in towards the teeth and tighten; the flesh beside them bulges around a pit.
      return move(at(kMouthHalfWidth + 3, kMouthY, 5, 6), 3.0f, 0.6f, -7.5f) +
             move(at(20, kMouthY, 7, 5), 2.6f, 0.3f, -1.2f) + move(at(38, -70, 5, 9), -0.5f, 0.4f, 4.0f) +
             move(at(22, kMouthY + 5, 7, 3.5f), 0, -2.0f, -0.5f) + move(at(22, kMouthY - 5, 7, 3.5f), 0, 2.0f, -0.5f);
    case ActionUnit::chin_raiser:
      // Mentalis: the chin's boss is pushed up, the lower lip up and out; the mouth bends down at the corners.
      return move(at(0, -97, 15, 9), 0, 7.0f, 2.6f) + move(at(0, -78, 15, 7), 0, 5.0f, 4.5f) +
             move(at(0, -66, 13, 6), 0, 3.0f, 1.2f) + move(at(kMouthHalfWidth, kMouthY - 2, 7, 8), 0.3f, -3.4f, -0.5f);
    case ActionUnit::inner_brow_raiser:
      return move(at(12, 21, 12, 10), -0.5f, 6.0f, 0.8f);
    case ActionUnit::outer_brow_raiser:
      return move(at(42, 21, 14, 10), 0.3f, 5.5f, 0.6f);
    case ActionUnit::brow_lowerer:
      return move(at(18, 19, 16, 8), -3.0f, -5.0f, 1.4f) + move(at(40, 19, 10, 7), -1.0f, -2.0f, 0.4f);
    case ActionUnit::lips_part: {
      const float parting = mouth_opening(x);
      return p.above_mouth ? move(parting * at(0, kMouthY, 30, 6), 0, 2.0f, 0.2f)
                           : move(parting * at(0, kMouthY, 30, 9), 0, -5.0f, 0.3f);
    }
    case ActionUnit::jaw_drop:
      // The jaw turns about the axis through its joints, gliding forward so that the chin falls more than it recedes.
      return jaw_share(p) * Vec3{0, -17.0f * p.mean.z / 95.0f, 5.0f * (p.mean.y + 20) / 95.0f};
    case ActionUnit::count:
      break;
  }
  return {};
}

LidEdges lid_edges(const HeadShape& shape, const Expression& expression, float side, float u) {
  const auto pull = [&](ActionUnit unit) {
    const int k = static_cast<int>(unit);
    return expression.intensity[k] * (1 + side * expression.asymmetry[k]) / 5;
  };
  const float cheek = pull(ActionUnit::cheek_raiser);
  const float across = std::max(0.0f, 1 - u * u);
  // Lids open to almond shapes: the upper highest a little to the nose's side, the lower deepest on the outer side.
  float upper = (shape.upper_lid + 0.9f * pull(ActionUnit::outer_brow_raiser) - 1.5f * pull(ActionUnit::brow_lowerer) -
                 1.3f * cheek + 4.5f * expression.gaze_pitch) *
                std::pow(across, 0.72f) * (1 - 0.15f * u);
  float lower =
      -(shape.lower_lid - 2.9f * cheek - 0.5f * pull(ActionUnit::lip_corner_puller) - 2.0f * expression.gaze_pitch) *
      std::pow(across, 0.8f) * (1 + 0.2f * u);
  const float shut = lower + 0.8f * cheek * across;  // the upper lid does most of the way when the eye shuts
  upper = lerp(std::max(upper, shut), shut, expression.blink);
  lower = lerp(lower, shut, expression.blink);
  return {upper, lower};
}

std::vector<Vec3> express(const NeutralHead& head, const HeadShape& shape,
                          const std::array<float, kActionUnits>& mobility, const Expression& expression) {
  const HeadGrid& grid = head_grid();
  // What each unit moves, as plain numbers (three to a point), between the first and the last point that it reaches.
  struct Reach {
    size_t first = 0;
    std::vector<float> shift;
  };
  static const std::array<Reach, kActionUnits> reaches = [&] {
    constexpr float kNothing = 1e-7f;  // mm: less than the last bit of a position
    std::array<Reach, kActionUnits> all;
    for (int k = 0; k < kActionUnits; ++k) {
      std::vector<float> shift;
      for (const GridPoint& point : grid.points) {
        const Vec3 moved = point.front == 0 ? Vec3{} : movement(ActionUnit(k), point);
        shift.insert(shift.end(), {moved.x, moved.y, moved.z});
      }
      const auto felt = [](float value) { return std::abs(value) > kNothing; };
      const auto first = std::find_if(shift.begin(), shift.end(), felt);
      const auto last = std::find_if(shift.rbegin(), std::make_reverse_iterator(first), felt).base();
      all[k] = {static_cast<size_t>(first - shift.begin()), {first, last}};
    }
    return all;
  }();
  static const std::vector<float> right_side = [&] {  // 0 on the left, 1 on the right; three to a point
    std::vector<float> sides;
    for (const GridPoint& point : grid.points) sides.insert(sides.end(), 3, smoothstep(-10, 10, point.x));
    return sides;
  }();
  std::vector<Vec3> positions = head.positions;
  for (int k = 0; k < kActionUnits; ++k) {
    const float weight = mobility[k] * expression.intensity[k] / 5;
    if (weight == 0) continue;
    const float left = weight * (1 - expression.asymmetry[k]), right = weight * (1 + expression.asymmetry[k]);
    const auto& [first, shift] = reaches[k];
    float* coordinates = &positions[0].x + first;
    const float* side = &right_side[first];
    for (size_t i = 0; i < shift.size(); ++i) coordinates[i] += lerp(left, right, side[i]) * shift[i];
  }
  // The lids: their edges open, the skin above and below folds, and all of it lies on the eyeball.
  constexpr float kUpperReach = 15, kLowerReach = 12;  // mm from the edge over which the skin gives way
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      const GridPoint& point = grid.points[grid.index(row, column)];
      const float u = (std::abs(point.x) - kEyeX) / kEyeHalfLength;
      if (point.front == 0 || point.y > 26 || point.y < -20 || std::abs(u) > 1.6f) continue;
      const float side = point.x < 0 ? -1.0f : 1.0f;
      const LidEdges edges = lid_edges(shape, expression, side, u);
      Vec3& position = positions[grid.index(row, column)];
      const float reach = std::max(0.0f, 1 - (point.above_eyes ? point.y / kUpperReach : -point.y / kLowerReach));
      position.y += (point.above_eyes ? edges.upper : edges.lower) * std::pow(reach, 1.5f);
      const Vec3 centre = side < 0 ? head.left_eye : head.right_eye;
      const float lid_radius = kEyeballRadius + kLidThickness;
      const float dx = position.x - centre.x, dy = position.y - centre.y;
      const float d2 = dx * dx + dy * dy, r2 = lid_radius * lid_radius;
      // Outside the ball its surface is continued steeply backwards, so that the rounded maximum fades out.
      const float ball =
          centre.z + (d2 < 0.95f * r2 ? std::sqrt(r2 - d2) : lid_radius * (0.2236f - 2.5f * (d2 / r2 - 0.95f)));
      position.z = smooth_max(position.z, ball, 3.5f);
    }
  }
  return positions;
}

Expression random_expression(Random& random) {
  Expression expression;
  // A Gaussian copula: correlated normals, cut into levels. The matrix holds the correlations of the normals, a little
  // stronger than those of the levels: AU6, 10, 12, 14, 17.
  static constexpr float kCorrelation[kLabelledUnits][kLabelledUnits] = {{1, 0.45f, 0.70f, 0.10f, -0.12f},
                                                                         {0.45f, 1, 0.45f, 0.12f, 0.05f},
                                                                         {0.70f, 0.45f, 1, 0.12f, -0.20f},
                                                                         {0.10f, 0.12f, 0.12f, 1, 0.18f},
                                                                         {-0.12f, 0.05f, -0.20f, 0.18f, 1}};
  // Levels by the normal's quantiles: 45 % none, then 15, 14, 12, 8 and 6 % for 1 to 5.
  static constexpr float kThreshold[5] = {-0.126f, 0.253f, 0.643f, 1.08f, 1.555f};
  float factor[kLabelledUnits][kLabelledUnits] = {};
  for (int i = 0; i < kLabelledUnits; ++i) {
    for (int j = 0; j <= i; ++j) {
      float sum = kCorrelation[i][j];
      for (int k = 0; k < j; ++k) sum -= factor[i][k] * factor[j][k];
      factor[i][j] = i == j ? std::sqrt(sum) : sum / factor[j][j];
    }
  }
  std::array<float, kLabelledUnits> independent;
  for (float& value : independent) value = random.normal();
  for (int i = 0; i < kLabelledUnits; ++i) {
    float value = 0;
    for (int k = 0; k <= i; ++k) value += factor[i][k] * independent[k];
    for (float threshold : kThreshold) expression.intensity[i] += value > threshold;
  }
  for (ActionUnit unit : {ActionUnit::inner_brow_raiser, ActionUnit::outer_brow_raiser, ActionUnit::brow_lowerer}) {
    if (random.chance(0.3f)) expression[unit] = random.uniform(0.5f, 5.0f);
  }
  // Smiles and raised lips mostly show teeth; a raised chin keeps the mouth shut.
  const float shut = expression[ActionUnit::chin_raiser] / 5;
  const float smile = std::max(expression[ActionUnit::lip_corner_puller], expression[ActionUnit::upper_lip_raiser]) / 5;
  if (random.chance((0.2f + 0.5f * smile) * (1 - shut))) expression[ActionUnit::lips_part] = random.uniform(0.5f, 5.0f);
  if (expression[ActionUnit::lips_part] > 0 && random.chance(0.4f))
    expression[ActionUnit::jaw_drop] = random.uniform(0.5f, 4.0f) * (1 - shut);
  for (float& asymmetry : expression.asymmetry) asymmetry = 0.08f * std::clamp(random.normal(), -2.0f, 2.0f);
  expression.blink = random.chance(0.06f)  ? random.uniform(0.5f, 1.0f)
                     : random.chance(0.3f) ? random.uniform(0.0f, 0.25f)
                                           : 0;
  expression.gaze_yaw = 0.16f * std::clamp(random.normal(), -2.0f, 2.0f);
  expression.gaze_pitch = 0.10f * std::clamp(random.normal(), -2.0f, 2.0f);
  return expression;
}

}  // namespace sandglass::synth
