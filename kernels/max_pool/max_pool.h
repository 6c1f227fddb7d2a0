// Max pooling over 2x2 windows with stride 2; an odd last row or column is left out, as PyTorch does.
//
//   y[n,p,q,c] = max over i,j in {0,1} of x[n, 2p+i, 2q+j, c],   argmax[n,p,q,c] = 2i + j of the first maximum
//   backward:  dx[n, 2p+i, 2q+j, c] (+)= (argmax[n,p,q,c] == 2i + j) ? dy[n,p,q,c] : 0
#pragma once

#include "kernels/operation.h"

namespace sandglass {

/// The pooled shape: N x H/2 x W/2 x C.
inline Shape pooled(const Shape& x) { return {x.n, x.h / 2, x.w / 2, x.c}; }

struct MaxPoolForwardArguments {
  const void* x = nullptr;
  void* y = nullptr;
  uint8_t* argmax = nullptr;  ///< layout of y; null where no backward pass follows
};

struct MaxPoolForward {
  using Arguments = MaxPoolForwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "max_pool_forward";
  TensorDesc x, y;  ///< same block; y.shape == pooled(x.shape); H, W >= 2
  std::vector<TensorDesc> maps() const { return {x, y}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct MaxPoolBackwardArguments {
  const void* dy = nullptr;
  const uint8_t* argmax = nullptr;
  void* dx = nullptr;
};

struct MaxPoolBackward {
  using Arguments = MaxPoolBackwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "max_pool_backward";
  TensorDesc dx, dy;
  bool accumulate = false;  ///< add to dx instead of overwriting it
  std::vector<TensorDesc> maps() const { return {dx, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// float64 loops over plain NHWC arrays; for tests only.
namespace reference {
void max_pool_forward(const Shape& x_shape, const double* x, double* y, uint8_t* argmax);
/// Adds to dx.
void max_pool_backward(const Shape& x_shape, const double* dy, const uint8_t* argmax, double* dx);
}  // namespace reference

}  // namespace sandglass
