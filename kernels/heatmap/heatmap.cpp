#include "kernels/heatmap/heatmap.h"

#include <cmath>

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {

void HeatmapSpec::check() const {
  sandglass::check(sigma_rule == SigmaRule::intensity || sigma_rule == SigmaRule::fan || sigma_rule == SigmaRule::fixed,
                   "heatmap: unknown sigma rule {}, use intensity, fan or fixed", static_cast<int>(sigma_rule));
  sandglass::check(sigma_rule != SigmaRule::fixed || (std::isfinite(sigma) && sigma > 0),
                   "heatmap: sigma is {}, it must be a positive number of map pixels", sigma);
  sandglass::check(std::isfinite(cut) && cut > 0, "heatmap: cut is {}, it must be a positive number", cut);
  sandglass::check(std::isfinite(scale) && scale > 0, "heatmap: scale is {}, it must be a positive number", scale);
  sandglass::check(points_per_map > 0, "heatmap: points_per_map is {}, a map needs room for at least one point",
                   points_per_map);
}

void HeatmapRender::check() const {
  heatmap.check();
  check_map(kName, "target", target);
  sandglass::check(target.type == DataType::float32, "{}: target is {}, must be float32", kName, name_of(target.type));
}

// A Gaussian counts as ten operations.
Cost HeatmapRender::cost() const {
  return {bytes_of({target}), 10.0 * heatmap.points_per_map * static_cast<double>(target.shape.elements())};
}

std::string HeatmapRender::text() const { return options_text(kName, to_string(target.shape)); }

}  // namespace sandglass
