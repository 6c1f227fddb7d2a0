#include <algorithm>
#include <cmath>

#include "kernels/loss/loss.h"

namespace sandglass::reference {
namespace {

struct Term {
  double value, derivative;
};

Term term(const LossSpec& spec, double difference, double target) {
  const double size = std::abs(difference), sign = difference > 0 ? 1 : difference < 0 ? -1 : 0;
  if (spec.function == LossFunction::l2) return {difference * difference, 2 * difference};
  if (spec.function == LossFunction::huber) {
    const double delta = spec.delta;
    if (size <= delta) return {difference * difference, 2 * difference};
    return {delta * (2 * size - delta), 2 * delta * sign};
  }
  const double omega = LossSpec::kOmega, theta = LossSpec::kTheta, epsilon = LossSpec::kEpsilon,
               largest = LossSpec::kLargestIntensity;
  const double e = size / largest, p = double{LossSpec::kAlpha} - target / largest;
  if (e < theta) {
    const double power = std::pow(e / epsilon, p);
    return {omega * std::log1p(power),
            sign / largest * omega * p * std::pow(e / epsilon, p - 1) / (epsilon * (1 + power))};
  }
  const double q = std::pow(theta / epsilon, p), slope = omega * p * q / (theta * (1 + q));
  return {slope * (e - theta) + omega * std::log1p(q), sign / largest * slope};
}

}  // namespace

double pixel_loss(const LossSpec& spec, const Shape& shape, const double* y, const double* target,
                  const float* intensities, const float* weights, double* dy) {
  const auto coded = [&](int n, int k) { return !intensities || intensities[int64_t{n} * shape.c + k] >= 0; };
  double count = 0;
  for (int n = 0; n < shape.n; ++n)
    for (int k = 0; k < shape.c; ++k) count += coded(n, k) ? double(shape.h) * shape.w : 0;
  double sum = 0;
  for (int n = 0; n < shape.n; ++n)
    for (int64_t pixel = 0; pixel < int64_t{shape.h} * shape.w; ++pixel)
      for (int k = 0; k < shape.c; ++k) {
        const int64_t i = (int64_t{n} * shape.h * shape.w + pixel) * shape.c + k;
        if (!coded(n, k)) {
          dy[i] = 0;
          continue;
        }
        double weight = 1;
        if (intensities && weights) {
          const double level = std::round(std::min(5.0f, intensities[int64_t{n} * shape.c + k]));
          weight = weights[k * kIntensityLevels + static_cast<int>(level)];
        }
        const Term f = term(spec, y[i] - target[i], target[i]);
        sum += weight * f.value;
        dy[i] = weight * f.derivative / count;
      }
  return count > 0 ? sum / count : 0;
}

}  // namespace sandglass::reference
