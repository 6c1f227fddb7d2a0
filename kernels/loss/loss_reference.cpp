#include "kernels/loss/loss.h"

namespace sandglass::reference {

double l2_loss(const Shape& shape, const double* y, const double* target, const float* intensities, double* dy) {
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
        const double difference = y[i] - target[i];
        sum += difference * difference;
        dy[i] = 2 * difference / count;
      }
  return count > 0 ? sum / count : 0;
}

}  // namespace sandglass::reference
