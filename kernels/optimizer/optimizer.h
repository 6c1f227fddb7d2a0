// Optimisers over all parameters at once, gradient norm and non-finite detection.
//
// RMSprop (Tieleman & Hinton 2012, as PyTorch has it; decay is L2, added to the gradient):
//   g = g + decay * p;   v = alpha * v + (1 - alpha) * g^2;   p = p - rate * g / (sqrt(v) + eps)
// AdamW (Loshchilov & Hutter, arXiv 1711.05101; decay is decoupled), for step t = 1, 2, ...:
//   p = p - rate * decay * p;   m = beta1 * m + (1 - beta1) * g;   v = beta2 * v + (1 - beta2) * g^2
//   p = p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
// In both g is first multiplied by min(1, clip / (norm + 1e-6)) if clip > 0 (PyTorch's clip_grad_norm_), and nothing at
// all is changed where the gradient has an element that is not finite.
//
// `factors`, if given, has a number for each group of kParameterGroup parameters, which multiplies their rate. Where it
// is 0 the group is frozen: its parameters, moments and copies keep their bits, and its gradients count for nothing.
#pragma once

#include "engine/bfloat16.h"
#include "kernels/operation.h"

namespace sandglass {

constexpr size_t kParameterGroup = 16;
/// Elements of `factors` for `count` parameters.
constexpr size_t parameter_groups(size_t count) { return (count + kParameterGroup - 1) / kParameterGroup; }

struct GradientNormArguments {
  const float* gradients = nullptr;  ///< [count]
  float* norm = nullptr;             ///< [2]: Euclidean norm of all elements; 1 if one is not finite, else 0
  void* workspace = nullptr;
  const float* factors = nullptr;  ///< [parameter_groups(count)], from 0; null: all 1
};

struct GradientNorm {
  using Arguments = GradientNormArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "gradient_norm";
  size_t count = 0;
  void check() const;
  Cost cost() const;
  std::string text() const;
};

enum class OptimizerKind { rmsprop, adamw };

/// What may change from step to step. Lies in device memory, so that a captured graph reads the current values.
struct OptimizerRates {
  float rate = 1e-4f;                  ///< learning rate
  float decay = 0;                     ///< weight decay
  float clip = 0;                      ///< largest gradient norm; 0: no limit
  float alpha = 0.99f;                 ///< RMSprop
  float beta1 = 0.9f, beta2 = 0.999f;  ///< AdamW
  float epsilon = 1e-8f;
  int32_t step = 1;  ///< t, from 1
};

struct OptimizerArguments {
  float* parameters = nullptr;       ///< [count]
  const float* gradients = nullptr;  ///< [count]
  float* first_moment = nullptr;     ///< [count], m; unused by RMSprop
  float* second_moment = nullptr;    ///< [count], v
  const float* norm = nullptr;       ///< [2], from GradientNorm
  const OptimizerRates* rates = nullptr;
  bfloat16* copies = nullptr;      ///< [decayed], the updated parameters rounded to bfloat16; null: none
  const float* factors = nullptr;  ///< [parameter_groups(count)], from 0; null: all 1
};

struct Optimizer {
  using Arguments = OptimizerArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "optimizer";
  OptimizerKind kind = OptimizerKind::rmsprop;
  size_t count = 0;
  size_t decayed = 0;  ///< the first `decayed` parameters (convolution weights) have weight decay, the others none
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// float64 loops; `step` as in OptimizerRates; factors may be null. For tests only.
namespace reference {
void optimizer(const Optimizer& spec, const OptimizerRates& rates, const float* factors, double norm,
               double* parameters, const double* gradients, double* first_moment, double* second_moment);
}  // namespace reference

}  // namespace sandglass
