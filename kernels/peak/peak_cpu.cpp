// One map a task; the maximum is searched in row order and refined in double.
#include <cmath>

#include "kernels/peak/peak.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// Offset from the middle value to the vertex of the parabola through three values, of which it is the largest. 0 where
// there is no parabola: three equal values, or one that is not finite.
double vertex(double before, double middle, double after) {
  const double offset = 0.5 * (before - after) / (before - 2 * middle + after);
  return std::abs(offset) <= 0.5 ? offset : 0.0;
}

void peak_cpu(const Peak& spec, const PeakArguments& arguments, Stream) {
  const TensorDesc& desc = spec.maps;
  const Shape& s = desc.shape;
#pragma omp parallel for collapse(2)
  for (int n = 0; n < s.n; ++n)
    for (int k = 0; k < s.c; ++k) {
      const float* map = arguments.maps + desc.index(n, 0, 0, k);
      const size_t step = desc.block, row = step * s.w;  // from pixel to pixel, from row to row
      int x = 0, y = 0;
      float height = map[0];
      for (int v = 0; v < s.h; ++v)
        for (int u = 0; u < s.w; ++u) {
          const float value = map[v * row + u * step];
          if (value > height || (std::isnan(height) && !std::isnan(value))) {
            height = value;
            x = u;
            y = v;
          }
        }
      const float* at = map + y * row + x * step;
      float* peak = arguments.peaks + (static_cast<size_t>(n) * s.c + k) * 3;
      peak[0] = height;
      peak[1] = static_cast<float>(x > 0 && x < s.w - 1 ? x + vertex(at[-int64_t(step)], height, at[step]) : x);
      peak[2] = static_cast<float>(y > 0 && y < s.h - 1 ? y + vertex(at[-int64_t(row)], height, at[row]) : y);
    }
}

}  // namespace

void register_peak_cpu() { register_function<Peak>(DeviceKind::cpu, "row_scan", peak_cpu); }

}  // namespace sandglass
