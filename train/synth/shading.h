// Light on the face: lamps, sky, a shadow map, and the colour of the points that are seen.
#pragma once

#include <array>

#include "train/synth/camera.h"
#include "train/synth/furrows.h"
#include "train/synth/pack.h"
#include "train/synth/parts.h"

namespace sandglass::synth {

struct Lamp {
  Vec3 direction;  ///< towards the lamp, camera coordinates, unit length
  Vec3 colour;     ///< linear RGB irradiance
};

struct Lighting {
  std::array<Lamp, 3> lamps;  ///< the first throws shadows
  Vec3 sky, ground;           ///< ambient light from above and from below
};

/// Random lamps; exposed so that skin of reflectance `skin` comes out neither too dark nor too bright.
Lighting random_lighting(Random& random, Vec3 skin);

/// Which points the first lamp reaches: the face as the lamp sees it, in parallel projection.
class ShadowMap {
 public:
  void draw(const FaceMesh& mesh, const Camera& camera, Vec3 towards_lamp);
  /// Part of the lamp's light that arrives at eight points in head coordinates, 0 to 1.
  Float8 light_at(Vec3x8 head_points) const;

 private:
  static constexpr int kSize = 128;
  static constexpr float kTexel = 2.4f;  // mm

  Mat3 to_lamp_;  // head coordinates to texels in x and y and height towards the lamp in mm in z
  Vec3 offset_;
  VisibilityBuffer buffer_;
  std::vector<ScreenVertex> vertices_;
};

/// Everything that stays the same for all points of one picture.
struct Shader {
  const Appearance* appearance;
  const FurrowMap* furrows;
  Lighting lighting;
  Mat3 rotation;                ///< head to camera
  Vec3 towards_camera;          ///< from the face, camera coordinates: taken as the same for all its points
  std::array<Vec3, 3> halfway;  ///< between each lamp and the camera, unit length: a mirror there shows the lamp

  Shader(const Appearance& appearance, const FurrowMap& furrows, const Lighting& lighting, const Camera& camera);

  /// The fields of eight surface points.
  using Points = std::array<Float8, SurfacePoint::field_count>;
  /// Linear RGB radiances of eight points of one material; their normals in head coordinates and of any length.
  Vec3x8 shade(Material material, const Points& points) const;

 private:
  struct Surface;
  Surface skin(const Points& v) const;
  Surface eye(const Points& v) const;
  Surface teeth(const Points& v) const;
  Surface cavity(const Points& v) const;
};

}  // namespace sandglass::synth
