#include "kernels/average_pool/average_pool.h"

namespace sandglass::reference {

void average_pool_forward(const Shape& s, const double* x, double* y) {
  const int64_t pixels = int64_t{s.h} * s.w;
  for (int n = 0; n < s.n; ++n)
    for (int c = 0; c < s.c; ++c) {
      double sum = 0;
      for (int64_t pixel = 0; pixel < pixels; ++pixel) sum += x[(n * pixels + pixel) * s.c + c];
      y[n * s.c + c] = sum / static_cast<double>(pixels);
    }
}

void average_pool_backward(const Shape& s, const double* dy, double* dx) {
  const int64_t pixels = int64_t{s.h} * s.w;
  for (int n = 0; n < s.n; ++n)
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      for (int c = 0; c < s.c; ++c) dx[(n * pixels + pixel) * s.c + c] = dy[n * s.c + c] / static_cast<double>(pixels);
}

}  // namespace sandglass::reference
