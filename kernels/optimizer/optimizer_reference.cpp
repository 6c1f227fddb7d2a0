#include <algorithm>
#include <cmath>

#include "kernels/optimizer/optimizer.h"

namespace sandglass::reference {

void optimizer(const Optimizer& spec, const OptimizerRates& rates, const float* factors, double norm,
               double* parameters, const double* gradients, double* first_moment, double* second_moment) {
  if (!std::isfinite(norm)) return;
  const double epsilon = rates.epsilon, alpha = rates.alpha, beta1 = rates.beta1, beta2 = rates.beta2;
  const double factor = rates.clip > 0 ? std::min(1.0, rates.clip / (norm + 1e-6)) : 1.0;
  for (size_t i = 0; i < spec.count; ++i) {
    const double rate_factor = factors ? factors[i / kParameterGroup] : 1, rate = rate_factor * rates.rate;
    if (rate_factor == 0) continue;
    const double decay = i < spec.decayed ? rates.decay : 0;
    double& p = parameters[i];
    double& v = second_moment[i];
    double g = factor * gradients[i];
    if (spec.kind == OptimizerKind::rmsprop) {
      g += decay * p;
      v = alpha * v + (1 - alpha) * g * g;
      p -= rate * g / (std::sqrt(v) + epsilon);
    } else {
      double& m = first_moment[i];
      p -= rate * decay * p;
      m = beta1 * m + (1 - beta1) * g;
      v = beta2 * v + (1 - beta2) * g * g;
      p -=
          rate * (m / (1 - std::pow(beta1, rates.step))) / (std::sqrt(v / (1 - std::pow(beta2, rates.step))) + epsilon);
    }
  }
}

}  // namespace sandglass::reference
