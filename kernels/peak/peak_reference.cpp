#include <cmath>

#include "kernels/peak/peak.h"

namespace sandglass::reference {

void peak(const Shape& shape, const double* maps, double* peaks) {
  for (int n = 0; n < shape.n; ++n)
    for (int k = 0; k < shape.c; ++k) {
      const auto value = [&](int u, int v) { return maps[((int64_t{n} * shape.h + v) * shape.w + u) * shape.c + k]; };
      int x = 0, y = 0;
      for (int v = 0; v < shape.h; ++v)
        for (int u = 0; u < shape.w; ++u)
          if (value(u, v) > value(x, y) || (std::isnan(value(x, y)) && !std::isnan(value(u, v)))) {
            x = u;
            y = v;
          }
      const auto vertex = [](double before, double middle, double after) {
        const double offset = 0.5 * (before - after) / (before - 2 * middle + after);
        return std::abs(offset) <= 0.5 ? offset : 0.0;  // NaN where all are equal or one is not finite
      };
      double* result = peaks + (int64_t{n} * shape.c + k) * 3;
      result[0] = value(x, y);
      result[1] = x > 0 && x < shape.w - 1 ? x + vertex(value(x - 1, y), value(x, y), value(x + 1, y)) : x;
      result[2] = y > 0 && y < shape.h - 1 ? y + vertex(value(x, y - 1), value(x, y), value(x, y + 1)) : y;
    }
}

}  // namespace sandglass::reference
