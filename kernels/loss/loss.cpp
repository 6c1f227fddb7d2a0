#include "kernels/loss/loss.h"

#include <cmath>

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

// A root, a logarithm and a power count as ten operations each.
double operations_a_pixel(const LossSpec& loss) {
  switch (loss.function) {
    case LossFunction::l2:
      return 4;
    case LossFunction::huber:
      return 7;
    case LossFunction::adaptive_wing:
      return 30;
  }
  return 0;
}

std::string text_of(const char* operation, const TensorDesc& y, const LossSpec& loss) {
  return options_text(operation, to_string(y.shape),
                      {{"huber", loss.function == LossFunction::huber},
                       {"adaptive_wing", loss.function == LossFunction::adaptive_wing}});
}
}  // namespace

void LossSpec::check() const {
  sandglass::check(
      function == LossFunction::l2 || function == LossFunction::huber || function == LossFunction::adaptive_wing,
      "loss: unknown function {}, use l2, huber or adaptive_wing", static_cast<int>(function));
  sandglass::check(function != LossFunction::huber || (std::isfinite(delta) && delta > 0),
                   "loss: delta is {}, it must be a positive number", delta);
}

void HeatmapLoss::check() const {
  heatmap.check();
  loss.check();
  check_maps(kName, y, dy);
}

void PixelLoss::check() const {
  loss.check();
  check_maps(kName, y, dy);
}

// A Gaussian counts as ten operations.
Cost HeatmapLoss::cost() const {
  return {bytes_of({y, dy}),
          (operations_a_pixel(loss) + 10.0 * heatmap.points_per_map) * static_cast<double>(y.shape.elements())};
}
Cost PixelLoss::cost() const {
  return {bytes_of({y, y, dy}), operations_a_pixel(loss) * static_cast<double>(y.shape.elements())};
}

std::string HeatmapLoss::text() const { return text_of(kName, y, loss); }
std::string PixelLoss::text() const { return text_of(kName, y, loss); }

}  // namespace sandglass
