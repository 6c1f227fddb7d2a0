// Gradient norm and optimisers on the cuda device: both walk once through all parameters. Limits: arrays of floats
// aligned to 16 bytes, the copies to 8.
#include "kernels/optimizer/optimizer.h"

#include <algorithm>

#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;                 // floats of a 128-bit access
constexpr int64_t kVectorsPerThread = 4;  // as long as there are at most kMostBlocks blocks
constexpr int64_t kMostBlocks = 1024;     // independent of the GPU, so that every GPU adds in the same order

unsigned block_count(size_t count) {
  constexpr int64_t kPerBlock = kThreads * kWidth * kVectorsPerThread;
  return static_cast<unsigned>(
      std::clamp<int64_t>((static_cast<int64_t>(count) + kPerBlock - 1) / kPerBlock, 1, kMostBlocks));
}

// The factor of parameter i's rate.
__device__ __forceinline__ float factor_at(const float* factors, int64_t i) {
  return factors[i / static_cast<int64_t>(kParameterGroup)];
}

// partial[block] = sum of the squares of its share of gradients [count], without frozen ones
__global__ void __launch_bounds__(kThreads)
    sum_of_squares(const float* gradients, const float* factors, int64_t count, double* partial) {
  static_assert(kParameterGroup % kWidth == 0, "a vector belongs to one group");
  double sum = 0;
  const int64_t step = int64_t{gridDim.x} * kThreads * kWidth;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kWidth; i < count; i += step) {
    if (factors && factor_at(factors, i) == 0) continue;
    if (i + kWidth <= count) {
      const auto g = load<kWidth>(gradients + i);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum += double{g.v[j]} * g.v[j];
    } else {
      for (int64_t k = i; k < count; ++k) sum += double{gradients[k]} * gradients[k];
    }
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// norm[0] = root of the sum of partial [blocks], norm[1] = 1 if that is not finite; one block
__global__ void __launch_bounds__(kThreads) gradient_norm(const double* partial, int blocks, float* norm) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kThreads) sum += partial[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x != 0) return;
  norm[0] = static_cast<float>(sqrt(sum));
  // Squares of finite floats are below 2^256, and a double holds 2^768 times as much: only an infinity or a NaN among
  // the gradients makes the sum one.
  norm[1] = sum - sum == 0 ? 0.0f : 1.0f;
}

class GradientNormCuda final : public GradientNorm::Operation {
 public:
  explicit GradientNormCuda(const GradientNorm& spec) : count_(spec.count) {}
  std::string implementation() const override { return "two_stage_double"; }
  size_t workspace_bytes() const override { return block_count(count_) * sizeof(double); }
  void run(const GradientNormArguments& a, Stream stream) override {
    check_aligned(GradientNorm::kName, kWidth, {a.gradients});
    auto* const partial = static_cast<double*>(a.workspace);
    const unsigned blocks = block_count(count_);
    launch(KERNEL(sum_of_squares), blocks, kThreads, 0, stream, a.gradients, a.factors, static_cast<int64_t>(count_),
           partial);
    launch(KERNEL(gradient_norm), 1, kThreads, 0, stream, partial, static_cast<int>(blocks), a.norm);
  }

 private:
  size_t count_;
};

// What a step multiplies with, computed once a block (powers in double are slow) and read by all its threads.
struct StepFactors {
  float gradient;           // of clipping
  float keep1, take1;       // beta1, 1 - beta1
  float keep2, take2;       // alpha or beta2, one minus it
  float rate, root_factor;  // with AdamW's bias corrections
  float decay;              // RMSprop: added to the gradient; AdamW: parameters shrink by rate * decay
  float epsilon;
};

__device__ StepFactors step_factors(bool adamw, const OptimizerRates& rates, float norm) {
  StepFactors f;
  const float limit = rates.clip / (norm + 1e-6f);
  f.gradient = rates.clip > 0 && limit < 1.0f ? limit : 1.0f;
  f.epsilon = rates.epsilon;
  const double second = adamw ? rates.beta2 : rates.alpha;
  f.keep1 = rates.beta1;
  f.take1 = static_cast<float>(1 - double{rates.beta1});
  f.keep2 = static_cast<float>(second);
  f.take2 = static_cast<float>(1 - second);
  f.rate = rates.rate;
  f.root_factor = 1;
  f.decay = rates.decay;
  if (adamw) {
    f.rate = static_cast<float>(rates.rate / (1 - pow(double{rates.beta1}, double(rates.step))));
    f.root_factor = static_cast<float>(1 / sqrt(1 - pow(double{rates.beta2}, double(rates.step))));
    f.decay = static_cast<float>(1 - double{rates.rate} * rates.decay);
  }
  return f;
}

// The same for a group of parameters with its own factor of the rate.
template <bool kAdamW>
__device__ __forceinline__ StepFactors slowed(StepFactors f, float rate_factor) {
  f.rate *= rate_factor;
  if constexpr (kAdamW) f.decay = 1 - rate_factor * (1 - f.decay);
  return f;
}

// One parameter; `m` is unused by RMSprop.
template <bool kAdamW>
__device__ __forceinline__ void update(const StepFactors& f, bool decayed, float gradient, float& p, float& m,
                                       float& v) {
  float g = f.gradient * gradient;
  if constexpr (kAdamW) {
    m = fmaf(f.keep1, m, f.take1 * g);
    v = fmaf(f.keep2, v, f.take2 * g * g);
    p = fmaf(decayed ? f.decay : 1.0f, p, -(f.rate * m / fmaf(sqrtf(v), f.root_factor, f.epsilon)));
  } else {
    if (decayed) g = fmaf(f.decay, p, g);
    v = fmaf(f.keep2, v, f.take2 * g * g);
    p -= f.rate * g / (sqrtf(v) + f.epsilon);
  }
}

// All of parameters, first_moment (AdamW), second_moment [count] in place, from gradients [count] and norm [2]; the
// first `decayed` have weight decay, and are rounded into copies [decayed] unless that is null. kFactors: each group
// has its factor. 4 blocks a multiprocessor: left alone, ptxas aims at more and spills for it.
template <bool kAdamW, bool kFactors>
__global__ void __launch_bounds__(kThreads, 4) optimizer_step(int64_t count, int64_t decayed, OptimizerArguments a) {
  if (a.norm[1] != 0) return;
  SIMT_SHARED(StepFactors, shared_factors, [1]);
  if (threadIdx.x == 0) shared_factors[0] = step_factors(kAdamW, *a.rates, a.norm[0]);
  __syncthreads();
  const StepFactors full = shared_factors[0];
  const int64_t step = int64_t{gridDim.x} * kThreads * kWidth;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kWidth; i < count; i += step) {
    StepFactors f = full;
    if constexpr (kFactors) {
      const float rate_factor = factor_at(a.factors, i);
      if (rate_factor == 0) continue;
      f = slowed<kAdamW>(f, rate_factor);
    }
    if (i + kWidth <= count) {
      const auto g = load<kWidth>(a.gradients + i);
      Channels<kWidth> p = load<kWidth>(a.parameters + i), m = {}, v = load<kWidth>(a.second_moment + i);
      if constexpr (kAdamW) m = load<kWidth>(a.first_moment + i);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) update<kAdamW>(f, i + j < decayed, g.v[j], p.v[j], m.v[j], v.v[j]);
      store(a.parameters + i, p);
      if (a.copies && i + kWidth <= decayed) {
        store(a.copies + i, p);
      } else if (a.copies) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j)
          if (i + j < decayed) a.copies[i + j] = bfloat16(p.v[j]);
      }
      store(a.second_moment + i, v);
      if constexpr (kAdamW) store(a.first_moment + i, m);
    } else {
      for (int64_t k = i; k < count; ++k) {
        float unused = 0;
        update<kAdamW>(f, k < decayed, a.gradients[k], a.parameters[k], kAdamW ? a.first_moment[k] : unused,
                       a.second_moment[k]);
        if (a.copies && k < decayed) a.copies[k] = bfloat16(a.parameters[k]);
      }
    }
  }
}

void optimizer(const Optimizer& spec, const OptimizerArguments& a, Stream stream) {
  const bool adamw = spec.kind == OptimizerKind::adamw;
  check_aligned(Optimizer::kName, kWidth,
                {a.parameters, a.gradients, adamw ? a.first_moment : nullptr, a.second_moment});
  check_aligned(Optimizer::kName, kWidth, {a.copies}, DataType::bfloat16);
  const auto start = [&](const auto& kernel) {
    launch(kernel, block_count(spec.count), kThreads, 0, stream, static_cast<int64_t>(spec.count),
           static_cast<int64_t>(spec.decayed), a);
  };
  if (a.factors)
    start(adamw ? KERNEL(optimizer_step<true, true>) : KERNEL(optimizer_step<false, true>));
  else
    start(adamw ? KERNEL(optimizer_step<true, false>) : KERNEL(optimizer_step<false, false>));
}

}  // namespace

void SANDGLASS_REGISTER(optimizer)() {
  implementations<GradientNorm>()[kTargetDevice] = [](Device&, const GradientNorm& spec) {
    return std::make_unique<GradientNormCuda>(spec);
  };
  register_function<Optimizer>(kTargetDevice, "single_pass", optimizer);
}

}  // namespace sandglass
