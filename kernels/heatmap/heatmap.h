// Target heatmaps: for each Action Unit Gaussians around its points whose height is the AU's intensity
// (arXiv 1805.03487, equation 1; what is not confirmed there is a switch, see docs/kernels.md).
//
// For AU k of picture n with intensity I > 0, points (x_i, y_i) in map pixels and pixel (u, v), with
// d_i^2 = (u - x_i)^2 + (v - y_i)^2 and s the standard deviation:
//
//   target[n,v,u,k] = max over its points i with d_i <= limit of  I * exp(-d_i^2 / (2 s^2))
//
//   sigma_rule     s                           limit
//   intensity      scale * I                   scale * cut * I
//   fan            scale * 0.25 * (6 I + 1)    scale * cut * I
//   fixed          scale * sigma               scale * cut * sigma    (only the height follows the intensity)
//
// and 0 where no point is that near. I <= 0 gives an empty map. Lengths are in pixels of the paper's 64x64 map; `scale`
// makes them those of another size.
#pragma once

#include <vector>

#include "kernels/operation.h"

namespace sandglass {

enum class SigmaRule { intensity, fan, fixed };

struct HeatmapSpec {
  SigmaRule sigma_rule = SigmaRule::intensity;
  float sigma = 2.0f;      ///< pixels of a 64x64 map, for SigmaRule::fixed
  float cut = 6.0f;        ///< the Gaussian ends at a distance of cut * I (fixed: cut * sigma) pixels of a 64x64 map
  float scale = 1.0f;      ///< the maps' size divided by 64
  int points_per_map = 2;  ///< most points an AU has
  void check() const;
  /// Standard deviation in map pixels for an intensity.
  float deviation(float intensity) const {
    return scale * (sigma_rule == SigmaRule::intensity ? intensity
                    : sigma_rule == SigmaRule::fan     ? 0.25f * (6 * intensity + 1)
                                                       : sigma);
  }
  /// Where the Gaussian ends, in map pixels.
  double limit(float intensity) const {
    return double{cut} * (sigma_rule == SigmaRule::fixed ? sigma : intensity) * scale;
  }
};

/// What the targets of one batch are drawn from.
struct HeatmapLabels {
  const float* intensities = nullptr;  ///< [N][K]; below 0 or NaN: the AU is not coded in this picture
  const float* points = nullptr;  ///< [N][K][points_per_map][2], x and y in map pixels; a point with x = NaN is absent
};

struct HeatmapRenderArguments {
  HeatmapLabels labels;
  float* target = nullptr;  ///< N x H x W x K; the maps of AUs that are not coded are 0
};

/// Draws the targets; for pictures and tests (training never stores them, see loss/loss.h).
struct HeatmapRender {
  using Arguments = HeatmapRenderArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "heatmap_render";
  HeatmapSpec heatmap;
  TensorDesc target;
  void check() const;
  Cost cost() const;
  std::string text() const;
};

namespace reference {
/// The targets N x H x W x K in double, from intensities [N][K] and points [N][K][points_per_map][2]; for tests only.
std::vector<double> heatmap(const HeatmapSpec& spec, const Shape& shape, const std::vector<double>& intensities,
                            const std::vector<double>& points);
}  // namespace reference

}  // namespace sandglass
