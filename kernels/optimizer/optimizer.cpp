#include "kernels/optimizer/optimizer.h"

#include "kernels/spec_text.h"

namespace sandglass {

void GradientNorm::check() const { sandglass::check(count > 0, "{}: there are no gradients (count is 0)", kName); }

void Optimizer::check() const {
  sandglass::check(kind == OptimizerKind::rmsprop || kind == OptimizerKind::adamw,
                   "{}: unknown kind {}, use rmsprop or adamw", kName, static_cast<int>(kind));
  sandglass::check(count > 0, "{}: there are no parameters (count is 0)", kName);
  sandglass::check(decayed <= count, "{}: {} of {} parameters have weight decay, that is more than there are", kName,
                   decayed, count);
}

Cost GradientNorm::cost() const { return {sizeof(float) * static_cast<double>(count), 2 * static_cast<double>(count)}; }
Cost Optimizer::cost() const {
  // Gradients are read, parameters and moments read and written, copies written.
  const double arrays = kind == OptimizerKind::adamw ? 7 : 5;
  return {arrays * sizeof(float) * static_cast<double>(count) + sizeof(bfloat16) * static_cast<double>(decayed),
          (kind == OptimizerKind::adamw ? 14 : 9) * static_cast<double>(count)};
}

std::string GradientNorm::text() const { return options_text(kName, fmt::format("{}", count)); }
std::string Optimizer::text() const {
  return options_text(kName, fmt::format("{}", count), {{"adamw", kind == OptimizerKind::adamw}});
}

}  // namespace sandglass
