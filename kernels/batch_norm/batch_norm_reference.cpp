// Batch norm in float64 loops: the meaning of batch_norm.h.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm/batch_norm.h"

namespace sandglass::reference {

void batch_norm_finalize(const BatchNormFinalize& spec, const double* sum, const double* sum_squares,
                         const double* gamma, const double* beta, double* running_mean, double* running_var,
                         double* mean, double* inv_std, double* scale, double* shift) {
  const double count = static_cast<double>(spec.count), momentum = spec.momentum;
  for (int c = 0; c < spec.channels; ++c) {
    mean[c] = sum[c] / count;
    const double var = std::max(0.0, sum_squares[c] / count - mean[c] * mean[c]);
    inv_std[c] = 1 / std::sqrt(var + spec.epsilon);
    scale[c] = gamma[c] * inv_std[c];
    shift[c] = beta[c] - mean[c] * scale[c];
    running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean[c];
    running_var[c] = (1 - momentum) * running_var[c] + momentum * var * count / (count - 1);
  }
}

void batch_norm_apply(int64_t pixels, int channels, const double* z, const double* scale, const double* shift,
                      bool relu, double* y) {
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < channels; ++c) {
      const double value = z[i * channels + c] * scale[c] + shift[c];
      y[i * channels + c] = relu ? std::max(value, 0.0) : value;
    }
}

void batch_norm_backward_reduce(int64_t pixels, int channels, double* g, const double* z, const double* scale,
                                const double* shift, double* sum, double* sum_z) {
  std::fill_n(sum, channels, 0.0);
  std::fill_n(sum_z, channels, 0.0);
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < channels; ++c) {
      double& gradient = g[i * channels + c];
      const double value = z[i * channels + c];
      if (!(value * scale[c] + shift[c] > 0)) gradient = 0;
      sum[c] += gradient;
      sum_z[c] += gradient * value;
    }
}

void batch_norm_backward_finalize(const BatchNormBackwardFinalize& spec, const double* sum, const double* sum_z,
                                  const double* gamma, const double* mean, const double* inv_std, double* dgamma,
                                  double* dbeta, double* a, double* b, double* c) {
  const double count = static_cast<double>(spec.count);
  for (int i = 0; i < spec.channels; ++i) {
    dbeta[i] = sum[i];
    dgamma[i] = (sum_z[i] - mean[i] * sum[i]) * inv_std[i];
    a[i] = gamma[i] * inv_std[i];
    b[i] = -a[i] * inv_std[i] * dgamma[i] / count;
    c[i] = -a[i] * dbeta[i] / count - b[i] * mean[i];
  }
}

void batch_norm_backward_apply(int64_t pixels, int channels, const double* g, const double* z, const double* a,
                               const double* b, const double* c, double* dz) {
  for (int64_t i = 0; i < pixels; ++i)
    for (int k = 0; k < channels; ++k)
      dz[i * channels + k] = a[k] * g[i * channels + k] + b[k] * z[i * channels + k] + c[k];
}

}  // namespace sandglass::reference
