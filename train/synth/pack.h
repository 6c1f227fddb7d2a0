// Eight pixels at once: numbers side by side in one vector register (GCC's and Clang's vector extension).
#pragma once

#include <cmath>
#include <cstring>

#include "train/synth/noise.h"
#include "train/synth/vec.h"

namespace sandglass::synth {

inline constexpr int kPack = 8;
using Float8 = float __attribute__((vector_size(4 * kPack)));
using Int8 = int __attribute__((vector_size(4 * kPack)));  // as a mask: 0 or -1

inline Float8 splat(float value) { return Float8{} + value; }
inline Float8 load(const float* from) {
  Float8 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline Float8 select(Int8 mask, Float8 yes, Float8 no) { return mask ? yes : no; }
inline Float8 max(Float8 a, float b) { return select(a > b, a, splat(b)); }
inline Float8 min(Float8 a, float b) { return select(a < b, a, splat(b)); }
inline Float8 clamp(Float8 a, float low, float high) { return min(max(a, low), high); }
inline Float8 abs(Float8 a) { return select(a < 0, -a, a); }
inline Float8 sqrt(Float8 a) {
  for (int i = 0; i < kPack; ++i) a[i] = std::sqrt(a[i]);
  return a;
}
inline bool any(Int8 mask) {
  int joined = 0;
  for (int i = 0; i < kPack; ++i) joined |= mask[i];
  return joined != 0;
}
inline Float8 lerp(Float8 a, Float8 b, Float8 t) { return a + (b - a) * t; }
inline Float8 smoothstep(float low, float high, Float8 x) {
  const Float8 t = clamp((x - low) * (1 / (high - low)), 0, 1);
  return t * t * (3 - 2 * t);
}
/// The largest whole numbers not above a, as integers.
inline Int8 floor_to_int(Float8 a) {
  const Int8 truncated = __builtin_convertvector(a, Int8);
  return truncated + (__builtin_convertvector(truncated, Float8) > a);
}

/// Eight vectors.
struct Vec3x8 {
  Float8 x, y, z;
};
inline Vec3x8 splat(Vec3 v) { return {splat(v.x), splat(v.y), splat(v.z)}; }
inline Vec3x8 operator+(Vec3x8 a, Vec3x8 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3x8 operator*(Vec3x8 a, Vec3x8 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
inline Vec3x8 operator*(Float8 s, Vec3x8 v) { return {s * v.x, s * v.y, s * v.z}; }
inline Float8 dot(Vec3x8 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3x8 lerp(Vec3x8 a, Vec3x8 b, Float8 t) { return {lerp(a.x, b.x, t), lerp(a.y, b.y, t), lerp(a.z, b.z, t)}; }
inline Vec3x8 normalized(Vec3x8 v) {
  const Float8 square = v.x * v.x + v.y * v.y + v.z * v.z;
  return (1 / sqrt(max(square, 1e-12f))) * v;
}

/// Bilinear noise at eight places, texels.
inline Float8 noise_at(const NoiseTile& tile, Float8 x, Float8 y) {
  const Int8 i = floor_to_int(x), j = floor_to_int(y);
  const Float8 u = x - __builtin_convertvector(i, Float8), v = y - __builtin_convertvector(j, Float8);
  Float8 a, b, c, d;
  for (int k = 0; k < kPack; ++k) {
    a[k] = tile.texel(i[k], j[k]);
    b[k] = tile.texel(i[k] + 1, j[k]);
    c[k] = tile.texel(i[k], j[k] + 1);
    d[k] = tile.texel(i[k] + 1, j[k] + 1);
  }
  return lerp(lerp(a, b, u), lerp(c, d, u), v);
}

}  // namespace sandglass::synth
