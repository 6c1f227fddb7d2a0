// Pixel-wise losses and their gradients on the cuda device: one pass over the prediction, in which each block leaves
// its sum, and a small kernel that adds the blocks' sums, always in the same order. Limits: plain NHWC, at most 65535
// pictures of 2^30 pixels.
#include "kernels/loss/loss.h"

#include "engine/bfloat16.h"
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/map_pass.h"
#include "kernels/heatmap/heatmap_cuda.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kThreads = 256, kPixelsPerThread = 4;

// What the pass reads and writes; `target` is null where the targets are drawn from the labels or are the intensities.
struct LossPass {
  const float* y;
  const float* target;
  HeatmapLabels labels;
  const float* weights;  // null: all 1
  void* dy;              // null: no gradient
  double* partial;       // [blocks]
  float delta = 1;       // of huber
};

__device__ __forceinline__ bool is_coded(const float* intensities, int64_t map) {
  return !intensities || intensities[map] >= 0;
}

// Number of coded maps of all N x K; every block counts them again, since the gradient is divided by it.
__device__ double coded_maps(const float* intensities, int64_t maps) {
  if (!intensities) return static_cast<double>(maps);
  double count = 0;
  for (int64_t map = threadIdx.x; map < maps; map += kThreads) count += is_coded(intensities, map) ? 1 : 0;
  return block_sum<kThreads>(count);
}

// A pixel's f, and half of f', for d = y - target.
struct Term {
  double value;
  float slope;
};

template <LossFunction kFunction>
__device__ __forceinline__ Term loss_term(float d, float target, float delta) {
  if constexpr (kFunction == LossFunction::l2) {
    return {double{d} * d, d};
  } else if constexpr (kFunction == LossFunction::huber) {
    const float limited = fminf(fmaxf(d, -delta), delta);
    return {double{limited} * (2 * double{d} - limited), limited};
  } else {
    // In float: near 0 both grow with a power of e, so that their relative errors stay small.
    constexpr float kTheta = LossSpec::kTheta, kOmega = LossSpec::kOmega, kEpsilon = LossSpec::kEpsilon;
    constexpr float kLargest = LossSpec::kLargestIntensity;
    const float e = fabsf(d) / kLargest, p = LossSpec::kAlpha - target / kLargest;
    const bool far = e >= kTheta;  // false where the prediction is no number
    const float at = far ? kTheta : e, power = powf(at / kEpsilon, p);
    const float slope = at > 0 ? kOmega * p * power / (at * (1 + power)) : 0;
    const double value = kOmega * log1pf(power);
    return {far ? value + double{slope} * (e - kTheta) : value, copysignf(slope / (2 * kLargest), d)};
  }
}

// partial[block] = the block's sum of w * f, dy = w * f' / count; y, target, dy: N x H x W x K. The gradient of maps
// that are not coded is 0. y and target are float, dy is Gradient: float or bfloat16. Without kWeighted all w are 1,
// which spares a register.
template <LossFunction kFunction, typename Gradient, bool kDrawn, bool kWeighted>
__global__ void __launch_bounds__(kThreads)
    pixel_loss_pass(int64_t maps, MapSizes sizes, GaussianSizes gaussian_sizes, LossPass a) {
  const double count = coded_maps(a.labels.intensities, maps) * sizes.pixels;
  const float scale = static_cast<float>(2 / (count > 0 ? count : 1));
  const MapThread thread = map_thread<kThreads>(sizes);
  double sum = 0;
  if (thread.active) {
    const bool coded = is_coded(a.labels.intensities, thread.map);
    float weight = 1;
    if (kWeighted && coded && a.weights && a.labels.intensities)
      weight = a.weights[thread.map % sizes.maps_per_picture * kIntensityLevels +
                         intensity_level(a.labels.intensities[thread.map])];
    const float map_scale = weight * scale;
    Gaussians map = {};
    if constexpr (kDrawn) map = gaussians(gaussian_sizes, a.labels, thread.map);
    for (int pixel = thread.first_pixel; pixel < sizes.pixels; pixel += thread.pixel_step) {
      const int64_t at = thread.element(pixel);
      Term term = {0, 0};
      if (coded) {
        float target;
        if constexpr (kDrawn)
          target = target_value(map, pixel % sizes.width, pixel / sizes.width);
        else
          target = a.target ? a.target[at] : a.labels.intensities[thread.map];
        term = loss_term<kFunction>(a.y[at] - target, target, a.delta);
      }
      sum += term.value;
      if (a.dy) static_cast<Gradient*>(a.dy)[at] = static_cast<Gradient>(map_scale * term.slope);
    }
    if constexpr (kWeighted) sum *= weight;
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) a.partial[(int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = sum;
}

// loss = sum of partial [blocks] / count; one block.
__global__ void __launch_bounds__(kThreads)
    pixel_loss_finish(const double* partial, int64_t blocks, const float* intensities, int64_t maps, int pixels,
                      float* loss) {
  const double count = coded_maps(intensities, maps) * pixels;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += kThreads) sum += partial[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = count > 0 ? static_cast<float>(sum / count) : 0.0f;
}

// Calls launch_instance.operator()<kFunction>() with the loss's function.
template <typename LaunchInstance>
void with_function(LossFunction function, const LaunchInstance& launch_instance) {
  switch (function) {
    case LossFunction::l2:
      return launch_instance.template operator()<LossFunction::l2>();
    case LossFunction::huber:
      return launch_instance.template operator()<LossFunction::huber>();
    case LossFunction::adaptive_wing:
      return launch_instance.template operator()<LossFunction::adaptive_wing>();
  }
}

// Both losses over maps of one shape.
class TwoStageLoss {
 public:
  TwoStageLoss(const char* operation, const TensorDesc& y, const TensorDesc& dy, const LossSpec& spec)
      : shape_(y.shape),
        gradient_(dy.type),
        spec_(spec),
        grid_(map_pass(operation, shape_, kThreads, kPixelsPerThread)) {
    check_nhwc(operation, "y", y);
  }
  size_t workspace_bytes() const { return sizeof(double) * blocks(); }

  template <bool kDrawn>
  void run(const GaussianSizes& sizes, LossPass pass, float* loss, Stream stream) const {
    pass.delta = spec_.delta;
    const int64_t maps = int64_t{shape_.n} * shape_.c;
    with_function(spec_.function, [&]<LossFunction kFunction>() {
      with_type(gradient_, [&]<typename Gradient>() {
        const auto start = [&](const auto& kernel) {
          launch(kernel, grid_, kThreads, 0, stream, maps, map_sizes(shape_), sizes, pass);
        };
        if (kDrawn && !pass.weights)  // where the targets are there one instance does for both
          start(KERNEL(pixel_loss_pass<kFunction, Gradient, kDrawn, !kDrawn>));
        else
          start(KERNEL(pixel_loss_pass<kFunction, Gradient, kDrawn, true>));
      });
    });
    launch(KERNEL(pixel_loss_finish), 1, kThreads, 0, stream, pass.partial, blocks(), pass.labels.intensities, maps,
           shape_.h * shape_.w, loss);
  }

 private:
  int64_t blocks() const { return int64_t{grid_.x} * grid_.y * grid_.z; }
  Shape shape_;
  DataType gradient_;
  LossSpec spec_;
  dim3 grid_;
};

class HeatmapLossCuda final : public HeatmapLoss::Operation {
 public:
  explicit HeatmapLossCuda(const HeatmapLoss& spec)
      : sizes_(gaussian_sizes(spec.heatmap)), loss_(HeatmapLoss::kName, spec.y, spec.dy, spec.loss) {}
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  size_t workspace_bytes() const override { return loss_.workspace_bytes(); }
  void run(const HeatmapLossArguments& a, Stream stream) override {
    loss_.run<true>(sizes_, {a.y, nullptr, a.labels, a.weights, a.dy, static_cast<double*>(a.workspace)}, a.loss,
                    stream);
  }

 private:
  GaussianSizes sizes_;
  TwoStageLoss loss_;
};

class PixelLossCuda final : public PixelLoss::Operation {
 public:
  explicit PixelLossCuda(const PixelLoss& spec) : loss_(PixelLoss::kName, spec.y, spec.dy, spec.loss) {}
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  size_t workspace_bytes() const override { return loss_.workspace_bytes(); }
  void run(const PixelLossArguments& a, Stream stream) override {
    loss_.run<false>({}, {a.y, a.target, {a.intensities, nullptr}, a.weights, a.dy, static_cast<double*>(a.workspace)},
                     a.loss, stream);
  }

 private:
  TwoStageLoss loss_;
};

}  // namespace

void SANDGLASS_REGISTER(loss)() {
  implementations<HeatmapLoss>()[kTargetDevice] = [](Device&, const HeatmapLoss& spec) {
    return std::make_unique<HeatmapLossCuda>(spec);
  };
  implementations<PixelLoss>()[kTargetDevice] = [](Device&, const PixelLoss& spec) {
    return std::make_unique<PixelLossCuda>(spec);
  };
}

}  // namespace sandglass
