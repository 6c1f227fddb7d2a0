#include "train/synth/shading.h"

#include "train/synth/noise.h"

namespace sandglass::synth {
namespace {

float luminance(Vec3 c) { return 0.2126f * c.x + 0.7152f * c.y + 0.0722f * c.z; }

}  // namespace

Lighting random_lighting(Random& random, Vec3 skin) {
  Lighting lighting;
  const auto tint = [&](float spread) {
    const float warmth = spread * random.normal();
    return Vec3{1 + warmth, 1, 1 - warmth};
  };
  const auto direction = [&](float yaw, float pitch) {
    return Vec3{std::sin(yaw) * std::cos(pitch), std::sin(pitch), std::cos(yaw) * std::cos(pitch)};
  };
  const float key_yaw = random.uniform(-1.0f, 1.0f), key_pitch = random.uniform(0.1f, 0.95f);
  const float fill_pitch = random.uniform(-0.2f, 0.5f), rim_yaw = random.uniform(1.6f, 2.4f);
  const float key = random.uniform(0.5f, 1.3f), fill = random.uniform(0.05f, 0.5f),
              ambient = random.uniform(0.35f, 0.9f);
  const float rim = random.chance(0.3f) ? random.uniform(0.2f, 0.9f) : 0;
  lighting.lamps[0] = {direction(key_yaw, key_pitch), key * tint(0.06f)};
  lighting.lamps[1] = {direction(-0.9f * key_yaw, fill_pitch), fill * tint(0.08f)};
  lighting.lamps[2] = {direction(key_yaw > 0 ? -rim_yaw : rim_yaw, 0.3f), rim * tint(0.08f)};
  lighting.sky = ambient * tint(0.05f);
  lighting.ground = random.uniform(0.35f, 0.8f) * lighting.sky * tint(0.08f);
  // Exposure as a camera would choose it: half way between a fixed one and one that makes all skins equally bright.
  const Vec3 forehead = normalized({0, 0.2f, 1});
  float irradiance = 0.5f * luminance(lighting.sky + lighting.ground);
  for (const Lamp& lamp : lighting.lamps)
    irradiance += luminance(lamp.colour) * std::max(0.0f, dot(lamp.direction, forehead));
  const float exposure = random.uniform(0.65f, 1.1f) * std::pow(0.40f / luminance(skin), 0.32f) / irradiance;
  for (Lamp& lamp : lighting.lamps) lamp.colour = exposure * lamp.colour;
  lighting.sky = exposure * lighting.sky;
  lighting.ground = exposure * lighting.ground;
  return lighting;
}

void ShadowMap::draw(const FaceMesh& mesh, const Camera& camera, Vec3 towards_lamp) {
  const Vec3 towards = transposed(camera.rotation) * towards_lamp;
  const Vec3 right = normalized(cross({0, 1, 0}, towards)), up = cross(towards, right);
  to_lamp_ = {{(1 / kTexel) * right, (-1 / kTexel) * up, towards}};
  // The middle of the head in the middle of the map; heights are counted from a plane far behind the head.
  offset_ = Vec3{0.5f * kSize, 0.5f * kSize, 1000} - to_lamp_ * Vec3{0, -30, 30};
  vertices_.resize(head_grid().points.size());
  for (size_t i = 0; i < vertices_.size(); ++i) {
    const Vec3 p = to_lamp_ * mesh.positions[i] + offset_;
    vertices_[i] = {p.x, p.y, p.z};  // of two heights the buffer keeps the greater, as it does with inverse depths
  }
  buffer_.clear(kSize, kSize);
  buffer_.draw(vertices_, coarse_skin(), 0, false);
}

Float8 ShadowMap::light_at(Vec3x8 head_points) const {
  const Vec3x8 p = to_lamp_ * head_points + splat(offset_);
  const Int8 i = floor_to_int(p.x), j = floor_to_int(p.y);
  const Int8 outside = (i < 0) | (j < 0) | (i + 1 >= kSize) | (j + 1 >= kSize);
  const Texels height =
      gather_texels(buffer_.inverse_depths(0), outside ? Int8{} : j * buffer_.stride() + i, buffer_.stride());
  constexpr float kBias = 3.5f, kSoftness = 7;  // mm
  const auto lit = [&](Float8 highest) { return clamp(1 - (highest - p.z - kBias) * (1 / kSoftness), 0, 1); };
  const Float8 u = p.x - to_float(i), v = p.y - to_float(j);
  return select(outside, splat(1),
                lerp(lerp(lit(height.a), lit(height.b), u), lerp(lit(height.c), lit(height.d), u), v));
}

Shader::Shader(const Appearance& appearance, const FurrowMap& furrows, const Lighting& lighting, const Camera& camera)
    : appearance(&appearance),
      furrows(&furrows),
      lighting(lighting),
      rotation(camera.rotation),
      towards_camera{0, 0, 1} {
  for (size_t k = 0; k < halfway.size(); ++k) halfway[k] = normalized(lighting.lamps[k].direction + towards_camera);
}

// What light meets: the surface after its texture has been applied.
struct Shader::Surface {
  Vec3x8 normal, colour;
  Float8 open;      // to light from all around
  Float8 shine;     // strength of the highlight
  Float8 softness;  // how far light wraps around, 0 to 1
  int sharpness;    // of the highlight: cosine to the power 2^sharpness
};

using F = SurfacePoint;

Shader::Surface Shader::skin(const Points& v) const {
  const Appearance& a = *appearance;
  const NoiseTile& white = white_noise();
  const Float8 x = v[F::place_x], y = v[F::place_y], arc = v[F::arc];
  const Vec3x8 hair = splat(a.hair);
  Surface s{{v[F::normal_x], v[F::normal_y], v[F::normal_z]},
            {v[F::red], v[F::green], v[F::blue]},
            v[F::open_to_light],
            {},
            splat(1),
            4};
  s.normal = normalized(s.normal);
  // Furrows tilt the normal and hold less light.
  const FurrowMap::Sample furrow = furrows->at(x, y);
  s.normal = normalized({s.normal.x - furrow.slope_x, s.normal.y - furrow.slope_y, s.normal.z});
  s.open *= clamp(1 + 0.28f * furrow.height, 0.45f, 1.08f);
  const Float8 grain = noise_at(white, 1.6f * arc + a.texture_y, 1.6f * y + a.texture_x);
  s.colour = (1 + 0.025f * grain) * s.colour;
  if (a.freckles > 0) {
    const Float8 speck = noise_at(white, 0.75f * x + 3 * a.texture_x, 0.75f * y + a.texture_y);
    const Float8 where = smoothstep(64, 52, abs(x)) * smoothstep(4, -4, y) * smoothstep(-66, -54, y);
    s.colour =
        lerp(s.colour, splat({0.80f, 0.66f, 0.58f}) * s.colour, a.freckles * where * smoothstep(0.8f, 1.8f, speck));
  }
  for (const Vec3& mole : a.moles) {
    if (mole.z == 0) continue;
    const Float8 distance = sqrt((x - mole.x) * (x - mole.x) + (y - mole.y) * (y - mole.y));
    s.colour = (1 - 0.7f * smoothstep(1.2f * mole.z, 0.6f * mole.z, distance)) * s.colour;
  }
  s.shine = lerp(splat(0.05f + 0.17f * a.shine), splat(0.4f), v[F::gloss]);
  // Hairs of brows, beard and head: streaks of noise along the direction in which they grow.
  Float8 covered{};
  if (any(v[F::brow] > 0.01f)) {
    const Float8 out = abs(x), streak = noise_at(white, 1.3f * (out - 0.9f * y) + a.texture_x,
                                                 0.35f * (y + 0.5f * out) + a.texture_y);
    covered = clamp(v[F::brow] * (1.05f + 0.35f * streak), 0, 0.95f);
  }
  if (any(v[F::beard] > 0.01f)) {
    const Float8 streak = noise_at(white, 1.7f * arc + a.texture_x, 0.8f * y + a.texture_y);
    const Float8 beard = clamp(v[F::beard] * (0.72f + 0.25f * streak), 0, 0.92f);
    covered = select(beard > covered, beard, covered);
  }
  if (any(covered > 0)) {
    s.colour = lerp(s.colour, hair, covered);
    s.shine *= 1 - 0.8f * covered;
  }
  if (any(v[F::hair] > -8)) {
    const Float8 streak = noise_at(white, 0.9f * arc + a.texture_x, 0.06f * y + a.texture_y);
    const Float8 on_scalp = smoothstep(-2.5f, 3.5f, v[F::hair] + 2.2f * streak);
    s.normal =
        normalized({s.normal.x + 0.18f * streak * on_scalp, s.normal.y, s.normal.z});  // strands catch light one by one
    s.colour = lerp(s.colour, (1 + 0.30f * streak) * hair, on_scalp);
    s.shine = lerp(s.shine, 0.12f + 0.06f * streak, on_scalp);
    s.softness = 1 - 0.6f * on_scalp;
  }
  const Int8 clothed = v[F::cloth] > 0.5f;
  if (any(clothed)) {
    const Vec3x8 shirt = (1 + 0.05f * grain) * splat(a.shirt);
    s.colour = {select(clothed, shirt.x, s.colour.x), select(clothed, shirt.y, s.colour.y),
                select(clothed, shirt.z, s.colour.z)};
    s.shine = select(clothed, splat(0), s.shine);
  }
  return s;
}

Shader::Surface Shader::eye(const Points& v) const {
  // The iris: its radius about 5.9 mm, a darker ring around, fibres, the pupil in the middle.
  constexpr float kIrisRadius = 5.9f;
  const float pupil = appearance->pupil_radius;
  const Float8 x = v[F::place_x], y = v[F::place_y], radius = sqrt(x * x + y * y);
  const Float8 fibres = noise_at(white_noise(), 9 * x / (radius + 0.1f), 9 * y / (radius + 0.1f));
  const Vec3x8 iris = (0.85f + 0.2f * fibres + 0.5f * smoothstep(2.0f, 5.0f, radius)) * splat(appearance->iris);
  const Vec3x8 ringed = (1 - 0.75f * smoothstep(kIrisRadius - 1.1f, kIrisRadius - 0.1f, radius)) * iris;
  Vec3x8 colour =
      lerp({v[F::red], v[F::green], v[F::blue]}, ringed, smoothstep(kIrisRadius + 0.4f, kIrisRadius - 0.4f, radius));
  colour = lerp(colour, splat({0.006f, 0.006f, 0.006f}), smoothstep(pupil + 0.35f, pupil - 0.35f, radius));
  return {normalized({v[F::normal_x], v[F::normal_y], v[F::normal_z]}),
          colour,
          v[F::open_to_light],
          splat(0.9f),
          splat(0.6f),
          7};
}

Shader::Surface Shader::teeth(const Points& v) const {
  // Gaps between teeth about 7.5 mm wide.
  const Float8 teeth = v[F::place_x] * (1 / 7.5f) + 0.5f;
  const Float8 from_gap = abs(teeth - to_float(floor_to_int(teeth)) - 0.5f);
  return {normalized({v[F::normal_x], v[F::normal_y], v[F::normal_z]}),
          (1 - 0.45f * smoothstep(0.10f, 0.0f, from_gap)) * Vec3x8{v[F::red], v[F::green], v[F::blue]},
          v[F::open_to_light],
          splat(0.35f),
          splat(1),
          4};
}

Shader::Surface Shader::cavity(const Points& v) const {
  return {normalized({v[F::normal_x], v[F::normal_y], v[F::normal_z]}),
          {v[F::red], v[F::green], v[F::blue]},
          v[F::open_to_light],
          splat(0.1f),
          splat(1),
          4};
}

Vec3x8 Shader::shade(Material material, const Points& v) const {
  const Surface s = material == Material::skin    ? skin(v)
                    : material == Material::eye   ? eye(v)
                    : material == Material::teeth ? teeth(v)
                                                  : cavity(v);
  const Vec3x8 n = {dot(s.normal, rotation.rows[0]), dot(s.normal, rotation.rows[1]), dot(s.normal, rotation.rows[2])};
  const Float8 open = max(s.open, 0);
  // Light goes under the skin and comes out beside its entry, red farther than blue: it wraps around the terminator.
  const Vec3x8 wrap = s.softness * splat(Vec3{0.45f, 0.22f, 0.15f}),
               wrap_scale = {1 / ((1 + wrap.x) * (1 + wrap.x)), 1 / ((1 + wrap.y) * (1 + wrap.y)),
                             1 / ((1 + wrap.z) * (1 + wrap.z))};
  Vec3x8 diffuse = open * lerp(splat(lighting.ground), splat(lighting.sky), 0.5f + 0.5f * n.y);
  Vec3x8 gleam{};
  for (size_t k = 0; k < lighting.lamps.size(); ++k) {
    const Lamp& lamp = lighting.lamps[k];
    if (lamp.colour.y == 0) continue;
    const Float8 cosine = dot(n, lamp.direction);
    const Float8 arriving = (k == 0 ? v[F::lamp] : splat(1)) * (0.35f + 0.65f * min(open, 1));
    const Vec3x8 wrapped = {max(cosine + wrap.x, 0), max(cosine + wrap.y, 0), max(cosine + wrap.z, 0)};
    diffuse = diffuse + arriving * (splat(lamp.colour) * wrap_scale * wrapped);
    Float8 highlight = max(dot(n, halfway[k]), 0);
    for (int i = 0; i < s.sharpness; ++i) highlight *= highlight;
    gleam = gleam + (arriving * select(cosine > 0, highlight, Float8{})) * splat(lamp.colour);
  }
  const Float8 grazing = 1 - max(dot(n, towards_camera), 0), fresnel = 1 + 3 * grazing * grazing * grazing;
  return s.colour * diffuse + (s.shine * fresnel * (material == Material::eye ? splat(1) : min(open, 1))) * gleam;
}

}  // namespace sandglass::synth
