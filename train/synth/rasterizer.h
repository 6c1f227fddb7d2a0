// A z-buffer rasteriser: which triangle is seen at each of 2x2 samples of every pixel.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "train/synth/pack.h"

namespace sandglass::synth {

/// Indices of four corners, counter-clockwise as seen from outside: the triangles of corners 0, 1, 2 and 0, 2, 3.
/// Triangle 2q is the first one of quad q, 2q + 1 the second.
using Quad = std::array<uint32_t, 4>;

/// A corner on the screen: x, y in samples (sample centres at integers), and 1/distance, which is linear on the screen.
struct alignas(16) ScreenVertex {
  float x, y, inverse_depth;
};

/// Picture of triangle numbers. Nearer surfaces win; of equals the first.
class VisibilityBuffer {
 public:
  static constexpr uint32_t kNothing = ~0u;

  void clear(int width, int height);
  /// Draws the triangles that face the viewer, or all if `both_sides`; triangle k gets the number first_number + k.
  void draw(std::span<const ScreenVertex> vertices, std::span<const Quad> quads, uint32_t first_number,
            bool both_sides);

  int width() const { return width_; }
  int height() const { return height_; }
  int stride() const { return stride_; }  ///< samples from one row to the next
  uint32_t triangle(int x, int y) const { return inverse_depth(x, y) > 0 ? triangles(y)[x] : kNothing; }
  float inverse_depth(int x, int y) const { return inverse_depths(y)[x]; }
  /// Row y of both; triangles count only where the inverse depth, 0 where nothing is seen, is greater. Up to the next
  /// multiple of 2 kPack samples the row may be read, but means nothing past width().
  const uint32_t* triangles(int y) const { return &triangle_[index(0, y)]; }
  const float* inverse_depths(int y) const { return &inverse_depth_[index(0, y)]; }

 private:
  size_t index(int x, int y) const {
    return static_cast<size_t>(y) * static_cast<size_t>(stride_) + static_cast<size_t>(x);
  }

  int width_ = 0, height_ = 0;
  int stride_ = 0;  // samples from one row to the next: more than width_, as rows are written and read in packs
  std::vector<uint32_t> triangle_;
  std::vector<float> inverse_depth_;
};

}  // namespace sandglass::synth
