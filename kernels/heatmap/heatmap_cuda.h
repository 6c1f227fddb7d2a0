// A value of a target heatmap on the cuda device; the loss draws its targets with it too.
#pragma once

#include "kernels/cuda/target.h"
#include "kernels/heatmap/heatmap.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// What a kernel needs of a HeatmapSpec. Standard deviation and cut are linear in the intensity, in map pixels.
struct GaussianSizes {
  double deviation = 0, deviation_per_intensity = 0, cut = 0, cut_per_intensity = 0;
  int points_per_map = 0;
};

inline GaussianSizes gaussian_sizes(const HeatmapSpec& spec) {
  const double scale = spec.scale;
  GaussianSizes sizes;
  if (spec.sigma_rule == SigmaRule::intensity) sizes.deviation_per_intensity = scale;
  if (spec.sigma_rule == SigmaRule::fan) sizes.deviation_per_intensity = 1.5 * scale, sizes.deviation = 0.25 * scale;
  if (spec.sigma_rule == SigmaRule::fixed) {
    sizes.deviation = scale * spec.sigma;
    sizes.cut = scale * spec.cut * spec.sigma;
  } else {
    sizes.cut_per_intensity = scale * spec.cut;
  }
  sizes.points_per_map = spec.points_per_map;
  return sizes;
}

/// One map's Gaussians, prepared once for all pixels of a thread.
struct Gaussians {
  const float* points;
  int count;  ///< 0 where nothing is drawn
  float intensity;
  double exponent, limit_square;
};

/// `map`: n * K + k.
__device__ __forceinline__ Gaussians gaussians(const GaussianSizes& sizes, const HeatmapLabels& labels, int64_t map) {
  const float intensity = labels.intensities[map];
  const double deviation = sizes.deviation + sizes.deviation_per_intensity * intensity;
  const double limit = sizes.cut + sizes.cut_per_intensity * intensity;
  return {labels.points + map * sizes.points_per_map * 2, intensity > 0 ? sizes.points_per_map : 0, intensity,
          -0.5 / (deviation * deviation), limit * limit};
}

/// The map's value at pixel (u, v). Distances in double, so that loss and pictures agree on every pixel of the cut.
__device__ __forceinline__ float target_value(const Gaussians& map, int u, int v) {
  float value = 0;
  for (int i = 0; i < map.count; ++i) {
    const double dx = u - double{map.points[2 * i]}, dy = v - double{map.points[2 * i + 1]};
    const double square = fma(dx, dx, dy * dy);
    if (square <= map.limit_square) {  // false for an absent point: NaN
      const float height = map.intensity * expf(static_cast<float>(square * map.exponent));
      value = height > value ? height : value;
    }
  }
  return value;
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
