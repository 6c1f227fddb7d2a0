#include "kernels/loss/loss.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {

namespace {
void check_maps(const char* operation, const TensorDesc& y, const TensorDesc& dy) {
  check_map(operation, "y", y);
  check(y.type == DataType::float32, "{}: y is {}, must be float32", operation, name_of(y.type));
  check_map(operation, "dy", dy, y.shape);
  check(dy.block == y.block, "{}: dy is stored in channel blocks of {}, y in blocks of {}; they must agree", operation,
        dy.block, y.block);
}
}  // namespace

void HeatmapLoss::check() const {
  heatmap.check();
  check_maps(kName, y, dy);
}

void L2Loss::check() const { check_maps(kName, y, dy); }

// A Gaussian counts as ten operations.
Cost HeatmapLoss::cost() const {
  return {bytes_of({y, dy}), (4 + 10.0 * heatmap.points_per_map) * static_cast<double>(y.shape.elements())};
}
Cost L2Loss::cost() const { return {bytes_of({y, y, dy}), 4.0 * static_cast<double>(y.shape.elements())}; }

std::string HeatmapLoss::text() const { return options_text(kName, to_string(y.shape)); }
std::string L2Loss::text() const { return options_text(kName, to_string(y.shape)); }

}  // namespace sandglass
