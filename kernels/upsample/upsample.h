// Nearest-neighbour upsampling by 2, added to the skip branch: the widening half of an hourglass.
//
//   y[n,h,w,c] = skip[n,h,w,c] + low[n, h/2, w/2, c]
//   backward:  dlow[n,h,w,c] = dy[n,2h,2w,c] + dy[n,2h,2w+1,c] + dy[n,2h+1,2w,c] + dy[n,2h+1,2w+1,c];  dskip = dy
#pragma once

#include "kernels/operation.h"

namespace sandglass {

struct UpsampleAddForwardArguments {
  const void* low = nullptr;   ///< N x H/2 x W/2 x C
  const void* skip = nullptr;  ///< N x H x W x C
  void* y = nullptr;           ///< may be skip
};

struct UpsampleAddForward {
  using Arguments = UpsampleAddForwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "upsample_add_forward";
  TensorDesc low, y;  ///< same block; H and W of y are twice those of low
  std::vector<TensorDesc> maps() const { return {low, y}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct UpsampleBackwardArguments {
  const void* dy = nullptr;
  void* dlow = nullptr;
};

struct UpsampleBackward {
  using Arguments = UpsampleBackwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "upsample_backward";
  TensorDesc dlow, dy;
  std::vector<TensorDesc> maps() const { return {dlow, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// float64 loops over plain NHWC arrays; for tests only. `y_shape` is the large shape.
namespace reference {
void upsample_add_forward(const Shape& y_shape, const double* low, const double* skip, double* y);
void upsample_backward(const Shape& y_shape, const double* dy, double* dlow);
}  // namespace reference

}  // namespace sandglass
