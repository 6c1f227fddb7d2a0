#include "train/synth/rasterizer.h"

namespace sandglass::synth {
namespace {

// Twice the area of a triangle. y points down on the screen, so one that faces the viewer has a negative area.
float doubled_area(const ScreenVertex& a, const ScreenVertex& b, const ScreenVertex& c) {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// One triangle at eight samples of a row: barycentric weights, all >= 0 inside, and the inverse depth are linear in x
// and y, and go from row to row by constant steps.
class TriangleRow {
 public:
  // `dx`, `dy`: from a to the samples; `area` as above. A triangle that is not to be `drawn` has no inside.
  TriangleRow(const ScreenVertex& a, const ScreenVertex& b, const ScreenVertex& c, float area, bool drawn, Float8 dx,
              float dy) {
    const float scale = 1 / area;
    const float b_dx = (c.y - a.y) * scale, c_dx = -(b.y - a.y) * scale;
    b_step_ = -(c.x - a.x) * scale, c_step_ = (b.x - a.x) * scale;
    const float depth_b = b.inverse_depth - a.inverse_depth, depth_c = c.inverse_depth - a.inverse_depth;
    // Rounding must not leave a gap between neighbours: each reaches out by this part of itself.
    constexpr float kOverlap = 1e-5f;
    const Float8 weight_b = dx * b_dx + dy * b_step_, weight_c = dx * c_dx + dy * c_step_;
    weight_b_ = weight_b + kOverlap;
    weight_c_ = weight_c + kOverlap;
    weight_a_ = drawn ? 1 + kOverlap - weight_b - weight_c : splat(-1);
    a_step_ = drawn ? -b_step_ - c_step_ : 0;
    inverse_depth_ = a.inverse_depth + weight_b * depth_b + weight_c * depth_c;
    depth_step_ = b_step_ * depth_b + c_step_ * depth_c;
  }
  // Where samples lie inside; their signs tell.
  Int8 inside() const {
    return (std::bit_cast<Int8>(weight_a_) | std::bit_cast<Int8>(weight_b_) | std::bit_cast<Int8>(weight_c_)) >= 0;
  }
  Float8 inverse_depth() const { return inverse_depth_; }
  void step() {
    weight_a_ += a_step_;
    weight_b_ += b_step_;
    weight_c_ += c_step_;
    inverse_depth_ += depth_step_;
  }

 private:
  Float8 weight_a_, weight_b_, weight_c_, inverse_depth_;
  float a_step_, b_step_, c_step_, depth_step_;
};

}  // namespace

void VisibilityBuffer::clear(int width, int height) {
  width_ = width;
  height_ = height;
  stride_ = (width + 3 * kPack - 1) / (2 * kPack) * (2 * kPack);
  const size_t samples = index(0, height);
  triangle_.resize(samples);
  inverse_depth_.assign(samples, 0.0f);
}

void VisibilityBuffer::draw(std::span<const ScreenVertex> vertices, std::span<const Quad> quads, uint32_t first_number,
                            bool both_sides) {
  const float right_edge = static_cast<float>(width_ - 1), bottom_edge = static_cast<float>(height_ - 1);
  const size_t stride = static_cast<size_t>(stride_);
  for (size_t k = 0; k < quads.size(); ++k) {
    const auto& [ia, ib, ic, id] = quads[k];
    const ScreenVertex a = vertices[ia], b = vertices[ib], c = vertices[ic], d = vertices[id];
    const float first_area = doubled_area(a, b, c), second_area = doubled_area(a, c, d);
    const bool first_drawn = first_area < 0 || (both_sides && first_area > 0);
    const bool second_drawn = second_area < 0 || (both_sides && second_area > 0);
    if (!first_drawn && !second_drawn) continue;
    const float left = std::max(std::ceil(std::min(std::min(a.x, b.x), std::min(c.x, d.x))), 0.0f);
    const float right = std::min(std::floor(std::max(std::max(a.x, b.x), std::max(c.x, d.x))), right_edge);
    const float top = std::max(std::ceil(std::min(std::min(a.y, b.y), std::min(c.y, d.y))), 0.0f);
    const float bottom = std::min(std::floor(std::max(std::max(a.y, b.y), std::max(c.y, d.y))), bottom_edge);
    if (left > right || top > bottom) continue;
    const Int8 number = Int8{} + static_cast<int>(first_number + 2 * static_cast<uint32_t>(k));
    const int rows = static_cast<int>(bottom - top) + 1;
    for (float x = left; x <= right; x += kPack) {
      const Float8 dx = x - a.x + kLanes;
      const float dy = top - a.y;
      TriangleRow first(a, b, c, first_area, first_drawn, dx, dy), second(a, c, d, second_area, second_drawn, dx, dy);
      const size_t at = index(static_cast<int>(x), static_cast<int>(top));
      float* depths = &inverse_depth_[at];
      uint32_t* numbers = &triangle_[at];
      for (int row = 0; row < rows; ++row, depths += stride, numbers += stride) {
        Float8 nearest = load(depths);
        Int8 triangle;
        std::memcpy(&triangle, numbers, sizeof triangle);
        // Samples past the row's end fall into the padding or outside the triangles.
        const Int8 sees_first = first.inside() & (first.inverse_depth() > nearest);
        nearest = select(sees_first, first.inverse_depth(), nearest);
        triangle = sees_first ? number : triangle;
        const Int8 sees_second = second.inside() & (second.inverse_depth() > nearest);
        store(depths, select(sees_second, second.inverse_depth(), nearest));
        triangle = sees_second ? number + 1 : triangle;
        std::memcpy(numbers, &triangle, sizeof triangle);
        first.step();
        second.step();
      }
    }
  }
}

}  // namespace sandglass::synth
