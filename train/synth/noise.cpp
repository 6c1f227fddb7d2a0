#include "train/synth/noise.h"

#include "engine/random.h"

namespace sandglass::synth {
namespace {

constexpr int kSize = NoiseTile::kSize;

std::vector<float> normals(uint64_t stream) {
  Random random(0x5359'4e54'48, stream);  // any fixed key
  std::vector<float> values(kSize * kSize);
  for (float& value : values) value = random.normal();
  return values;
}

std::vector<float> clouds() {
  std::vector<float> sum(kSize * kSize);
  for (int period = 64, octave = 1; period >= 2; period /= 2, ++octave) {
    const NoiseTile lattice(normals(static_cast<uint64_t>(octave)));
    const int cells = kSize / period;
    for (int y = 0; y < kSize; ++y) {
      for (int x = 0; x < kSize; ++x) {
        // Smooth interpolation between lattice points `period` texels apart, wrapped at the tile's edge.
        const auto smooth = [](float t) { return t * t * (3 - 2 * t); };
        const int i = x / period, j = y / period;
        const float u = smooth(static_cast<float>(x % period) / static_cast<float>(period));
        const float v = smooth(static_cast<float>(y % period) / static_cast<float>(period));
        const auto value = [&](int a, int b) { return lattice.texel(a % cells, b % cells); };
        const float top = value(i, j) + u * (value(i + 1, j) - value(i, j));
        const float bottom = value(i, j + 1) + u * (value(i + 1, j + 1) - value(i, j + 1));
        sum[static_cast<size_t>(y * kSize + x)] += (top + v * (bottom - top)) * static_cast<float>(period);
      }
    }
  }
  double square = 0, mean = 0;
  for (float value : sum) mean += value / static_cast<double>(sum.size());
  for (float value : sum) square += (value - mean) * (value - mean) / static_cast<double>(sum.size());
  for (float& value : sum) value = static_cast<float>((value - mean) / std::sqrt(square));
  return sum;
}

}  // namespace

const NoiseTile& white_noise() {
  static const NoiseTile tile(normals(0));
  return tile;
}

const NoiseTile& fractal_noise() {
  static const NoiseTile tile(clouds());
  return tile;
}

}  // namespace sandglass::synth
