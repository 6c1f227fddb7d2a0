// What a person looks like beyond the bones: skin, hair, brows, beard, lips, irises, clothes.
#pragma once

#include <array>
#include <vector>

#include "train/synth/expression.h"

namespace sandglass::synth {

/// Colours are linear RGB reflectances.
struct Appearance {
  Vec3 skin, lips, hair, iris, shirt;
  float redness = 1;       ///< of cheeks, nose and ears
  float blotches = 0.05f;  ///< relative deviation of the skin's colour
  float freckles = 0;      ///< 0 to 1
  float shine = 0.5f;      ///< 0 matt to 1 oily
  float age = 0.2f;        ///< depth of lasting creases, 0 to 1
  float brow_thickness = 1, brow_density = 0.8f;
  float beard = 0;  ///< 0 shaven, 0.3 stubble, 1 full
  bool moustache_only = false;
  bool bald = false, long_hair = false;
  float hair_thickness = 5;                      ///< mm
  float hairline = 0;                            ///< higher (+) or lower than average, mm
  float pupil_radius = 2.0f;                     ///< mm
  std::array<Vec3, 4> moles{};                   ///< place x, y and radius, mm; radius 0: none
  std::array<float, kActionUnits> mobility{};    ///< how far this face moves, about 1
  std::array<float, kActionUnits> furrowing{};   ///< how deep its units crease it, about 1
  float crease_shift_x = 0, crease_shift_y = 0;  ///< mm
  float texture_x = 0, texture_y = 0;            ///< offset into the noise tiles
};

Appearance random_appearance(Random& random);

/// What covers a point of the surface; the same names as in SurfacePoint of shading.h.
struct Covering {
  Vec3 colour;
  float gloss;  ///< 0 skin's own, 1 wet lips
  float brow;   ///< density of brow hair, 0 to 1
  float beard;  ///< density of beard, 0 to 1
  float hair;   ///< mm inside (+) the hairline
  float cloth;  ///< 1 on the shirt
  float dark;   ///< cavities that light does not reach (nostrils): 1 all dark
};

/// The covering of every grid point of the head.
std::vector<Covering> cover_head(const Appearance& appearance);

/// Pushes the scalp out to the hair's surface.
void grow_hair(NeutralHead& head, const Appearance& appearance, const std::vector<Covering>& covering);

}  // namespace sandglass::synth
