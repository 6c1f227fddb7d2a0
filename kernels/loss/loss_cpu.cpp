// Each row of each channel block has its own sum of squares, in double; the sums are added in order at the end, so that
// the loss does not depend on which thread took which row.
#include <algorithm>

#include "kernels/heatmap/heatmap_cpu.h"
#include "kernels/loss/loss.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kTile = 64;  // pixels of a row whose target is on the stack at a time

size_t row_count(const TensorDesc& desc) { return static_cast<size_t>(desc.shape.n) * desc.blocks() * desc.shape.h; }

bool is_coded(const float* intensities, size_t map) { return !intensities || intensities[map] >= 0; }

// target_row(n, k, v, first, count, target): the target of map (n, k) at pixels first... of row v.
template <typename TargetRow>
void l2_loss_cpu(const TensorDesc& desc, const float* y, const float* intensities, float* dy, float* loss,
                 double* row_sums, const TargetRow& target_row) {
  const Shape& s = desc.shape;
  const size_t maps = static_cast<size_t>(s.n) * s.c;
  size_t coded_maps = 0;
  for (size_t map = 0; map < maps; ++map) coded_maps += is_coded(intensities, map);
  const double count = double(coded_maps) * s.h * s.w;
  const float scale = static_cast<float>(2 / std::max(count, 1.0));

  const auto channel_row = [&](int n, int k, int v) {
    const bool coded = k < s.c && is_coded(intensities, static_cast<size_t>(n) * s.c + k);
    double sum = 0;
    for (int first = 0; first < s.w; first += kTile) {
      const int pixels = std::min(kTile, s.w - first);
      const size_t begin = desc.index(n, v, first, k);
      if (coded) {
        float target[kTile];
        target_row(n, k, v, first, pixels, target);
        for (int i = 0; i < pixels; ++i) {
          const size_t at = begin + static_cast<size_t>(i) * desc.block;
          const float difference = y[at] - target[i];
          sum += double{difference} * difference;
          if (dy) dy[at] = scale * difference;
        }
      } else if (dy) {
        for (int i = 0; i < pixels; ++i) dy[begin + static_cast<size_t>(i) * desc.block] = 0;
      }
    }
    return sum;
  };

#pragma omp parallel for collapse(3)
  for (int n = 0; n < s.n; ++n)
    for (int b = 0; b < desc.blocks(); ++b)
      for (int v = 0; v < s.h; ++v) {
        double sum = 0;
        for (int k = b * desc.block; k < (b + 1) * desc.block; ++k) sum += channel_row(n, k, v);
        row_sums[(static_cast<size_t>(n) * desc.blocks() + b) * s.h + v] = sum;
      }

  double sum = 0;
  for (size_t row = 0; row < row_count(desc); ++row) sum += row_sums[row];
  *loss = coded_maps ? static_cast<float>(sum / count) : 0.0f;
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
    l2_loss_cpu(spec_.y, arguments.y, arguments.labels.intensities, f32(arguments.dy), arguments.loss,
                static_cast<double*>(arguments.workspace), target_row);
  }

 private:
  HeatmapLoss spec_;
};

class L2LossCpu final : public Operation<L2LossArguments> {
 public:
  explicit L2LossCpu(const L2Loss& spec) : spec_(spec) {}
  std::string implementation() const override { return "row_sums"; }
  size_t workspace_bytes() const override { return row_count(spec_.y) * sizeof(double); }
  void run(const L2LossArguments& arguments, Stream) override {
    const auto target_row = [&](int n, int k, int v, int first, int count, float* target) {
      const float* row = arguments.target + spec_.y.index(n, v, first, k);
      for (int i = 0; i < count; ++i) target[i] = row[static_cast<size_t>(i) * spec_.y.block];
    };
    l2_loss_cpu(spec_.y, arguments.y, arguments.intensities, f32(arguments.dy), arguments.loss,
                static_cast<double*>(arguments.workspace), target_row);
  }

 private:
  L2Loss spec_;
};

}  // namespace

void register_loss_cpu() {
  implementations<HeatmapLoss>()[DeviceKind::cpu] = [](Device&, const HeatmapLoss& spec) {
    return std::make_unique<HeatmapLossCpu>(spec);
  };
  implementations<L2Loss>()[DeviceKind::cpu] = [](Device&, const L2Loss& spec) {
    return std::make_unique<L2LossCpu>(spec);
  };
}

}  // namespace sandglass
