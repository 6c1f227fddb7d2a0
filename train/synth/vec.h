// The little vector algebra that the synthetic faces need.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace sandglass::synth {

struct Vec3 {
  float x = 0, y = 0, z = 0;
};

inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3 operator*(float s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
inline Vec3 operator*(Vec3 a, Vec3 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
inline Vec3& operator+=(Vec3& a, Vec3 b) { return a = a + b; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 cross(Vec3 a, Vec3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
inline float length(Vec3 a) { return std::sqrt(dot(a, a)); }
inline Vec3 normalized(Vec3 a) { return (1 / std::sqrt(std::max(dot(a, a), 1e-12f))) * a; }
inline float lerp(float a, float b, float t) { return a + (b - a) * t; }
inline Vec3 lerp(Vec3 a, Vec3 b, float t) { return a + t * (b - a); }

/// A 3x3 matrix by rows.
struct Mat3 {
  std::array<Vec3, 3> rows;
};

inline Vec3 operator*(const Mat3& m, Vec3 v) { return {dot(m.rows[0], v), dot(m.rows[1], v), dot(m.rows[2], v)}; }
inline Mat3 transposed(const Mat3& m) {
  const auto& [a, b, c] = m.rows;
  return {{{{a.x, b.x, c.x}, {a.y, b.y, c.y}, {a.z, b.z, c.z}}}};
}
inline Mat3 operator*(const Mat3& a, const Mat3& b) {
  const Mat3 t = transposed(b);
  return {{{t * a.rows[0], t * a.rows[1], t * a.rows[2]}}};
}

/// 0 below `low`, 1 above `high` (or the reverse if low > high), with a smooth step between.
inline float smoothstep(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}

/// A bell with value 1 at distance 0 and standard deviation 1.
inline float bell(float distance) { return std::exp(-0.5f * distance * distance); }

/// The larger of a and b, rounded off over about `radius` where they cross.
inline float smooth_max(float a, float b, float radius) {
  const float d = a - b;
  return 0.5f * (a + b + std::sqrt(d * d + radius * radius));
}

}  // namespace sandglass::synth
