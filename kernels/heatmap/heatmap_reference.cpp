#include <algorithm>
#include <cmath>

#include "kernels/heatmap/heatmap.h"

namespace sandglass::reference {
namespace {

// One map value. `points`: points_per_map pairs.
double heatmap_value(const HeatmapSpec& spec, double intensity, const float* points, int u, int v) {
  if (!(intensity > 0)) return 0;
  const double deviation = spec.scale * (spec.sigma_rule == SigmaRule::intensity ? intensity
                                         : spec.sigma_rule == SigmaRule::fan     ? 0.25 * (6 * intensity + 1)
                                                                                 : spec.sigma);
  const double limit = double{spec.cut} * spec.scale * (spec.sigma_rule == SigmaRule::fixed ? spec.sigma : intensity);
  double value = 0;
  for (int i = 0; i < spec.points_per_map; ++i) {
    const double dx = u - double{points[2 * i]}, dy = v - double{points[2 * i + 1]};
    const double square = dx * dx + dy * dy;
    if (square <= limit * limit)  // false for an absent point: NaN
      value = std::max(value, intensity * std::exp(-square / (2 * deviation * deviation)));
  }
  return value;
}

}  // namespace

std::vector<double> heatmap(const HeatmapSpec& spec, const Shape& shape, const std::vector<double>& intensities,
                            const std::vector<double>& points) {
  const std::vector<float> float_points(points.begin(), points.end());
  std::vector<double> target;
  for (int n = 0; n < shape.n; ++n)
    for (int v = 0; v < shape.h; ++v)
      for (int u = 0; u < shape.w; ++u)
        for (int k = 0; k < shape.c; ++k) {
          const size_t map = static_cast<size_t>(n) * shape.c + k;
          target.push_back(heatmap_value(spec, intensities[map], &float_points[map * spec.points_per_map * 2], u, v));
        }
  return target;
}

}  // namespace sandglass::reference
