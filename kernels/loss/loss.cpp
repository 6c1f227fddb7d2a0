#include "kernels/loss/loss.h"

#include "kernels/check_map.h"

namespace sandglass {

void HeatmapLoss::check() const {
  heatmap.check();
  check_map(kName, "y", y);
}

void L2Loss::check() const { check_map(kName, "y", y); }

}  // namespace sandglass
