#include "kernels/optimizer/optimizer.h"

namespace sandglass {

void GradientNorm::check() const { sandglass::check(count > 0, "{}: there are no gradients (count is 0)", kName); }

void Optimizer::check() const {
  sandglass::check(kind == OptimizerKind::rmsprop || kind == OptimizerKind::adamw,
                   "{}: unknown kind {}, use rmsprop or adamw", kName, static_cast<int>(kind));
  sandglass::check(count > 0, "{}: there are no parameters (count is 0)", kName);
  sandglass::check(decayed <= count, "{}: {} of {} parameters have weight decay, that is more than there are", kName,
                   decayed, count);
}

}  // namespace sandglass
