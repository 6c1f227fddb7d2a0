// The end of a bottleneck in float64 loops: the meaning of residual.h.
#include <algorithm>

#include "kernels/residual/residual.h"

namespace sandglass::reference {

void residual_forward(int64_t pixels, int channels, const double* z, const double* scale, const double* shift,
                      const double* shortcut, const double* scale2, const double* shift2, double* y) {
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < channels; ++c) {
      const int64_t at = i * channels + c;
      const double other = scale2 ? shortcut[at] * scale2[c] + shift2[c] : shortcut[at];
      y[at] = std::max(z[at] * scale[c] + shift[c] + other, 0.0);
    }
}

void residual_backward(int64_t pixels, int channels, const double* dy, const double* y, const double* z,
                       const double* shortcut, double* g, double* sum, double* sum_z, double* sum_shortcut) {
  std::fill_n(sum, channels, 0.0);
  std::fill_n(sum_z, channels, 0.0);
  if (sum_shortcut) std::fill_n(sum_shortcut, channels, 0.0);
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < channels; ++c) {
      const int64_t at = i * channels + c;
      g[at] = y[at] > 0 ? dy[at] : 0;
      sum[c] += g[at];
      sum_z[c] += g[at] * z[at];
      if (sum_shortcut) sum_shortcut[c] += g[at] * shortcut[at];
    }
}

}  // namespace sandglass::reference
