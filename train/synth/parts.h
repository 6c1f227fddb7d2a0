// The surface of a whole face: skin, eyeballs, mouth cavity, teeth and ears, with what shading must know at each
// corner.
#pragma once

#include <array>
#include <vector>

#include "face/image.h"
#include "train/synth/appearance.h"
#include "train/synth/rasterizer.h"

namespace sandglass::synth {

enum class Material : uint8_t { skin, eye, teeth, cavity };
inline constexpr size_t kMaterials = 4;

/// What shading interpolates over a triangle, as an array so that the loop over it vectorises.
struct SurfacePoint {
  enum Field {
    normal_x,
    normal_y,
    normal_z,
    open_to_light,  ///< 1 in the open, less in hollows: for ambient light
    red,
    green,
    blue,
    gloss,
    place_x,
    place_y,
    arc,
    brow,
    beard,
    hair,
    cloth,
    lamp,  ///< part of the first lamp's light that arrives
    field_count = 16
  };
  alignas(64) std::array<float, field_count> value{};

  void set_normal(Vec3 n) { value[normal_x] = n.x, value[normal_y] = n.y, value[normal_z] = n.z; }
  void set_colour(Vec3 c) { value[red] = c.x, value[green] = c.y, value[blue] = c.z; }
};

/// A range of quads of one material.
struct Part {
  Material material;
  bool both_sides;
  size_t first, count;
};

/// All parts of a face in head coordinates. The first points are the grid's.
struct FaceMesh {
  std::vector<Vec3> positions;
  std::vector<SurfacePoint> points;
  std::vector<Quad> quads;
  std::vector<Part> parts;

  /// Indices of the corners of triangle t.
  std::array<uint32_t, 3> corners(uint32_t t) const {
    const Quad& quad = quads[t / 2];
    return {quad[0], quad[1 + t % 2], quad[2 + t % 2]};
  }
};

/// The skin in quads of four times the area, without slits: enough to throw shadows. Indices into the grid.
const std::vector<Quad>& coarse_skin();

/// A person: everything that all pictures of one subject share.
struct Person {
  HeadShape shape;
  Appearance appearance;
  std::vector<SurfacePoint> skin;  ///< for each grid point, all but the normal and what expressions fold over it
  NeutralHead head;
};

Person random_person(Random& random);

/// The face of `person` in `expression`.
void build_face(const Person& person, const Expression& expression, FaceMesh& mesh);

}  // namespace sandglass::synth
