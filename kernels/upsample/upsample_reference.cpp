// Upsampling in float64 loops: the meaning of upsample.h.
#include "kernels/upsample/upsample.h"

namespace sandglass::reference {

void upsample_add_forward(const Shape& y_shape, const double* low, const double* skip, double* y) {
  const TensorDesc large = nhwc(y_shape), small = nhwc({y_shape.n, y_shape.h / 2, y_shape.w / 2, y_shape.c});
  for (int n = 0; n < y_shape.n; ++n)
    for (int h = 0; h < y_shape.h; ++h)
      for (int w = 0; w < y_shape.w; ++w)
        for (int c = 0; c < y_shape.c; ++c)
          y[large.index(n, h, w, c)] = skip[large.index(n, h, w, c)] + low[small.index(n, h / 2, w / 2, c)];
}

void upsample_backward(const Shape& y_shape, const double* dy, double* dlow) {
  const TensorDesc large = nhwc(y_shape), small = nhwc({y_shape.n, y_shape.h / 2, y_shape.w / 2, y_shape.c});
  for (int n = 0; n < small.shape.n; ++n)
    for (int h = 0; h < small.shape.h; ++h)
      for (int w = 0; w < small.shape.w; ++w)
        for (int c = 0; c < small.shape.c; ++c)
          dlow[small.index(n, h, w, c)] =
              dy[large.index(n, 2 * h, 2 * w, c)] + dy[large.index(n, 2 * h, 2 * w + 1, c)] +
              dy[large.index(n, 2 * h + 1, 2 * w, c)] + dy[large.index(n, 2 * h + 1, 2 * w + 1, c)];
}

}  // namespace sandglass::reference
