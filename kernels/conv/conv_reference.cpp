// Convolution in float64 loops: the meaning of conv.h.
#include <algorithm>
#include <vector>

#include "kernels/conv/conv.h"

namespace sandglass::reference {
namespace {

std::vector<double> transformed(const ConvShape& shape, const double* x, const Transform& t) {
  std::vector<double> result(x, x + shape.input().elements());
  if (!t.scale) return result;
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t c = i % shape.c;
    result[i] = result[i] * t.scale[c] + t.shift[c];
    if (t.relu) result[i] = std::max(result[i], 0.0);
  }
  return result;
}

// Calls tap(output pixel, tap of the filter, input pixel) for every pair of pixels that the convolution connects;
// pixels counted in rows over all pictures, taps as r * S + s.
template <typename Tap>
void for_each_tap(const ConvShape& shape, const Tap& tap) {
  const int p_end = shape.p(), q_end = shape.q();
  for (int n = 0; n < shape.n; ++n)
    for (int p = 0; p < p_end; ++p)
      for (int q = 0; q < q_end; ++q)
        for (int r = 0; r < shape.r; ++r)
          for (int s = 0; s < shape.s; ++s) {
            const int h = p * shape.stride + r - shape.padding, w = q * shape.stride + s - shape.padding;
            if (h < 0 || h >= shape.h || w < 0 || w >= shape.w) continue;
            tap((size_t(n) * p_end + p) * q_end + q, size_t(r) * shape.s + s, (size_t(n) * shape.h + h) * shape.w + w);
          }
}

}  // namespace

void conv_forward(const ConvShape& shape, const double* x, const double* w, const Transform& t, const double* bias,
                  const double* residual, bool relu, double* y) {
  const size_t taps = size_t(shape.r) * shape.s, outputs = static_cast<size_t>(shape.output().elements());
  const int channels = shape.c, filters = shape.k;
  const std::vector<double> tx = transformed(shape, x, t);
  std::fill_n(y, outputs, 0.0);
  for_each_tap(shape, [&](size_t out, size_t tap, size_t in) {
    for (int k = 0; k < filters; ++k) {
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int c = 0; c < channels; ++c) sum += tx[in * channels + c] * w[(k * taps + tap) * channels + c];
      y[out * filters + k] += sum;
    }
  });
  for (size_t i = 0; i < outputs; ++i) {
    if (bias) y[i] += bias[i % filters];
    if (residual) y[i] += residual[i];
    if (relu) y[i] = std::max(y[i], 0.0);
  }
}

void conv_backward_data(const ConvShape& shape, const double* dy, const double* w, double* dx) {
  const size_t taps = size_t(shape.r) * shape.s;
  const int channels = shape.c, filters = shape.k;
  for_each_tap(shape, [&](size_t out, size_t tap, size_t in) {
    for (int k = 0; k < filters; ++k)
      for (int c = 0; c < channels; ++c)
        dx[in * channels + c] += dy[out * filters + k] * w[(k * taps + tap) * channels + c];
  });
}

void conv_backward_weights(const ConvShape& shape, const double* x, const double* dy, const Transform& t, double* dw) {
  const size_t taps = size_t(shape.r) * shape.s;
  const int channels = shape.c, filters = shape.k;
  const std::vector<double> tx = transformed(shape, x, t);
  std::fill_n(dw, shape.weight_elements(), 0.0);
  for_each_tap(shape, [&](size_t out, size_t tap, size_t in) {
    for (int k = 0; k < filters; ++k)
      for (int c = 0; c < channels; ++c)
        dw[(k * taps + tap) * channels + c] += dy[out * filters + k] * tx[in * channels + c];
  });
}

}  // namespace sandglass::reference
