// The end of a bottleneck: batch norm of the main branch, addition of the shortcut, ReLU.
//
//   y = relu( z*scale + shift  +  shortcut )                            identity shortcut
//   y = relu( z*scale + shift  +  shortcut*scale2 + shift2 )            shortcut with its own convolution and batch
//   norm
// Backward, for dy:
//   g = y > 0 ? dy : 0, the gradient of both summands;  sum = sum g,  sum_z = sum g*z,  sum_shortcut = sum g*shortcut
#pragma once

#include "kernels/operation.h"

namespace sandglass {

struct ResidualForwardArguments {
  const void* z = nullptr;
  const float* scale = nullptr;  ///< [C]
  const float* shift = nullptr;  ///< [C]
  const void* shortcut = nullptr;
  const float* shortcut_scale = nullptr;  ///< [C], if spec.shortcut_transform
  const float* shortcut_shift = nullptr;  ///< [C], if spec.shortcut_transform
  void* y = nullptr;                      ///< may be z or shortcut
};

struct ResidualForward {
  using Arguments = ResidualForwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "residual_forward";
  TensorDesc z;  ///< layout of all feature maps
  bool shortcut_transform = false;
  std::vector<TensorDesc> maps() const { return {z}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct ResidualBackwardArguments {
  const void* dy = nullptr;
  const void* y = nullptr;         ///< result of the forward pass
  const void* z = nullptr;         ///< as in the forward pass
  const void* shortcut = nullptr;  ///< as in the forward pass, if spec.shortcut_transform
  void* g = nullptr;               ///< may be dy
  double* sum = nullptr;           ///< [C]
  double* sum_z = nullptr;         ///< [C]
  double* sum_shortcut = nullptr;  ///< [C], if spec.shortcut_transform
};

struct ResidualBackward {
  using Arguments = ResidualBackwardArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "residual_backward";
  TensorDesc z;
  bool shortcut_transform = false;
  std::vector<TensorDesc> maps() const { return {z}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// float64 loops over plain arrays of `pixels` rows of `channels`; null scale2: identity shortcut. For tests only.
namespace reference {
void residual_forward(int64_t pixels, int channels, const double* z, const double* scale, const double* shift,
                      const double* shortcut, const double* scale2, const double* shift2, double* y);
void residual_backward(int64_t pixels, int channels, const double* dy, const double* y, const double* z,
                       const double* shortcut, double* g, double* sum, double* sum_z, double* sum_shortcut);
}  // namespace reference

}  // namespace sandglass
