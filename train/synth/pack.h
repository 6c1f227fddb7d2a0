// Eight pixels at once: numbers side by side in one vector register (GCC's and Clang's vector extension).
#pragma once

#include <bit>
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
inline void store(float* to, Float8 value) { std::memcpy(to, &value, sizeof value); }
/// get(0) to get(7) side by side.
template <typename Get>
Float8 gather(Get&& get) {
  return Float8{get(0), get(1), get(2), get(3), get(4), get(5), get(6), get(7)};
}
inline Float8 to_float(Int8 a) { return __builtin_convertvector(a, Float8); }
inline constexpr Float8 kLanes = {0, 1, 2, 3, 4, 5, 6, 7};

inline Float8 select(Int8 mask, Float8 yes, Float8 no) { return mask ? yes : no; }
inline Float8 max(Float8 a, float b) { return select(a > b, a, splat(b)); }
inline Float8 min(Float8 a, float b) { return select(a < b, a, splat(b)); }
inline Float8 clamp(Float8 a, float low, float high) { return min(max(a, low), high); }
inline Float8 abs(Float8 a) { return select(a < 0, -a, a); }
inline Float8 sqrt(Float8 a) {
  std::array<float, kPack> value;  // as an array: the compiler makes one instruction of the loop
  store(value.data(), a);
  for (float& v : value) v = std::sqrt(v);
  return load(value.data());
}
inline bool any(Int8 mask) {
  using Halves = int64_t __attribute__((vector_size(4 * kPack)));
  const Halves halves = std::bit_cast<Halves>(mask);
  return (halves[0] | halves[1] | halves[2] | halves[3]) != 0;
}
inline Float8 lerp(Float8 a, Float8 b, Float8 t) { return a + (b - a) * t; }
inline Float8 smoothstep(float low, float high, Float8 x) {
  const Float8 t = clamp((x - low) * (1 / (high - low)), 0, 1);
  return t * t * (3 - 2 * t);
}
/// The largest whole numbers not above a, as integers.
inline Int8 floor_to_int(Float8 a) {
  const Int8 truncated = __builtin_convertvector(a, Int8);
  return truncated + (to_float(truncated) > a);
}

/// Eight vectors.
struct Vec3x8 {
  Float8 x, y, z;
};
inline Vec3x8 splat(Vec3 v) { return {splat(v.x), splat(v.y), splat(v.z)}; }
inline Vec3x8 operator+(Vec3x8 a, Vec3x8 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3x8 operator-(Vec3x8 a, Vec3x8 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3x8 operator*(Vec3x8 a, Vec3x8 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
inline Vec3x8 operator*(Float8 s, Vec3x8 v) { return {s * v.x, s * v.y, s * v.z}; }
inline Float8 dot(Vec3x8 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Float8 dot(Vec3x8 a, Vec3x8 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3x8 cross(Vec3x8 a, Vec3x8 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline Vec3x8 operator*(const Mat3& m, Vec3x8 v) { return {dot(v, m.rows[0]), dot(v, m.rows[1]), dot(v, m.rows[2])}; }
inline Vec3x8 select(Int8 mask, Vec3x8 yes, Vec3x8 no) {
  return {select(mask, yes.x, no.x), select(mask, yes.y, no.y), select(mask, yes.z, no.z)};
}
/// Eight vectors that lie one after the other.
inline Vec3x8 load(const Vec3* from) {
  return {gather([&](int k) { return from[k].x; }), gather([&](int k) { return from[k].y; }),
          gather([&](int k) { return from[k].z; })};
}
inline Vec3x8 lerp(Vec3x8 a, Vec3x8 b, Float8 t) { return {lerp(a.x, b.x, t), lerp(a.y, b.y, t), lerp(a.z, b.z, t)}; }
inline Vec3x8 normalized(Vec3x8 v) { return (1 / sqrt(max(dot(v, v), 1e-12f))) * v; }

/// Columns of the left and of the right half of four rows, side by side: of the rows' lanes 0 and 4, 1 and 5, ...
inline std::array<Float8, 4> transpose_halves(Float8 a, Float8 b, Float8 c, Float8 d) {
  const auto low = [](Float8 p, Float8 q) { return __builtin_shufflevector(p, q, 0, 8, 1, 9, 4, 12, 5, 13); };
  const auto high = [](Float8 p, Float8 q) { return __builtin_shufflevector(p, q, 2, 10, 3, 11, 6, 14, 7, 15); };
  const auto low_pairs = [](Float8 p, Float8 q) { return __builtin_shufflevector(p, q, 0, 1, 8, 9, 4, 5, 12, 13); };
  const auto high_pairs = [](Float8 p, Float8 q) { return __builtin_shufflevector(p, q, 2, 3, 10, 11, 6, 7, 14, 15); };
  const Float8 ab = low(a, b), AB = high(a, b), cd = low(c, d), CD = high(c, d);
  return {low_pairs(ab, cd), high_pairs(ab, cd), low_pairs(AB, CD), high_pairs(AB, CD)};
}
/// Rows become columns: rows[i][k] and rows[k][i] change places.
inline void transpose(std::array<Float8, kPack>& rows) {
  const auto low_half = [](Float8 p, Float8 q) { return __builtin_shufflevector(p, q, 0, 1, 2, 3, 8, 9, 10, 11); };
  const auto high_half = [](Float8 p, Float8 q) { return __builtin_shufflevector(p, q, 4, 5, 6, 7, 12, 13, 14, 15); };
  const std::array<Float8, 4> top = transpose_halves(rows[0], rows[1], rows[2], rows[3]);
  const std::array<Float8, 4> bottom = transpose_halves(rows[4], rows[5], rows[6], rows[7]);
  for (int k = 0; k < 4; ++k) {
    rows[k] = low_half(top[k], bottom[k]);
    rows[k + 4] = high_half(top[k], bottom[k]);
  }
}

/// Every second number of sixteen, from the first and from the second on.
template <typename Pack>
Pack evens(Pack a, Pack b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
template <typename Pack>
Pack odds(Pack a, Pack b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

/// The four texels around eight places of a table with rows of `stride`; `at`: the upper left one.
struct Texels {
  Float8 a, b, c, d;  ///< upper left, upper right, lower left, lower right
};
inline Texels gather_texels(const float* table, Int8 at, int stride) {
  // Neighbours in a row are fetched together.
  using Pair = double;
  using Pairs = Pair __attribute__((vector_size(4 * kPack)));
  const auto four = [&](const float* from, int first) {
    const auto pair = [&](int k) {
      Pair both;
      std::memcpy(&both, from + at[first + k], sizeof both);
      return both;
    };
    return std::bit_cast<Float8>(Pairs{pair(0), pair(1), pair(2), pair(3)});
  };
  const Float8 upper = four(table, 0), upper_right = four(table, 4);
  const Float8 lower = four(table + stride, 0), lower_right = four(table + stride, 4);
  return {evens(upper, upper_right), odds(upper, upper_right), evens(lower, lower_right), odds(lower, lower_right)};
}

/// Bilinear noise at eight places, texels.
inline Float8 noise_at(const NoiseTile& tile, Float8 x, Float8 y) {
  const Int8 i = floor_to_int(x), j = floor_to_int(y);
  const auto [a, b, c, d] =
      gather_texels(tile.data(), (j & (NoiseTile::kSize - 1)) * NoiseTile::kStride + (i & (NoiseTile::kSize - 1)),
                    NoiseTile::kStride);
  const Float8 u = x - to_float(i), v = y - to_float(j);
  return lerp(lerp(a, b, u), lerp(c, d, u), v);
}

}  // namespace sandglass::synth
