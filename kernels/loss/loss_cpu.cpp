// Each row of each channel block has its own sum, in double; the sums are added in order at the end, so that the loss
// does not depend on which thread took which row.
#include <algorithm>
#include <cmath>

#include "kernels/heatmap/heatmap_cpu.h"
#include "kernels/loss/loss.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kTile = 64;  // pixels of a row whose target is on the stack at a time

size_t row_count(const TensorDesc& desc) { return static_cast<size_t>(desc.shape.n) * desc.blocks() * desc.shape.h; }

bool is_coded(const float* intensities, size_t map) { return !intensities || intensities[map] >= 0; }

// What a pixel adds: `value` to the sum, `scale * slope` to the gradient's 2 / count, so that l2's slope is d itself.
struct Term {
  double value;
  float slope;  // half of f'
};

struct L2 {
  Term operator()(float d, float) const { return {double{d} * d, d}; }
};

struct Huber {
  float delta;
  Term operator()(float d, float) const {
    const float limited = std::clamp(d, -delta, delta);
    return {double{limited} * (2 * double{d} - limited), limited};
  }
};

struct AdaptiveWing {
  Term operator()(float d, float target) const {
    constexpr double kTheta = LossSpec::kTheta, kOmega = LossSpec::kOmega, kEpsilon = LossSpec::kEpsilon;
    constexpr double kLargest = LossSpec::kLargestIntensity;
    const double e = std::abs(double{d}) / kLargest, p = double{LossSpec::kAlpha} - target / kLargest;
    const bool near = !(e >= kTheta);  // also where the prediction is no number
    const double power = std::pow((near ? e : kTheta) / kEpsilon, p);
    const double slope = e > 0 ? kOmega * p * power / ((near ? e : kTheta) * (1 + power)) : 0;
    const double value = kOmega * std::log1p(power);
    return {near ? value : value + slope * (e - kTheta), std::copysign(static_cast<float>(slope / (2 * kLargest)), d)};
  }
};

// Calls compute(function) with the loss's function.
template <typename Compute>
void with_function(const LossSpec& spec, const Compute& compute) {
  switch (spec.function) {
    case LossFunction::l2:
      return compute(L2());
    case LossFunction::huber:
      return compute(Huber{spec.delta});
    case LossFunction::adaptive_wing:
      return compute(AdaptiveWing());
  }
}

// What every loss reads and writes besides its target.
struct LossPass {
  const TensorDesc& desc;
  const float *y, *intensities, *weights;
  float *dy, *loss;
  double* row_sums;
};

// target_row(n, k, v, first, count, target): the target of map (n, k) at pixels first... of row v.
template <typename Function, typename TargetRow>
void pixel_loss_cpu(const LossPass& a, const Function& function, const TargetRow& target_row) {
  const TensorDesc& desc = a.desc;
  const Shape& s = desc.shape;
  const size_t maps = static_cast<size_t>(s.n) * s.c;
  size_t coded_maps = 0;
  for (size_t map = 0; map < maps; ++map) coded_maps += is_coded(a.intensities, map);
  const double count = double(coded_maps) * s.h * s.w;
  const float scale = static_cast<float>(2 / std::max(count, 1.0));

  const auto channel_row = [&](int n, int k, int v) {
    const size_t map = static_cast<size_t>(n) * s.c + k;
    const bool coded = k < s.c && is_coded(a.intensities, map);
    const bool weighted = coded && a.weights && a.intensities;
    const float weight = weighted ? a.weights[k * kIntensityLevels + intensity_level(a.intensities[map])] : 1.0f;
    const float map_scale = weight * scale;
    double sum = 0;
    for (int first = 0; first < s.w; first += kTile) {
      const int pixels = std::min(kTile, s.w - first);
      const size_t begin = desc.index(n, v, first, k);
      if (coded) {
        float target[kTile];
        target_row(n, k, v, first, pixels, target);
        for (int i = 0; i < pixels; ++i) {
          const size_t at = begin + static_cast<size_t>(i) * desc.block;
          const Term term = function(a.y[at] - target[i], target[i]);
          sum += term.value;
          if (a.dy) a.dy[at] = map_scale * term.slope;
        }
      } else if (a.dy) {
        for (int i = 0; i < pixels; ++i) a.dy[begin + static_cast<size_t>(i) * desc.block] = 0;
      }
    }
    return weight * sum;
  };

#pragma omp parallel for collapse(3)
  for (int n = 0; n < s.n; ++n)
    for (int b = 0; b < desc.blocks(); ++b)
      for (int v = 0; v < s.h; ++v) {
        double sum = 0;
        for (int k = b * desc.block; k < (b + 1) * desc.block; ++k) sum += channel_row(n, k, v);
        a.row_sums[(static_cast<size_t>(n) * desc.blocks() + b) * s.h + v] = sum;
      }

  double sum = 0;
  for (size_t row = 0; row < row_count(desc); ++row) sum += a.row_sums[row];
  *a.loss = coded_maps ? static_cast<float>(sum / count) : 0.0f;
}

class HeatmapLossCpu final : public Operation<HeatmapLossArguments> {
 public:
  explicit HeatmapLossCpu(const HeatmapLoss& spec) : spec_(spec) {}
  std::string implementation() const override { return "gaussian_spans"; }
  size_t workspace_bytes() const override { return row_count(spec_.y) * sizeof(double); }
  void run(const HeatmapLossArguments& arguments, Stream) override {
    const auto target_row = [&](int n, int k, int v, int first, int count, float* target) {
      const size_t map = static_cast<size_t>(n) * spec_.y.shape.c + k;
      heatmap_row(spec_.heatmap, arguments.labels.intensities[map],
                  arguments.labels.points + map * spec_.heatmap.points_per_map * 2, v, first, count, target);
    };
    const LossPass pass{spec_.y,
                        arguments.y,
                        arguments.labels.intensities,
                        arguments.weights,
                        f32(arguments.dy),
                        arguments.loss,
                        static_cast<double*>(arguments.workspace)};
    with_function(spec_.loss, [&](const auto& function) { pixel_loss_cpu(pass, function, target_row); });
  }

 private:
  HeatmapLoss spec_;
};

class PixelLossCpu final : public Operation<PixelLossArguments> {
 public:
  explicit PixelLossCpu(const PixelLoss& spec) : spec_(spec) {}
  std::string implementation() const override { return "row_sums"; }
  size_t workspace_bytes() const override { return row_count(spec_.y) * sizeof(double); }
  void run(const PixelLossArguments& arguments, Stream) override {
    const auto target_row = [&](int n, int k, int v, int first, int count, float* target) {
      if (!arguments.target) {
        std::fill_n(target, count, arguments.intensities[static_cast<size_t>(n) * spec_.y.shape.c + k]);
        return;
      }
      const float* row = arguments.target + spec_.y.index(n, v, first, k);
      for (int i = 0; i < count; ++i) target[i] = row[static_cast<size_t>(i) * spec_.y.block];
    };
    const LossPass pass{spec_.y,
                        arguments.y,
                        arguments.intensities,
                        arguments.weights,
                        f32(arguments.dy),
                        arguments.loss,
                        static_cast<double*>(arguments.workspace)};
    with_function(spec_.loss, [&](const auto& function) { pixel_loss_cpu(pass, function, target_row); });
  }

 private:
  PixelLoss spec_;
};

}  // namespace

void register_loss_cpu() {
  implementations<HeatmapLoss>()[DeviceKind::cpu] = [](Device&, const HeatmapLoss& spec) {
    return std::make_unique<HeatmapLossCpu>(spec);
  };
  implementations<PixelLoss>()[DeviceKind::cpu] = [](Device&, const PixelLoss& spec) {
    return std::make_unique<PixelLossCpu>(spec);
  };
}

}  // namespace sandglass
