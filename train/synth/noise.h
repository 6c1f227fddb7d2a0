// Fixed tables of noise, made once: textures read them at random offsets instead of drawing numbers for every pixel.
#pragma once

#include <cmath>
#include <vector>

namespace sandglass::synth {

/// A square tile of noise that repeats without a seam.
class NoiseTile {
 public:
  static constexpr int kSize = 256;

  explicit NoiseTile(std::vector<float> values) : values_(std::move(values)) {}
  /// The value at whole texels, wrapped around.
  float texel(int x, int y) const {
    return values_[static_cast<size_t>(((y & (kSize - 1)) * kSize) + (x & (kSize - 1)))];
  }
  /// Bilinear; coordinates in texels.
  float at(float x, float y) const {
    const float fx = std::floor(x), fy = std::floor(y), u = x - fx, v = y - fy;
    const int i = static_cast<int>(fx), j = static_cast<int>(fy);
    const float top = texel(i, j) + u * (texel(i + 1, j) - texel(i, j));
    const float bottom = texel(i, j + 1) + u * (texel(i + 1, j + 1) - texel(i, j + 1));
    return top + v * (bottom - top);
  }

 private:
  std::vector<float> values_;
};

const NoiseTile& white_noise();    ///< independent normals
const NoiseTile& fractal_noise();  ///< clouds: octaves from 64 texels down to 2, mean 0, deviation 1

}  // namespace sandglass::synth
