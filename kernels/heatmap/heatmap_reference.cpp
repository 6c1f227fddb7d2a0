#include <algorithm>
#include <cmath>

#include "kernels/heatmap/heatmap.h"

namespace sandglass::reference {

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

}  // namespace sandglass::reference
