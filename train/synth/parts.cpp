#include "train/synth/parts.h"

#include <numbers>

#include "train/synth/pack.h"

namespace sandglass::synth {
namespace {

constexpr float kPi = std::numbers::pi_v<float>;

// A patch of rows x columns points added to the mesh, and its quads; counter-clockwise if columns go right and rows
// down.
class Patch {
 public:
  Patch(FaceMesh& mesh, int rows, int columns)
      : mesh_(mesh), rows_(rows), columns_(columns), first_(mesh.positions.size()) {
    mesh.positions.resize(first_ + static_cast<size_t>(rows * columns));
    mesh.points.resize(mesh.positions.size());
  }
  size_t index(int row, int column) const { return first_ + static_cast<size_t>(row * columns_ + column); }
  Vec3& position(int row, int column) { return mesh_.positions[index(row, column)]; }
  SurfacePoint& point(int row, int column) { return mesh_.points[index(row, column)]; }

  void set_normals() {
    for (int row = 0; row < rows_; ++row) {
      for (int column = 0; column < columns_; ++column) {
        const Vec3 right = position(row, std::min(column + 1, columns_ - 1)) - position(row, std::max(column - 1, 0));
        const Vec3 up = position(std::max(row - 1, 0), column) - position(std::min(row + 1, rows_ - 1), column);
        point(row, column).set_normal(normalized(cross(right, up)));
      }
    }
  }
  void add_quads(Material material, bool both_sides) {
    const size_t first = mesh_.quads.size();
    for (int row = 0; row + 1 < rows_; ++row) {
      for (int column = 0; column + 1 < columns_; ++column) {
        const auto corner = [&](int r, int c) { return static_cast<uint32_t>(index(row + r, column + c)); };
        mesh_.quads.push_back({corner(1, 0), corner(1, 1), corner(0, 1), corner(0, 0)});
      }
    }
    mesh_.parts.push_back({material, both_sides, first, mesh_.quads.size() - first});
  }

 private:
  FaceMesh& mesh_;
  int rows_, columns_;
  size_t first_;
};

// Is the surface slit open between these rows at this column?
bool slit_open(const HeadGrid& grid, int upper_row, int column) {
  const GridPoint& point = grid.points[grid.index(upper_row, column)];
  if (point.front < 0.5f) return false;
  return upper_row == grid.mouth_upper ? std::abs(point.x) < kMouthHalfWidth
                                       : std::abs(std::abs(point.x) - kEyeX) < kEyeHalfLength;
}

// The quads of `step` rows and columns that are `wanted(row, column)`. Those side by side are apart in the list,
// because the rasteriser waits where it reads a pack of samples that a store has just half overwritten.
template <typename Wanted>
std::vector<Quad> grid_quads(int step, Wanted&& wanted) {
  constexpr int kApart = 8;
  const HeadGrid& grid = head_grid();
  std::vector<Quad> quads;
  for (int row = 0; row + step < grid.rows; row += step) {
    for (int first = 0; first < kApart; ++first) {
      for (int column = first * step; column + step < grid.columns; column += kApart * step) {
        if (!wanted(row, column)) continue;
        const auto corner = [&](int r, int c) {
          return static_cast<uint32_t>(grid.index(row + r * step, column + c * step));
        };
        quads.push_back({corner(1, 0), corner(1, 1), corner(0, 1), corner(0, 0)});
      }
    }
  }
  return quads;
}

// Skin: the grid without the quads over the slits and behind the ears' far side, which no picture shows.
const std::vector<Quad>& skin_quads() {
  static const std::vector<Quad> all = grid_quads(1, [](int row, int column) {
    const HeadGrid& grid = head_grid();
    return row != grid.eye_upper && row != grid.mouth_upper &&
           std::abs(grid.points[grid.index(row, column)].angle) <= 2.3f;
  });
  return all;
}

}  // namespace

const std::vector<Quad>& coarse_skin() {
  static const std::vector<Quad> all = grid_quads(2, [](int, int) { return true; });
  return all;
}

namespace {

// The grid's positions by coordinate. Rows go on past both ends with the end's value, so that packs may reach out.
class GridPlanes {
 public:
  explicit GridPlanes(const std::vector<Vec3>& positions)
      : grid_(head_grid()),
        stride_(grid_.columns + 2 * kMargin),
        values_(static_cast<size_t>(3 * grid_.rows * stride_)) {
    for (int row = 0; row < grid_.rows; ++row) {
      float *x = &values_[at(row, -kMargin)], *y = x + plane(), *z = y + plane();
      for (int column = -kMargin; column < grid_.columns + kMargin; ++column) {
        const Vec3 p = positions[grid_.index(row, std::clamp(column, 0, grid_.columns - 1))];
        *x++ = p.x, *y++ = p.y, *z++ = p.z;
      }
    }
  }
  /// Eight points of a row from `column` on; rows past the grid's edge are the edge.
  Vec3x8 operator()(int row, int column) const {
    const float* x = &values_[at(std::clamp(row, 0, grid_.rows - 1), column)];
    return {load(x), load(x + plane()), load(x + 2 * plane())};
  }

  static constexpr int kReach = 9;  ///< farthest column that may be asked for before a pack's first or after its last

 private:
  static constexpr int kMargin = kReach + kPack;
  size_t plane() const { return values_.size() / 3; }
  size_t at(int row, int column) const { return static_cast<size_t>(row * stride_ + column + kMargin); }

  const HeadGrid& grid_;
  int stride_;
  std::vector<float> values_;
};

// How much light eight points of the skin lose because they lie in a hollow: the surface `reach` points away on both
// sides stands over their tangent planes by the returned part of the distance.
Float8 hollow(const GridPlanes& positions, int row, int column, Vec3x8 normal, int reach) {
  const Vec3x8 here = positions(row, column);
  const auto part = [&](Vec3x8 a, Vec3x8 b) {
    const Float8 rise = dot(a + b - here - here, normal);
    const Vec3x8 across = a - b;
    return clamp(rise / max(sqrt(dot(across, across)), 1), -0.4f, 0.8f);
  };
  return part(positions(row - reach, column), positions(row + reach, column)) +
         part(positions(row, column - reach), positions(row, column + reach));
}

// What an expression does not change: colour, cover, place. `open_to_light` holds the part of the light that dark
// cavities leave.
std::vector<SurfacePoint> make_skin(const std::vector<Covering>& coverings) {
  const HeadGrid& grid = head_grid();
  std::vector<SurfacePoint> points(grid.points.size());
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      const int i = grid.index(row, column);
      const GridPoint& place = grid.points[i];
      const Covering& covering = coverings[i];
      SurfacePoint& point = points[i];
      const bool inside_of_lips =
          (row == grid.mouth_upper || row == grid.mouth_lower) && slit_open(grid, grid.mouth_upper, column);
      point.value[SurfacePoint::open_to_light] = (1 - 0.85f * covering.dark) * (inside_of_lips ? 0.35f : 1);
      point.set_colour(covering.colour);
      point.value[SurfacePoint::gloss] = covering.gloss;
      point.value[SurfacePoint::place_x] = place.x;
      point.value[SurfacePoint::place_y] = place.y;
      point.value[SurfacePoint::arc] = place.angle * 90;
      point.value[SurfacePoint::brow] = covering.brow;
      point.value[SurfacePoint::beard] = covering.beard;
      point.value[SurfacePoint::hair] = covering.hair;
      point.value[SurfacePoint::cloth] = covering.cloth;
    }
  }
  return points;
}

void add_skin(const Person& person, const Expression& expression, FaceMesh& mesh) {
  const HeadGrid& grid = head_grid();
  mesh.positions = express(person.head, person.shape, person.appearance.mobility, expression);
  mesh.points = person.skin;
  const GridPlanes positions(mesh.positions);
  for (int row = 0; row < grid.rows; ++row) {
    // The rows next to this one on the surface: across a closed slit it goes on after the twin row.
    const bool over_slit = row == grid.eye_upper || row == grid.mouth_upper;
    const bool under_slit = row == grid.eye_lower || row == grid.mouth_lower;
    for (int column = 0; column < grid.columns; column += kPack) {
      const int lanes = std::min(kPack, grid.columns - column);
      Vec3x8 up = positions(under_slit ? row - 2 : row - 1, column);
      Vec3x8 down = positions(over_slit ? row + 2 : row + 1, column);
      if (over_slit || under_slit) {
        Int8 open{};
        for (int k = 0; k < lanes; ++k) open[k] = -int{slit_open(grid, over_slit ? row : row - 1, column + k)};
        Vec3x8& across = over_slit ? down : up;
        across = select(open, positions(row, column), across);
      }
      const Vec3x8 normal = normalized(cross(positions(row, column + 1) - positions(row, column - 1), up - down));
      const GridPoint* places = &grid.points[grid.index(row, column)];
      Float8 open = splat(1);
      if (std::any_of(places, places + lanes, [](const GridPoint& place) { return place.front > 0; })) {
        open -= 0.9f * hollow(positions, row, column, normal, 3) +
                0.5f * hollow(positions, row, column, normal, GridPlanes::kReach);
        open = clamp(open, 0.25f, 1.1f);
      }
      for (int k = 0; k < lanes; ++k) {
        SurfacePoint& point = mesh.points[grid.index(row, column + k)];
        point.set_normal({normal.x[k], normal.y[k], normal.z[k]});
        if (places[k].front > 0) point.value[SurfacePoint::open_to_light] *= open[k];
      }
    }
  }
  mesh.quads = skin_quads();
  mesh.parts = {{Material::skin, false, 0, mesh.quads.size()}};
}

// The front of an eyeball, and around it the pink skin of the lids' inside, which shows in the eye's corners. Its
// places are on a ball that turns with the gaze: the iris is round (0, 0).
void add_eye(const Person& person, const Expression& expression, Vec3 centre, FaceMesh& mesh) {
  constexpr int kRings = 14, kSectors = 25;
  Patch eye(mesh, kRings, kSectors);
  const float side = centre.x < 0 ? -1.0f : 1.0f;
  // Both eyes look at one far point; turning them inwards a little makes them look at the camera.
  const float yaw = expression.gaze_yaw - side * 0.03f, pitch = expression.gaze_pitch;
  const Vec3 ahead{std::sin(yaw) * std::cos(pitch), std::sin(pitch), std::cos(yaw) * std::cos(pitch)};
  const Vec3 right = normalized(cross({0, 1, 0}, ahead)), up = cross(ahead, right);
  const Vec3 white = {0.52f, 0.49f, 0.47f}, pink = person.appearance.skin * Vec3{0.75f, 0.45f, 0.42f};
  for (int ring = 0; ring < kRings; ++ring) {
    for (int sector = 0; sector < kSectors; ++sector) {
      const bool inside_of_lids = ring == kRings - 1;
      const float polar = std::min(static_cast<float>(ring) / (kRings - 2), 1.0f) * 1.30f;
      const float turn = -2 * kPi * static_cast<float>(sector) / (kSectors - 1);
      const Vec3 direction{std::sin(polar) * std::cos(turn), std::sin(polar) * std::sin(turn), std::cos(polar)};
      eye.position(ring, sector) = centre + kEyeballRadius * direction;
      if (inside_of_lids) eye.position(ring, sector) += Vec3{5 * std::cos(turn), 5 * std::sin(turn), -10};
      SurfacePoint& point = eye.point(ring, sector);
      point.set_normal(direction);
      // The upper lid shades the eye under it; the corners are pink.
      const float u = side * kEyeballRadius * direction.x / kEyeHalfLength;
      const float y = kEyeballRadius * direction.y;
      const LidEdges lids = lid_edges(person.shape, expression, side, std::clamp(u, -1.0f, 1.0f));
      point.value[SurfacePoint::open_to_light] =
          (0.30f + 0.70f * smoothstep(0, 4.0f, lids.upper - y)) * (0.7f + 0.3f * smoothstep(0, 1.5f, y - lids.lower));
      point.set_colour(inside_of_lids ? pink : lerp(white, pink, smoothstep(0.66f, 0.95f, std::abs(u))));
      point.value[SurfacePoint::place_x] = kEyeballRadius * dot(direction, right);
      point.value[SurfacePoint::place_y] = kEyeballRadius * dot(direction, up);
    }
  }
  eye.add_quads(Material::eye, true);
}

// The inside of the mouth: a bag from the upper lip's edge to the lower one's.
void add_cavity(FaceMesh& mesh) {
  const HeadGrid& grid = head_grid();
  int first = 0, last = 0;
  for (int column = 0; column < grid.columns; ++column) {
    const GridPoint& point = grid.points[grid.index(grid.mouth_upper, column)];
    if (point.front < 0.5f || std::abs(point.x) > kMouthHalfWidth + 2) continue;
    if (first == 0) first = column;
    last = column;
  }
  constexpr int kRows = 8;
  Patch bag(mesh, kRows, last - first + 1);
  for (int row = 0; row < kRows; ++row) {
    const float t = static_cast<float>(row) / (kRows - 1);
    for (int column = first; column <= last; ++column) {
      const Vec3 upper = mesh.positions[grid.index(grid.mouth_upper, column)],
                 lower = mesh.positions[grid.index(grid.mouth_lower, column)];
      const float x = grid.points[grid.index(grid.mouth_upper, column)].x / kMouthHalfWidth;
      const float depth = 30 * std::sin(kPi * t) * std::max(0.0f, 1 - x * x);
      bag.position(row, column - first) = lerp(upper, lower, t) - Vec3{0, 0, depth};
      SurfacePoint& point = bag.point(row, column - first);
      // The tongue fills the lower half.
      const float tongue = smoothstep(0.5f, 0.65f, t) * smoothstep(0.75f, 0.45f, std::abs(x));
      point.set_colour(lerp({0.10f, 0.02f, 0.02f}, {0.42f, 0.13f, 0.12f}, tongue));
      point.value[SurfacePoint::open_to_light] = 0.25f + 0.45f * smoothstep(0.6f, 0.95f, t);
    }
  }
  bag.set_normals();
  bag.add_quads(Material::cavity, true);
}

// A row of teeth on its arch. `edge` and `root`: heights of their edges and of the gum's far end at the middle, mm.
void add_teeth(FaceMesh& mesh, Vec3 middle, float edge, float root, float half_width) {
  constexpr int kRows = 6, kColumns = 25;
  Patch teeth(mesh, kRows, kColumns);
  const bool upper = root > edge;
  for (int row = 0; row < kRows; ++row) {
    const float t = static_cast<float>(row) / (kRows - 1), along = upper ? t : 1 - t;  // 0 at the gum, 1 at the edge
    for (int column = 0; column < kColumns; ++column) {
      const float s = 2 * static_cast<float>(column) / (kColumns - 1) - 1;
      const float y = lerp(root, edge, along) + (upper ? 1.2f : 0.6f) * s * s * along;
      teeth.position(row, column) = middle + Vec3{half_width * s, y, -13 * s * s - 1.5f * (1 - along)};
      SurfacePoint& point = teeth.point(row, column);
      point.set_colour(lerp({0.45f, 0.17f, 0.16f}, {0.74f, 0.68f, 0.56f}, smoothstep(0.18f, 0.34f, along)));
      point.value[SurfacePoint::open_to_light] = (1 - 0.75f * s * s) * (0.55f + 0.40f * along);
      point.value[SurfacePoint::place_x] = half_width * s * (1 + 0.12f * s * s);
      point.value[SurfacePoint::place_y] = along;
      point.value[SurfacePoint::gloss] = 1;
    }
  }
  teeth.set_normals();
  teeth.add_quads(Material::teeth, true);
}

// An ear: an egg-shaped dish beside the head, with a rim (helix) and a hollow (concha).
void add_ear(const Person& person, Vec3 root, float side, FaceMesh& mesh) {
  constexpr int kRings = 8, kSectors = 21;
  Patch ear(mesh, kRings, kSectors);
  const Vec3 back = normalized({side * 0.62f, 0, -0.78f}), up = normalized({side * 0.10f, 1, -0.18f});
  const Vec3 facing = normalized(side * cross(back, up));  // outwards and forwards
  const Vec3 centre = root + 11.0f * back;
  for (int ring = 0; ring < kRings; ++ring) {
    for (int sector = 0; sector < kSectors; ++sector) {
      const float r = static_cast<float>(ring) / (kRings - 1);
      const float turn = -2 * kPi * static_cast<float>(sector) / (kSectors - 1) * side;
      const float height = std::sin(turn), width = std::cos(turn);
      const float egg = 1 + 0.18f * height;  // narrower at the lobe
      const float relief = 3.5f * bell((r - 0.86f) / 0.12f) - 5 * bell(r / 0.40f) * (height > -0.5f ? 1.0f : 0.6f);
      ear.position(ring, sector) = centre + (r * 15.5f * egg * width) * back + (r * 31 * height) * up + relief * facing;
      SurfacePoint& point = ear.point(ring, sector);
      point.set_colour(lerp(person.appearance.skin, person.appearance.skin * Vec3{1, 0.74f, 0.70f}, 0.7f));
      point.value[SurfacePoint::open_to_light] = 0.45f + 0.5f * smoothstep(0.25f, 0.85f, r);
      point.value[SurfacePoint::place_x] = side * 300;  // off the face: no furrows
      point.value[SurfacePoint::place_y] = r * 31 * height;
      point.value[SurfacePoint::arc] = side * 300;
      point.value[SurfacePoint::hair] = -50;
    }
  }
  ear.set_normals();
  for (int sector = 0; sector < kSectors; ++sector) ear.point(0, sector).set_normal(facing);
  for (int ring = 1; ring < kRings; ++ring) {
    for (int sector = 0; sector < kSectors; ++sector) {
      auto& value = ear.point(ring, sector).value;
      const Vec3 normal{value[SurfacePoint::normal_x], value[SurfacePoint::normal_y], value[SurfacePoint::normal_z]};
      if (dot(normal, facing) < 0) ear.point(ring, sector).set_normal(-1.0f * normal);
    }
  }
  ear.add_quads(Material::skin, true);
}

}  // namespace

Person random_person(Random& random) {
  Person person;
  person.shape = random_head_shape(random);
  person.appearance = random_appearance(random);
  const std::vector<Covering> covering = cover_head(person.appearance);
  person.skin = make_skin(covering);
  person.head = build_head(person.shape);
  grow_hair(person.head, person.appearance, covering);
  return person;
}

void build_face(const Person& person, const Expression& expression, FaceMesh& mesh) {
  add_skin(person, expression, mesh);
  add_eye(person, expression, person.head.left_eye, mesh);
  add_eye(person, expression, person.head.right_eye, mesh);
  const HeadGrid& grid = head_grid();
  static const GridPlace middle_of_mouth = find_place(0, kMouthY, grid.mouth_upper);
  static const GridPlace left_ear = find_place(-68, -14), right_ear = find_place(68, -14);
  const Vec3 lips = at_place(person.head.positions, middle_of_mouth);
  const float jaw =
      person.appearance.mobility[static_cast<int>(ActionUnit::jaw_drop)] * expression[ActionUnit::jaw_drop] / 5;
  add_cavity(mesh);
  add_teeth(mesh, lips + Vec3{0, 0, -3.5f}, -1.5f, 9, 23);
  add_teeth(mesh, lips + Vec3{0, -16 * jaw, -6 - 4 * jaw}, -1.8f, -11, 20);
  if (!person.appearance.long_hair) {
    add_ear(person, at_place(person.head.positions, left_ear) + Vec3{1, 0, -6}, -1, mesh);
    add_ear(person, at_place(person.head.positions, right_ear) + Vec3{-1, 0, -6}, 1, mesh);
  }
}

}  // namespace sandglass::synth
