// Batch norm in pieces, so that its passes over feature maps fuse with their neighbours (Ioffe & Szegedy, arXiv
// 1502.03167; conventions of PyTorch's BatchNorm2d).
//
//   mean = sum z / M,  var = sum z^2 / M - mean^2 (biased),  inv_std = 1 / sqrt(var + eps),  M = N * H * W
//   y = z * scale + shift  with  scale = gamma * inv_std,  shift = beta - mean * scale
//   running = (1 - momentum) * running + momentum * batch   (of the variance: the unbiased one, M / (M - 1))
// Backward, for g = dL/dy:
//   dbeta = sum g,  dgamma = sum g * (z - mean) * inv_std
//   dz = gamma * inv_std * (g - dbeta / M - (z - mean) * inv_std * dgamma / M)  =  a * g + b * z + c   per channel
#pragma once

#include "engine/batch_norm_epsilon.h"
#include "kernels/operation.h"

namespace sandglass {

struct BatchNormFinalizeArguments {
  const double* sum = nullptr;          ///< [C] of z, as the producing operation left it
  const double* sum_squares = nullptr;  ///< [C]
  const float* gamma = nullptr;         ///< [C]
  const float* beta = nullptr;          ///< [C]
  float* running_mean = nullptr;        ///< [C], updated in place
  float* running_var = nullptr;         ///< [C], updated in place
  float* mean = nullptr;                ///< [C]
  float* inv_std = nullptr;             ///< [C]
  float* scale = nullptr;               ///< [C]
  float* shift = nullptr;               ///< [C]
};

/// From the statistics of one batch to scale and shift.
struct BatchNormFinalize {
  using Arguments = BatchNormFinalizeArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "batch_norm_finalize";
  int channels = 0;
  int64_t count = 0;  ///< M, elements per channel; at least 2
  float epsilon = kBatchNormEpsilon, momentum = 0.1f;
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct BatchNormApplyArguments {
  const void* z = nullptr;
  const float* scale = nullptr;  ///< [C]
  const float* shift = nullptr;  ///< [C]
  void* y = nullptr;             ///< may be z
};

/// y = relu?(z * scale + shift)
struct BatchNormApply {
  using Arguments = BatchNormApplyArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "batch_norm_apply";
  TensorDesc z;
  bool relu = false;
  std::vector<TensorDesc> maps() const { return {z}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct BatchNormBackwardReduceArguments {
  void* g = nullptr;             ///< dL/d relu(z * scale + shift); masked in place
  const void* z = nullptr;       ///< layout of g
  const float* scale = nullptr;  ///< [C]
  const float* shift = nullptr;  ///< [C]
  double* sum = nullptr;         ///< [C], sum of g
  double* sum_z = nullptr;       ///< [C], sum of g * z
};

/// g = z*scale + shift > 0 ? g : 0 and both reductions; the same as ConvBackwardData's mask, as a pass of its own.
struct BatchNormBackwardReduce {
  using Arguments = BatchNormBackwardReduceArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "batch_norm_backward_reduce";
  TensorDesc z;
  std::vector<TensorDesc> maps() const { return {z}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct BatchNormBackwardFinalizeArguments {
  const double* sum = nullptr;     ///< [C], sum of g
  const double* sum_z = nullptr;   ///< [C], sum of g * z
  const float* gamma = nullptr;    ///< [C]
  const float* mean = nullptr;     ///< [C]
  const float* inv_std = nullptr;  ///< [C]
  float* dgamma = nullptr;         ///< [C]
  float* dbeta = nullptr;          ///< [C]
  float* a = nullptr;              ///< [C]
  float* b = nullptr;              ///< [C]
  float* c = nullptr;              ///< [C]
};

/// From the reductions to the parameters' gradients and the coefficients of dz.
struct BatchNormBackwardFinalize {
  using Arguments = BatchNormBackwardFinalizeArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "batch_norm_backward_finalize";
  int channels = 0;
  int64_t count = 0;  ///< M
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct BatchNormBackwardApplyArguments {
  const void* g = nullptr;
  const void* z = nullptr;
  const float* a = nullptr;  ///< [C]
  const float* b = nullptr;  ///< [C]
  const float* c = nullptr;  ///< [C]
  void* dz = nullptr;        ///< may be g
};

/// dz = a * g + b * z + c
struct BatchNormBackwardApply {
  using Arguments = BatchNormBackwardApplyArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "batch_norm_backward_apply";
  TensorDesc z;
  std::vector<TensorDesc> maps() const { return {z}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// float64 loops over plain arrays of `pixels` rows of `channels`; for tests only.
namespace reference {
void batch_norm_finalize(const BatchNormFinalize& spec, const double* sum, const double* sum_squares,
                         const double* gamma, const double* beta, double* running_mean, double* running_var,
                         double* mean, double* inv_std, double* scale, double* shift);
void batch_norm_apply(int64_t pixels, int channels, const double* z, const double* scale, const double* shift,
                      bool relu, double* y);
void batch_norm_backward_reduce(int64_t pixels, int channels, double* g, const double* z, const double* scale,
                                const double* shift, double* sum, double* sum_z);
void batch_norm_backward_finalize(const BatchNormBackwardFinalize& spec, const double* sum, const double* sum_z,
                                  const double* gamma, const double* mean, const double* inv_std, double* dgamma,
                                  double* dbeta, double* a, double* b, double* c);
void batch_norm_backward_apply(int64_t pixels, int channels, const double* g, const double* z, const double* a,
                               const double* b, const double* c, double* dz);
}  // namespace reference

}  // namespace sandglass
