// Both operations walk through all parameters in chunks of fixed size, one pass. The norm's sums, one a chunk, are
// added in order at the end, so that they do not depend on which thread took which chunk.
#include <algorithm>
#include <cmath>

#include "kernels/optimizer/optimizer.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr size_t kChunk = 1 << 14;  // parameters: short enough to share evenly, long enough to hide the loop around it

size_t chunk_count(size_t count) { return (count + kChunk - 1) / kChunk; }

class GradientNormCpu final : public Operation<GradientNormArguments> {
 public:
  explicit GradientNormCpu(const GradientNorm& spec) : count_(spec.count) {}
  std::string implementation() const override { return "chunk_sums"; }
  size_t workspace_bytes() const override { return chunk_count(count_) * sizeof(double); }
  void run(const GradientNormArguments& arguments, Stream) override {
    const float* gradients = arguments.gradients;
    auto* sums = static_cast<double*>(arguments.workspace);
#pragma omp parallel for
    for (size_t chunk = 0; chunk < chunk_count(count_); ++chunk) {
      const size_t end = std::min((chunk + 1) * kChunk, count_);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (size_t i = chunk * kChunk; i < end; ++i) sum += double{gradients[i]} * gradients[i];
      sums[chunk] = sum;
    }
    double sum = 0;
    for (size_t chunk = 0; chunk < chunk_count(count_); ++chunk) sum += sums[chunk];
    arguments.norm[0] = static_cast<float>(std::sqrt(sum));
    // Squares of finite floats are below 2^256, and a double holds 2^768 times as much: only an infinity or a NaN among
    // the gradients makes the sum one.
    arguments.norm[1] = std::isfinite(sum) ? 0.0f : 1.0f;
  }

 private:
  size_t count_;
};

float clip_factor(const OptimizerRates& rates, float norm) {
  return rates.clip > 0 ? std::min(1.0f, rates.clip / (norm + 1e-6f)) : 1.0f;
}

// Parameters begin to end, all with the same weight decay.
void rmsprop(const OptimizerArguments& arguments, float decay, size_t begin, size_t end) {
  const OptimizerRates& rates = *arguments.rates;
  const float factor = clip_factor(rates, arguments.norm[0]), rate = rates.rate, epsilon = rates.epsilon;
  const float keep = rates.alpha, take = static_cast<float>(1 - double{rates.alpha});
  float* parameters = arguments.parameters;
  float* second_moment = arguments.second_moment;
  const float* gradients = arguments.gradients;
#pragma omp simd
  for (size_t i = begin; i < end; ++i) {
    const float g = factor * gradients[i] + decay * parameters[i];
    const float v = keep * second_moment[i] + take * g * g;
    second_moment[i] = v;
    parameters[i] -= rate * g / (std::sqrt(v) + epsilon);
  }
}

void adamw(const OptimizerArguments& arguments, float decay, size_t begin, size_t end) {
  const OptimizerRates& rates = *arguments.rates;
  const float factor = clip_factor(rates, arguments.norm[0]), epsilon = rates.epsilon;
  const double beta1 = rates.beta1, beta2 = rates.beta2;
  const float keep1 = rates.beta1, take1 = static_cast<float>(1 - beta1);
  const float keep2 = rates.beta2, take2 = static_cast<float>(1 - beta2);
  const float shrink = static_cast<float>(1 - double{rates.rate} * decay);
  const float rate = static_cast<float>(rates.rate / (1 - std::pow(beta1, rates.step)));
  const float root_factor = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, rates.step)));
  float* parameters = arguments.parameters;
  float* first_moment = arguments.first_moment;
  float* second_moment = arguments.second_moment;
  const float* gradients = arguments.gradients;
#pragma omp simd
  for (size_t i = begin; i < end; ++i) {
    const float g = factor * gradients[i];
    const float m = keep1 * first_moment[i] + take1 * g;
    const float v = keep2 * second_moment[i] + take2 * g * g;
    first_moment[i] = m;
    second_moment[i] = v;
    parameters[i] = shrink * parameters[i] - rate * m / (std::sqrt(v) * root_factor + epsilon);
  }
}

void optimizer_cpu(const Optimizer& spec, const OptimizerArguments& arguments, Stream) {
  if (arguments.norm[1] != 0) return;
  const auto update = spec.kind == OptimizerKind::rmsprop ? rmsprop : adamw;
#pragma omp parallel for
  for (size_t chunk = 0; chunk < chunk_count(spec.count); ++chunk) {
    const size_t begin = chunk * kChunk, end = std::min(begin + kChunk, spec.count);
    const size_t decayed = std::clamp(spec.decayed, begin, end);
    update(arguments, arguments.rates->decay, begin, decayed);
    update(arguments, 0, decayed, end);
    if (arguments.copies)
      for (size_t i = begin; i < decayed; ++i) arguments.copies[i] = bfloat16(arguments.parameters[i]);
  }
}

}  // namespace

void register_optimizer_cpu() {
  implementations<GradientNorm>()[DeviceKind::cpu] = [](Device&, const GradientNorm& spec) {
    return std::make_unique<GradientNormCpu>(spec);
  };
  register_function<Optimizer>(DeviceKind::cpu, "single_pass", optimizer_cpu);
}

}  // namespace sandglass
