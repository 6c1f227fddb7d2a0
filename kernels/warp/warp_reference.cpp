#include <cmath>

#include "kernels/warp/warp.h"

namespace sandglass::reference {

void warp(const WarpPicture& picture, const uint8_t* pixels, int height, int width, double* out) {
  const float* m = picture.matrix;
  // Weight of pixel i on an axis of `size` pixels for a source coordinate; 0 outside the picture, and for NaN.
  const auto weight = [](double place, double i, int size) {
    const double distance = std::abs(place - i);
    return i >= 0 && i < size && distance < 1 ? 1 - distance : 0.0;
  };
  for (int v = 0; v < height; ++v)
    for (int u = 0; u < width; ++u) {
      const double x = double{m[0]} * u + double{m[1]} * v + m[2], y = double{m[3]} * u + double{m[4]} * v + m[5];
      double value[3] = {};
      for (int dy = 0; dy < 2; ++dy)
        for (int dx = 0; dx < 2; ++dx) {
          const double column = std::floor(x) + dx, row = std::floor(y) + dy;
          const double w = weight(x, column, picture.width) * weight(y, row, picture.height);
          if (w == 0) continue;
          const int64_t pixel = static_cast<int64_t>(row) * picture.width + static_cast<int64_t>(column);
          for (int c = 0; c < 3; ++c) value[c] += w * pixels[picture.first_byte + pixel * 3 + c];
        }
      for (int c = 0; c < 3; ++c) {
        const double colour = value[c] / 255 * picture.gain + picture.offset;
        out[(int64_t{v} * width + u) * 3 + c] = !(colour > 0) ? 0 : colour < 1 ? colour : 1;
      }
    }
}

}  // namespace sandglass::reference
