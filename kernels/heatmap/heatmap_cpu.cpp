// Targets are drawn row by row: of each point's disc the row crosses one span, and only that span is visited.
#include "kernels/heatmap/heatmap_cpu.h"

#include <algorithm>
#include <cmath>

#include "kernels/registry.h"

namespace sandglass {

void heatmap_row(const HeatmapSpec& spec, float intensity, const float* points, int v, int first, int count,
                 float* target) {
  std::fill_n(target, count, 0.0f);
  if (!(intensity > 0)) return;
  const double deviation = spec.deviation(intensity), exponent = -0.5 / (deviation * deviation);
  const double limit = spec.limit(intensity), limit_square = limit * limit;
  for (int i = 0; i < spec.points_per_map; ++i) {
    const double x = points[2 * i], dy = v - double{points[2 * i + 1]}, dy_square = dy * dy;
    if (!(dy_square <= limit_square)) continue;  // also where y is NaN
    // A pixel more on each side, because the root is rounded; the comparison below decides.
    const double half = std::sqrt(limit_square - dy_square) + 1;
    const double low = std::max(double(first), std::ceil(x - half));
    const double high = std::min(double(first) + count - 1, std::floor(x + half));
    if (!(low <= high)) continue;
    for (int u = static_cast<int>(low); u <= static_cast<int>(high); ++u) {
      const double dx = u - x, square = dx * dx + dy_square;
      if (square <= limit_square)  // false where x is NaN
        target[u - first] = std::max(target[u - first], intensity * std::exp(static_cast<float>(square * exponent)));
    }
  }
}

namespace {

constexpr int kTile = 64;  // pixels of a row drawn at a time, on the stack

void heatmap_render_cpu(const HeatmapRender& spec, const HeatmapRenderArguments& arguments, Stream) {
  const TensorDesc& desc = spec.target;
  const Shape& s = desc.shape;
#pragma omp parallel for collapse(3)
  for (int n = 0; n < s.n; ++n)
    for (int k = 0; k < desc.padded_channels(); ++k)
      for (int v = 0; v < s.h; ++v)
        for (int first = 0; first < s.w; first += kTile) {
          const int count = std::min(kTile, s.w - first);
          float row[kTile] = {};  // stays zero for padding channels
          if (k < s.c) {
            const size_t map = static_cast<size_t>(n) * s.c + k;
            heatmap_row(spec.heatmap, arguments.labels.intensities[map],
                        arguments.labels.points + map * spec.heatmap.points_per_map * 2, v, first, count, row);
          }
          float* target = arguments.target + desc.index(n, v, first, k);
          for (int i = 0; i < count; ++i) target[static_cast<size_t>(i) * desc.block] = row[i];
        }
}

}  // namespace

void register_heatmap_cpu() { register_function<HeatmapRender>(DeviceKind::cpu, "gaussian_spans", heatmap_render_cpu); }

}  // namespace sandglass
