// Fixed tables of noise, made once: textures read them at random offsets instead of drawing numbers for every pixel.
#pragma once

#include <cmath>
#include <vector>

namespace sandglass::synth {

/// A square tile of noise that repeats without a seam.
class NoiseTile {
 public:
  static constexpr int kSize = 256;
  static constexpr int kStride = kSize + 8;  ///< texels from one row to the next: the first eight follow the last again

  /// From kSize x kSize values.
  explicit NoiseTile(const std::vector<float>& values) : values_(static_cast<size_t>(kStride * (kSize + 1))) {
    for (int y = 0; y <= kSize; ++y) {
      for (int x = 0; x < kStride; ++x) {
        values_[static_cast<size_t>(y * kStride + x)] =
            values[static_cast<size_t>((y & (kSize - 1)) * kSize + (x & (kSize - 1)))];
      }
    }
  }
  /// Where the texel (x, y), wrapped around, and seven more to the right of it lie, and one row below.
  const float* from(int x, int y) const { return data() + (y & (kSize - 1)) * kStride + (x & (kSize - 1)); }
  const float* data() const { return values_.data(); }
  /// The value at whole texels, wrapped around.
  float texel(int x, int y) const { return *from(x, y); }
  /// Bilinear; coordinates in texels.
  float at(float x, float y) const {
    const float fx = std::floor(x), fy = std::floor(y), u = x - fx, v = y - fy;
    const float* texels = from(static_cast<int>(fx), static_cast<int>(fy));
    const float top = texels[0] + u * (texels[1] - texels[0]);
    const float bottom = texels[kStride] + u * (texels[kStride + 1] - texels[kStride]);
    return top + v * (bottom - top);
  }

 private:
  std::vector<float> values_;
};

const NoiseTile& white_noise();    ///< independent normals
const NoiseTile& fractal_noise();  ///< clouds: octaves from 64 texels down to 2, mean 0, deviation 1

}  // namespace sandglass::synth
