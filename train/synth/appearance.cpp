#include "train/synth/appearance.h"

#include <numbers>

#include "train/synth/noise.h"

namespace sandglass::synth {
namespace {

// Linear interpolation through (position, value) pairs.
template <size_t N>
float polyline(const std::array<std::array<float, 2>, N>& nodes, float at) {
  if (at <= nodes[0][0]) return nodes[0][1];
  for (size_t i = 1; i < N; ++i) {
    if (at <= nodes[i][0])
      return lerp(nodes[i - 1][1], nodes[i][1], (at - nodes[i - 1][0]) / (nodes[i][0] - nodes[i - 1][0]));
  }
  return nodes[N - 1][1];
}

// Where what grows on the average face: made once for all people.
struct Region {
  float lips, blush, under_eye, beard, moustache, nostril, lid_edge;
  float brow_distance;          // from the brow's middle line in half thicknesses
  float brow_ends;              // 1 along the brow, 0 past its ends
  float short_hair, long_hair;  // mm inside the hairline of short and of long hair
  float cloth;
};

Region region_at(const GridPoint& p) {
  const float x = p.x, y = p.y, distance = std::abs(x), degrees = std::abs(p.angle) * 180 / std::numbers::pi_v<float>;
  Region region{};
  const float s = distance / kMouthHalfWidth;
  if (s < 1) {
    const float cupid = 1 + 0.10f * bell((distance - 5.5f) / 2.5f) - 0.10f * bell(distance / 2.4f);
    const float border = p.above_mouth ? kUpperLipHeight * std::pow(1 - s, 0.62f) * (1 + 0.18f * s) * cupid
                                       : kLowerLipHeight * std::pow(1 - s * s, 0.75f);
    const float height = p.above_mouth ? y - kMouthY : kMouthY - y;
    region.lips = smoothstep(border + 0.9f, border - 0.6f, height);
  }
  region.blush =
      p.front * (blob(x, y, 42, -30, 14, 11) + 0.8f * blob(x, y, 0, -38, 11, 8) + 0.3f * blob(x, y, 0, -102, 12, 8));
  region.under_eye =
      p.front * (blob(x, y, 27, -9, 12, 4.5f) + 0.5f * blob(x, y, 17, -1, 4, 5) + 0.35f * blob(x, y, 31, 6, 14, 4));
  // Whiskers: jaw, chin and upper lip, not the lips nor the upper cheeks.
  const float upper_edge = polyline<5>({{{0, -76}, {26, -62}, {40, -56}, {58, -32}, {70, 0}}}, distance);
  region.beard = smoothstep(86, 76, degrees) * smoothstep(upper_edge + 5, upper_edge - 5, y) *
                 smoothstep(-140, -118, y) * (1 - region.lips);
  region.beard *= 1 - 0.75f * blob(x, y, 11, -84, 5, 3.5f);
  region.moustache =
      p.front * (1 - region.lips) * smoothstep(-68, -64, y) * smoothstep(-49, -53, y) * smoothstep(33, 25, distance);
  region.nostril = p.front * blob(x, y, 6.8f, -44.8f, 3.0f, 1.5f);
  const float u = (distance - kEyeX) / kEyeHalfLength;
  if (std::abs(u) < 1.04f && p.front > 0.5f)
    region.lid_edge = p.above_eyes ? smoothstep(1.7f, 0.0f, y) : -smoothstep(-1.5f, 0.0f, y);
  const float middle = polyline<6>({{{10, 17.5f}, {18, 20.5f}, {28, 23}, {37, 24.5f}, {46, 22}, {55, 16}}}, distance);
  const float half = polyline<4>({{{10, 3.6f}, {24, 3.9f}, {38, 3.0f}, {54, 1.4f}}}, distance);
  region.brow_distance = (y - middle) / half;
  region.brow_ends = p.front * smoothstep(9, 14, distance) * smoothstep(56, 47, distance);
  const float hairline = polyline<9>(
      {{{0, 70}, {20, 71}, {36, 66}, {48, 50}, {56, 36}, {66, 22}, {72, -14}, {82, -16}, {84, 16}}}, degrees);
  const float nape = polyline<3>({{{84, 16}, {102, 12}, {116, -66}}}, degrees);
  region.short_hair = y - (degrees < 84 ? hairline : nape);
  // Long hair falls down the sides of the face, its edge almost upright: the distance is measured across.
  const float curtain = 1.3f * (degrees - polyline<4>({{{-200, 70}, {-110, 66}, {-40, 61}, {10, 60}}}, y));
  region.long_hair = std::max(y - polyline<5>({{{0, 70}, {20, 71}, {36, 66}, {48, 48}, {58, 24}}}, degrees), curtain);
  if (degrees > 58) region.long_hair = std::max(curtain, y - 24);
  region.cloth = smoothstep(-150, -162, y - 10 * smoothstep(30, 80, degrees));
  return region;
}

const std::vector<Region>& regions() {
  static const std::vector<Region> all = [] {
    std::vector<Region> made;
    for (const GridPoint& point : head_grid().points) made.push_back(region_at(point));
    return made;
  }();
  return all;
}

Vec3 from_srgb(float r, float g, float b) {
  const auto linear = [](float value) { return std::pow(value / 255, 2.2f); };
  return {linear(r), linear(g), linear(b)};
}

}  // namespace

Appearance random_appearance(Random& random) {
  Appearance a;
  // Skin: along a scale from the palest to the darkest, a little redder or yellower.
  static const std::array<Vec3, 7> kTones = {
      from_srgb(244, 214, 198), from_srgb(234, 192, 168), from_srgb(218, 172, 142), from_srgb(192, 144, 110),
      from_srgb(156, 108, 78),  from_srgb(114, 76, 56),   from_srgb(80, 54, 43)};
  const float tone = random.uniform(0, 5.99f);
  const int step = static_cast<int>(tone);
  a.skin = lerp(kTones[step], kTones[step + 1], tone - static_cast<float>(step));
  const float warmth = random.uniform(-0.05f, 0.05f);
  a.skin = a.skin * Vec3{1 + warmth, 1, 1 - 1.6f * warmth};
  a.redness = random.uniform(0.2f, 1.2f);
  a.lips = a.skin * Vec3{random.uniform(0.78f, 0.98f), random.uniform(0.46f, 0.66f), random.uniform(0.52f, 0.72f)};
  const bool painted = random.chance(0.12f);
  const Vec3 lipstick{random.uniform(0.3f, 0.6f), random.uniform(0.02f, 0.10f), random.uniform(0.04f, 0.14f)};
  if (painted) a.lips = lerp(a.lips, lipstick, 0.7f);
  static const std::array<Vec3, 7> kHairColours = {
      from_srgb(28, 24, 22),   from_srgb(44, 32, 26),  from_srgb(70, 48, 34),   from_srgb(104, 72, 46),
      from_srgb(168, 130, 84), from_srgb(130, 68, 36), from_srgb(150, 146, 142)};
  a.hair = kHairColours[tone > 3.2f ? random.below(2) : random.below(7)];
  static const std::array<Vec3, 5> kIrisColours = {from_srgb(70, 44, 26), from_srgb(96, 64, 36), from_srgb(112, 98, 58),
                                                   from_srgb(98, 128, 150), from_srgb(110, 130, 116)};
  a.iris = kIrisColours[tone > 2.6f ? random.below(2) : random.below(5)];
  a.shirt = {random.uniform(0.02f, 0.5f), random.uniform(0.02f, 0.5f), random.uniform(0.02f, 0.5f)};
  a.blotches = random.uniform(0.02f, 0.08f);
  a.freckles = random.chance(0.15f) ? random.uniform(0.3f, 1.0f) : 0;
  a.shine = random.uniform(0.1f, 1.0f);
  a.age = std::pow(random.uniform(), 1.5f);
  if (a.age > 0.6f && random.chance(0.5f)) a.hair = kHairColours[6];
  a.brow_thickness = random.uniform(0.7f, 1.3f);
  a.brow_density = random.uniform(0.55f, 1.0f);
  const bool bearded = random.chance(0.32f);
  if (bearded) a.beard = random.uniform(0.15f, 1.0f);
  a.moustache_only = random.chance(0.15f);
  a.bald = random.chance(0.1f);
  a.long_hair = !a.bald && !bearded && random.chance(0.4f);
  a.hair_thickness = a.long_hair ? random.uniform(7, 14) : random.uniform(2, 12);
  a.hairline = random.uniform(-12, 10);
  a.pupil_radius = random.uniform(1.6f, 2.8f);
  for (Vec3& mole : a.moles) {
    const float x = random.uniform(-55, 55), y = random.uniform(-100, 45), radius = random.uniform(0.8f, 1.8f);
    mole = {x, y, random.chance(0.25f) ? radius : 0};
  }
  for (float& value : a.mobility) value = random.uniform(0.9f, 1.1f);
  for (float& value : a.furrowing) value = random.uniform(0.75f, 1.25f);
  a.crease_shift_x = random.uniform(-1.5f, 1.5f);
  a.crease_shift_y = random.uniform(-1.5f, 1.5f);
  a.texture_x = random.uniform(0, 256);
  a.texture_y = random.uniform(0, 256);
  return a;
}

std::vector<Covering> cover_head(const Appearance& a) {
  std::vector<Covering> covering(regions().size());
  const Vec3 flushed = a.skin * Vec3{1.0f, 0.78f, 0.76f}, shaded = a.skin * Vec3{0.80f, 0.70f, 0.74f};
  for (size_t i = 0; i < covering.size(); ++i) {
    const Region& region = regions()[i];
    Covering& c = covering[i];
    Vec3 colour = lerp(a.skin, flushed, std::min(1.0f, 0.6f * a.redness * region.blush));
    colour = lerp(colour, shaded, std::min(1.0f, 0.65f * region.under_eye));
    colour = lerp(colour, a.lips, region.lips);
    if (region.lid_edge > 0) colour = lerp(colour, 0.35f * a.hair, 0.9f * region.lid_edge);
    if (region.lid_edge < 0) colour = lerp(colour, a.skin * Vec3{0.75f, 0.5f, 0.48f}, -0.8f * region.lid_edge);
    // Blotches: more or less blood and pigment, least seen in red.
    const GridPoint& point = head_grid().points[i];
    const float cloud = fractal_noise().at(72 * point.angle + a.texture_x, 0.8f * point.y + a.texture_y);
    const float blotch = a.blotches * cloud;
    c.colour = colour * Vec3{1 + 0.25f * blotch, 1 + blotch, 1 + blotch};
    c.gloss = region.lips;
    c.brow =
        a.brow_density * region.brow_ends * smoothstep(1.35f, 0.55f, std::abs(region.brow_distance) / a.brow_thickness);
    c.beard =
        std::min(1.0f, a.beard * (a.moustache_only ? region.moustache : std::max(region.beard, region.moustache)));
    c.hair = a.bald ? -50.0f
                    : (a.long_hair ? region.long_hair : region.short_hair) - a.hairline * point.front + 2.0f * cloud;
    c.cloth = region.cloth;
    c.dark = region.nostril;
  }
  return covering;
}

void grow_hair(NeutralHead& head, const Appearance& a, const std::vector<Covering>& covering) {
  for (size_t i = 0; i < covering.size(); ++i) {
    const GridPoint& point = head_grid().points[i];
    if (covering[i].hair <= 0 || covering[i].cloth == 1) continue;
    const float amount = smoothstep(0, 14, covering[i].hair) * (1 - covering[i].cloth);
    Vec3& position = head.positions[i];
    // Outwards from the middle of the skull; long hair also hangs out over the neck.
    const Vec3 outward = normalized({position.x, std::max(0.0f, position.y - 20), position.z});
    const float hanging = a.long_hair ? smoothstep(10, -60, point.y) * smoothstep(6, 16, covering[i].hair) : 0;
    const float radius = std::hypot(position.x, position.z);
    position += (amount * a.hair_thickness + hanging * std::max(0.0f, 80 - radius)) * outward;
  }
}

}  // namespace sandglass::synth
