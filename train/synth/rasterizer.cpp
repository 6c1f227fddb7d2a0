#include "train/synth/rasterizer.h"

#include "train/synth/pack.h"

namespace sandglass::synth {
void VisibilityBuffer::clear(int width, int height) {
  width_ = width;
  height_ = height;
  stride_ = (width + 3 * kPack - 1) / (2 * kPack) * (2 * kPack);
  const size_t samples = static_cast<size_t>(stride_) * static_cast<size_t>(height);
  triangle_.resize(samples);
  inverse_depth_.assign(samples, 0.0f);
}

void VisibilityBuffer::draw(std::span<const ScreenVertex> vertices, std::span<const Triangle> triangles,
                            uint32_t first_number, bool both_sides) {
  const float right_edge = static_cast<float>(width_ - 1), bottom_edge = static_cast<float>(height_ - 1);
  for (size_t k = 0; k < triangles.size(); ++k) {
    const ScreenVertex &a = vertices[triangles[k][0]], &b = vertices[triangles[k][1]], &c = vertices[triangles[k][2]];
    // y points down on the screen, so a triangle that faces the viewer has a negative area by this formula.
    const float area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    if (area == 0 || (area > 0 && !both_sides)) continue;
    const float left = std::max(std::ceil(std::min(a.x, std::min(b.x, c.x))), 0.0f);
    const float right = std::min(std::floor(std::max(a.x, std::max(b.x, c.x))), right_edge);
    const float top = std::max(std::ceil(std::min(a.y, std::min(b.y, c.y))), 0.0f);
    const float bottom = std::min(std::floor(std::max(a.y, std::max(b.y, c.y))), bottom_edge);
    if (left > right || top > bottom) continue;
    // Barycentric weights of b and c are linear in x and y; inside, all three weights are >= 0.
    const float scale = 1 / area;
    const float b_dx = (c.y - a.y) * scale, b_dy = -(c.x - a.x) * scale;
    const float c_dx = -(b.y - a.y) * scale, c_dy = (b.x - a.x) * scale;
    const float depth_b = b.inverse_depth - a.inverse_depth, depth_c = c.inverse_depth - a.inverse_depth;
    const Int8 number = Int8{} + static_cast<int>(first_number + static_cast<uint32_t>(k));
    const int rows = static_cast<int>(bottom - top) + 1;
    for (float x = left; x <= right; x += kPack) {
      const Float8 dx = x - a.x + kLanes, column_b = dx * b_dx, column_c = dx * c_dx;
      size_t at = index(static_cast<int>(x), static_cast<int>(top));
      float dy = top - a.y;
      for (int row = 0; row < rows; ++row, ++dy, at += static_cast<size_t>(stride_)) {
        const Float8 weight_b = column_b + dy * b_dy, weight_c = column_c + dy * c_dy;
        const Float8 here = a.inverse_depth + weight_b * depth_b + weight_c * depth_c;
        const Float8 old = load(&inverse_depth_[at]);
        // Samples past the row's end fall into the padding or outside the triangle.
        const Int8 seen = (weight_b >= 0) & (weight_c >= 0) & (weight_b + weight_c <= 1) & (here > old);
        store(&inverse_depth_[at], select(seen, here, old));
        Int8 triangle;
        std::memcpy(&triangle, &triangle_[at], sizeof triangle);
        triangle = seen ? number : triangle;
        std::memcpy(&triangle_[at], &triangle, sizeof triangle);
      }
    }
  }
}

}  // namespace sandglass::synth
