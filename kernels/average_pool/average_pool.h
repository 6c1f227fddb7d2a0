// Global average pooling: each channel's mean over a picture.
//
//   forward    y[n,0,0,c] = (sum over h,w of x[n,h,w,c]) / (H * W)
//   backward   dx[n,h,w,c] = dy[n,0,0,c] / (H * W)
#pragma once

#include "kernels/operation.h"

namespace sandglass {

/// The pooled shape: N x 1 x 1 x C.
inline Shape globally_pooled(const Shape& x) { return {x.n, 1, 1, x.c}; }

struct AveragePoolForwardArguments {
  const void* x = nullptr;
  void* y = nullptr;
};

struct AveragePoolForward {
  using Arguments = AveragePoolForwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "average_pool_forward";
  TensorDesc x, y;  ///< same block; y.shape == globally_pooled(x.shape)
  std::vector<TensorDesc> maps() const { return {x, y}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct AveragePoolBackwardArguments {
  const void* dy = nullptr;
  void* dx = nullptr;
};

struct AveragePoolBackward {
  using Arguments = AveragePoolBackwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "average_pool_backward";
  TensorDesc dx, dy;
  std::vector<TensorDesc> maps() const { return {dx, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// float64 loops over plain NHWC arrays; for tests only.
namespace reference {
void average_pool_forward(const Shape& x_shape, const double* x, double* y);
void average_pool_backward(const Shape& x_shape, const double* dy, double* dx);
}  // namespace reference

}  // namespace sandglass
