#include "face/stage.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace sandglass {
namespace {

// What the output sees along one axis of the picture, in blocks of `factor` pixels.
struct Span {
  int begin = 0, end = 0;  // picture pixels; begin == end: nothing
  int blocks(int factor) const { return (end - begin + factor - 1) / factor; }
};

// Whole blocks around [low, high] and one more on the left, two on the right: the neighbours that bilinear
// interpolation asks for, also when rounding moves a coordinate over a pixel's edge.
Span visible(double low, double high, int factor, int picture_size) {
  const double begin = std::max(std::floor(low) - factor, 0.0);
  double end = std::floor(high) + 1 + 2 * factor;
  end = std::min(begin + std::ceil((end - begin) / factor) * factor, static_cast<double>(picture_size));
  if (!(begin < end)) return {};
  return {static_cast<int>(begin), static_cast<int>(end)};
}

void copy(const ImageView& image, Span x, Span y, uint8_t* out) {
  const size_t row_bytes = static_cast<size_t>(x.end - x.begin) * 3;
  for (int row = y.begin; row < y.end; ++row, out += row_bytes) std::copy_n(image.at(row, x.begin), row_bytes, out);
}

// Means of factor x factor pixels, rounded to the nearest; blocks at the picture's edge may be smaller.
void average(const ImageView& image, Span x, Span y, int factor, uint8_t* out) {
  std::vector<uint64_t> sums(static_cast<size_t>(x.blocks(factor)) * 3);
  for (int top = y.begin; top < y.end; top += factor) {
    const int bottom = std::min(top + factor, y.end);
    std::fill(sums.begin(), sums.end(), 0);
    for (int row = top; row < bottom; ++row) {
      uint64_t* sum = sums.data();
      for (int left = x.begin; left < x.end; left += factor, sum += 3) {
        const uint8_t* pixel = image.at(row, left);
        const uint8_t* last = pixel + 3 * (std::min(left + factor, x.end) - left);
        for (; pixel < last; pixel += 3) {
          for (int c = 0; c < 3; ++c) sum[c] += pixel[c];
        }
      }
    }
    const uint64_t* sum = sums.data();
    for (int left = x.begin; left < x.end; left += factor) {
      const uint64_t count =
          static_cast<uint64_t>(bottom - top) * static_cast<uint64_t>(std::min(left + factor, x.end) - left);
      for (int c = 0; c < 3; ++c) *out++ = static_cast<uint8_t>((*sum++ + count / 2) / count);
    }
  }
}

}  // namespace

StagedFace stage_face(const ImageView& image, const Affine& output_to_source, int size, std::vector<uint8_t>& pixels) {
  const auto& m = output_to_source.m;
  check(size >= 1, "staging a face of {0} x {0} pixels: expected at least 1 x 1", size);
  double low[2], high[2], side = 0;
  for (int axis = 0; axis < 2; ++axis) {
    const double along_u = m[axis][0] * (size - 1), along_v = m[axis][1] * (size - 1);
    low[axis] = m[axis][2] + std::min(along_u, 0.0) + std::min(along_v, 0.0);
    high[axis] = m[axis][2] + std::max(along_u, 0.0) + std::max(along_v, 0.0);
    check(std::isfinite(low[axis]) && std::isfinite(high[axis]),
          "staging a face: the map into the picture is not finite");
    side = std::max(side, high[axis] - low[axis]);
  }
  constexpr double kLargestFactor = 1 << 27;  // a block wider than any picture; left + factor stays an int
  const int factor = static_cast<int>(std::clamp(std::ceil(side / (3.0 * size)), 1.0, kLargestFactor));
  const Span x = visible(low[0], high[0], factor, image.width), y = visible(low[1], high[1], factor, image.height);

  StagedFace staged;
  staged.first_byte = static_cast<int64_t>(pixels.size());
  if (x.begin == x.end || y.begin == y.end) {
    staged.height = staged.width = 1;
    pixels.insert(pixels.end(), 3, 0);
    return staged;
  }
  staged.height = y.blocks(factor);
  staged.width = x.blocks(factor);
  pixels.resize(pixels.size() + static_cast<size_t>(staged.height) * static_cast<size_t>(staged.width) * 3);
  uint8_t* out = pixels.data() + staged.first_byte;
  factor == 1 ? copy(image, x, y, out) : average(image, x, y, factor, out);

  const double block_centre = 0.5 * (factor - 1);
  for (int axis = 0; axis < 2; ++axis) {
    const double origin = (axis == 0 ? x.begin : y.begin) + block_centre;
    staged.matrix[3 * axis + 0] = static_cast<float>(m[axis][0] / factor);
    staged.matrix[3 * axis + 1] = static_cast<float>(m[axis][1] / factor);
    staged.matrix[3 * axis + 2] = static_cast<float>((m[axis][2] - origin) / factor);
  }
  return staged;
}

}  // namespace sandglass
