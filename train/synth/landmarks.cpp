#include "train/synth/landmarks.h"

#include <numbers>

#include "train/synth/head.h"

namespace sandglass::synth {
namespace {

enum class Edge { none, upper_lid, lower_lid, upper_lip, lower_lip };

// A landmark's place on the viewer's left half or on the midline; the right half mirrors it.
struct Definition {
  int left, right;  // numbers of the landmark and of its mirror image
  float x, y;       // place, mm
  Edge edge = Edge::none;
};

constexpr float kInnerCanthus = kEyeX - kEyeHalfLength, kOuterCanthus = kEyeX + kEyeHalfLength;
constexpr Definition kDefinitions[] = {
    // brows, from the tail inwards, on their upper half
    {17, 26, 52.5f, 17},
    {18, 25, 45, 24},
    {19, 24, 35.0f, 26.5f},
    {20, 23, 24, 25},
    {21, 22, 13, 20.5f},
    // ridge of the nose from its root to its tip
    {27, 27, 0, 2},
    {28, 28, 0, -11},
    {29, 29, 0, -24},
    {30, 30, 0, kNoseTipY},
    // under the nose
    {31, 35, 13, -46},
    {32, 34, 6.5f, -48},
    {33, 33, 0, -49.5f},
    // eyes: canthi and quarter points of the lids' edges
    {36, 45, kOuterCanthus, 0, Edge::upper_lid},
    {37, 44, kEyeX + 5.2f, 0, Edge::upper_lid},
    {38, 43, kEyeX - 5.2f, 0, Edge::upper_lid},
    {39, 42, kInnerCanthus, 0, Edge::upper_lid},
    {40, 47, kEyeX - 5.2f, 0, Edge::lower_lid},
    {41, 46, kEyeX + 5.2f, 0, Edge::lower_lid},
    // outer border of the lips
    {48, 54, kMouthHalfWidth, 0, Edge::upper_lip},
    {49, 53, 15.5f, kMouthY + 5.0f},
    {50, 52, 5.5f, kMouthY + 7.6f},
    {51, 51, 0, kMouthY + 6.4f},
    {59, 55, 15.5f, kMouthY - 7.0f},
    {58, 56, 7, kMouthY - 9.2f},
    {57, 57, 0, kMouthY - 9.6f},
    // inner border of the lips
    {60, 64, kMouthHalfWidth - 4, 0, Edge::upper_lip},
    {61, 63, 8, 0, Edge::upper_lip},
    {62, 62, 0, 0, Edge::upper_lip},
    {67, 65, 8, 0, Edge::lower_lip},
    {66, 66, 0, 0, Edge::lower_lip}};

// The jaw line: a level's height at the midline is not on the face's outline, so each is a path over the cheek, from
// the last angle that an annotator would still call the face (before the ear) inwards.
struct JawPoint {
  int left, right;
  float outer_angle, outer_y;  // degrees, mm
  float inner_angle, inner_y;
};
constexpr JawPoint kJaw[] = {{0, 16, 70, -1, 50, -1},     {1, 15, 75, -20, 48, -21},          {2, 14, 74, -38, 46, -42},
                             {3, 13, 72, -55, 42, -60},   {4, 12, 65, -75, 38, -83},          {5, 11, 51, -90, 33, -99},
                             {6, 10, 33, -103, 22, -108}, {7, 9, 15.5f, -112.5f, 11, -113.5f}};
constexpr float kGnathionY = -114.5f;

// The place on the grid with this angle and height.
GridPlace find_by_angle(float degrees, float y) {
  const HeadGrid& grid = head_grid();
  const float angle = degrees * std::numbers::pi_v<float> / 180;
  int column = 0;
  while (column + 2 < grid.columns && grid.points[grid.index(0, column + 1)].angle <= angle) ++column;
  const float from = grid.points[grid.index(0, column)].angle, to = grid.points[grid.index(0, column + 1)].angle;
  const float fraction = (angle - from) / (to - from);
  const auto height = [&](int row) {
    return lerp(grid.points[grid.index(row, column)].y, grid.points[grid.index(row, column + 1)].y, fraction);
  };
  int row = 0;
  while (row + 2 < grid.rows && height(row + 1) >= y) ++row;
  const float top = height(row), bottom = height(row + 1);
  return {static_cast<float>(row) + (top > bottom ? std::clamp((top - y) / (top - bottom), 0.0f, 1.0f) : 0.0f),
          static_cast<float>(column) + fraction};
}

constexpr int kJawSteps = 9;

// All places, found once.
struct Places {
  std::array<GridPlace, 68> points;                      // 0..16 unused except 8
  std::array<std::array<GridPlace, kJawSteps>, 17> jaw;  // from the outer end inwards
};

const Places& places() {
  static const Places all = [] {
    Places made{};
    const HeadGrid& grid = head_grid();
    for (const Definition& d : kDefinitions) {
      const int row = d.edge == Edge::upper_lid   ? grid.eye_upper
                      : d.edge == Edge::lower_lid ? grid.eye_lower
                      : d.edge == Edge::upper_lip ? grid.mouth_upper
                      : d.edge == Edge::lower_lip ? grid.mouth_lower
                                                  : -1;
      made.points[d.left] = find_place(-d.x, d.y, row);
      made.points[d.right] = find_place(d.x, d.y, row);
    }
    made.points[8] = find_by_angle(0, kGnathionY);
    for (const JawPoint& point : kJaw) {
      for (int step = 0; step < kJawSteps; ++step) {
        const float t = static_cast<float>(step) / (kJawSteps - 1);
        const float angle = lerp(point.outer_angle, point.inner_angle, t), y = lerp(point.outer_y, point.inner_y, t);
        made.jaw[point.left][step] = find_by_angle(-angle, y);
        made.jaw[point.right][step] = find_by_angle(angle, y);
      }
    }
    return made;
  }();
  return all;
}

}  // namespace

Landmarks project_landmarks(const std::vector<Vec3>& positions, const Camera& camera) {
  const auto seen = [&](GridPlace place) { return camera.project(camera.to_camera(at_place(positions, place))); };
  Landmarks landmarks;
  landmarks[8] = seen(places().points[8]);
  for (int k = 17; k < 68; ++k) landmarks[k] = seen(places().points[k]);
  // Outwards in the picture is away from the line between nose root and chin.
  const Point root = landmarks[27], chin = landmarks[8];
  const float length = std::hypot(chin.x - root.x, chin.y - root.y);
  const float across_x = (chin.y - root.y) / length, across_y = -(chin.x - root.x) / length;  // to the viewer's right
  for (const JawPoint& definition : kJaw) {
    for (const auto& [k, side] : {std::pair{definition.left, -1.0f}, std::pair{definition.right, 1.0f}}) {
      float farthest = -1e9f;
      for (const GridPlace& place : places().jaw[k]) {
        const Point point = seen(place);
        const float outwards = side * ((point.x - root.x) * across_x + (point.y - root.y) * across_y);
        if (outwards > farthest) farthest = outwards, landmarks[k] = point;
      }
    }
  }
  return landmarks;
}

}  // namespace sandglass::synth
