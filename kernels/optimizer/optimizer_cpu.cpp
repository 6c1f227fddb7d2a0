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

// Calls body(begin, end, factor) for runs of parameters begin to end with the same factor, but not for frozen ones.
// `begin` is a multiple of kParameterGroup.
template <typename Body>
void for_each_run(const float* factors, size_t begin, size_t end, const Body& body) {
  if (!factors) return body(begin, end, 1.0f);
  while (begin < end) {
    const float factor = factors[begin / kParameterGroup];
    size_t run_end = begin;
    while (run_end < end && factors[run_end / kParameterGroup] == factor) run_end += kParameterGroup;
    run_end = std::min(run_end, end);
    if (factor != 0) body(begin, run_end, factor);
    begin = run_end;
  }
}

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
      double chunk_sum = 0;
      for_each_run(arguments.factors, chunk * kChunk, end, [&](size_t run_begin, size_t run_end, float) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = run_begin; i < run_end; ++i) sum += double{gradients[i]} * gradients[i];
        chunk_sum += sum;
      });
      sums[chunk] = chunk_sum;
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

// Parameters begin to end, all with the same factor of the rate and the same weight decay.
void rmsprop(const OptimizerArguments& arguments, float rate_factor, float decay, size_t begin, size_t end) {
  const OptimizerRates& rates = *arguments.rates;
  const float factor = clip_factor(rates, arguments.norm[0]), rate = rate_factor * rates.rate;
  const float epsilon = rates.epsilon, keep = rates.alpha, take = static_cast<float>(1 - double{rates.alpha});
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

void adamw(const OptimizerArguments& arguments, float rate_factor, float decay, size_t begin, size_t end) {
  const OptimizerRates& rates = *arguments.rates;
  const float factor = clip_factor(rates, arguments.norm[0]), epsilon = rates.epsilon;
  const double beta1 = rates.beta1, beta2 = rates.beta2, full_rate = double{rate_factor} * rates.rate;
  const float keep1 = rates.beta1, take1 = static_cast<float>(1 - beta1);
  const float keep2 = rates.beta2, take2 = static_cast<float>(1 - beta2);
  const float shrink = static_cast<float>(1 - full_rate * decay);
  const float rate = static_cast<float>(full_rate / (1 - std::pow(beta1, rates.step)));
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
    for_each_run(arguments.factors, begin, end, [&](size_t run_begin, size_t run_end, float factor) {
      const size_t decayed = std::clamp(spec.decayed, run_begin, run_end);
      update(arguments, factor, arguments.rates->decay, run_begin, decayed);
      update(arguments, factor, 0, decayed, run_end);
      if (arguments.copies)
        for (size_t i = run_begin; i < decayed; ++i) arguments.copies[i] = bfloat16(arguments.parameters[i]);
    });
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
