// L2 loss and its gradient on the cuda device: one pass over the prediction, in which each block leaves its sum of
// squares, and a small kernel that adds the blocks' sums, always in the same order. Limits: plain NHWC, at most 65535
// pictures of 2^30 pixels.
#include "kernels/loss/loss.h"

#include "engine/bfloat16.h"
#include "kernels/cuda/block_sum.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/map_pass.h"
#include "kernels/heatmap/heatmap_cuda.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kThreads = 256, kPixelsPerThread = 4;

// What the pass reads and writes; `target` is null where the targets are drawn from the labels.
struct LossPass {
  const float* y;
  const float* target;
  HeatmapLabels labels;
  void* dy;         // null: no gradient
  double* partial;  // [blocks]
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

// dy = 2 * (y - target) / count, partial[block] = the block's sum of (y - target)^2; y, target, dy: N x H x W x K. The
// gradient of maps that are not coded is 0. y and target are float, dy is Gradient: float or bfloat16.
template <typename Gradient, bool kDrawn>
__global__ void __launch_bounds__(kThreads)
    l2_loss_pass(int64_t maps, MapSizes sizes, GaussianSizes gaussian_sizes, LossPass a) {
  const double count = coded_maps(a.labels.intensities, maps) * sizes.pixels;
  const float scale = static_cast<float>(2 / (count > 0 ? count : 1));
  const MapThread thread = map_thread<kThreads>(sizes);
  double sum = 0;
  if (thread.active) {
    const bool coded = is_coded(a.labels.intensities, thread.map);
    Gaussians map = {};
    if constexpr (kDrawn) map = gaussians(gaussian_sizes, a.labels, thread.map);
    for (int pixel = thread.first_pixel; pixel < sizes.pixels; pixel += thread.pixel_step) {
      const int64_t at = thread.element(pixel);
      float difference = 0;
      if (coded)
        difference = a.y[at] - (kDrawn ? target_value(map, pixel % sizes.width, pixel / sizes.width) : a.target[at]);
      sum += double{difference} * difference;
      if (a.dy) static_cast<Gradient*>(a.dy)[at] = static_cast<Gradient>(scale * difference);
    }
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) a.partial[(int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = sum;
}

// loss = sum of partial [blocks] / count; one block.
__global__ void __launch_bounds__(kThreads)
    l2_loss_finish(const double* partial, int64_t blocks, const float* intensities, int64_t maps, int pixels,
                   float* loss) {
  const double count = coded_maps(intensities, maps) * pixels;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < blocks; i += kThreads) sum += partial[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = count > 0 ? static_cast<float>(sum / count) : 0.0f;
}

// Both losses over maps of one shape.
class TwoStageLoss {
 public:
  TwoStageLoss(const char* operation, const TensorDesc& y, const TensorDesc& dy)
      : shape_(y.shape), gradient_(dy.type), grid_(map_pass(operation, shape_, kThreads, kPixelsPerThread)) {
    check_nhwc(operation, "y", y);
  }
  size_t workspace_bytes() const { return sizeof(double) * blocks(); }

  template <bool kDrawn>
  void run(const GaussianSizes& sizes, const LossPass& pass, float* loss, Stream stream) const {
    const int64_t maps = int64_t{shape_.n} * shape_.c;
    launch(
        gradient_ == DataType::bfloat16 ? KERNEL(l2_loss_pass<bfloat16, kDrawn>) : KERNEL(l2_loss_pass<float, kDrawn>),
        grid_, kThreads, 0, stream, maps, map_sizes(shape_), sizes, pass);
    launch(KERNEL(l2_loss_finish), 1, kThreads, 0, stream, pass.partial, blocks(), pass.labels.intensities, maps,
           shape_.h * shape_.w, loss);
  }

 private:
  int64_t blocks() const { return int64_t{grid_.x} * grid_.y * grid_.z; }
  Shape shape_;
  DataType gradient_;
  dim3 grid_;
};

class HeatmapLossCuda final : public HeatmapLoss::Operation {
 public:
  explicit HeatmapLossCuda(const HeatmapLoss& spec)
      : sizes_(gaussian_sizes(spec.heatmap)), loss_(HeatmapLoss::kName, spec.y, spec.dy) {}
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  size_t workspace_bytes() const override { return loss_.workspace_bytes(); }
  void run(const HeatmapLossArguments& a, Stream stream) override {
    loss_.run<true>(sizes_, {a.y, nullptr, a.labels, a.dy, static_cast<double*>(a.workspace)}, a.loss, stream);
  }

 private:
  GaussianSizes sizes_;
  TwoStageLoss loss_;
};

class L2LossCuda final : public L2Loss::Operation {
 public:
  explicit L2LossCuda(const L2Loss& spec) : loss_(L2Loss::kName, spec.y, spec.dy) {}
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  size_t workspace_bytes() const override { return loss_.workspace_bytes(); }
  void run(const L2LossArguments& a, Stream stream) override {
    loss_.run<false>({}, {a.y, a.target, {a.intensities, nullptr}, a.dy, static_cast<double*>(a.workspace)}, a.loss,
                     stream);
  }

 private:
  TwoStageLoss loss_;
};

}  // namespace

void SANDGLASS_REGISTER(loss)() {
  implementations<HeatmapLoss>()[kTargetDevice] = [](Device&, const HeatmapLoss& spec) {
    return std::make_unique<HeatmapLossCuda>(spec);
  };
  implementations<L2Loss>()[kTargetDevice] = [](Device&, const L2Loss& spec) {
    return std::make_unique<L2LossCuda>(spec);
  };
}

}  // namespace sandglass
