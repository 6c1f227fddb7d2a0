// Max pooling in float64 loops: the meaning of max_pool.h.
#include "kernels/max_pool/max_pool.h"

namespace sandglass::reference {

void max_pool_forward(const Shape& x_shape, const double* x, double* y, uint8_t* argmax) {
  const TensorDesc large = nhwc(x_shape), small = nhwc(pooled(x_shape));
  for (int n = 0; n < small.shape.n; ++n)
    for (int p = 0; p < small.shape.h; ++p)
      for (int q = 0; q < small.shape.w; ++q)
        for (int c = 0; c < small.shape.c; ++c) {
          const size_t at = small.index(n, p, q, c);
          for (int window = 0; window < 4; ++window) {
            const double value = x[large.index(n, 2 * p + window / 2, 2 * q + window % 2, c)];
            if (window == 0 || value > y[at]) y[at] = value, argmax[at] = static_cast<uint8_t>(window);
          }
        }
}

void max_pool_backward(const Shape& x_shape, const double* dy, const uint8_t* argmax, double* dx) {
  const TensorDesc large = nhwc(x_shape), small = nhwc(pooled(x_shape));
  for (int n = 0; n < small.shape.n; ++n)
    for (int p = 0; p < small.shape.h; ++p)
      for (int q = 0; q < small.shape.w; ++q)
        for (int c = 0; c < small.shape.c; ++c) {
          const size_t at = small.index(n, p, q, c);
          dx[large.index(n, 2 * p + argmax[at] / 2, 2 * q + argmax[at] % 2, c)] += dy[at];
        }
}

}  // namespace sandglass::reference
