// Height and place of each map's maximum: the AU's intensity and where the face moves.
//
// The maximum is the first in row order. Its place is refined by the vertex of the parabola through the maximum and its
// two neighbours, in x and in y, at most half a pixel; no refinement in a direction where a neighbour is outside the
// map or the three values are equal or not finite. The height is the stored value, not the vertex's, as in the paper.
// NaN is never the maximum; a map of nothing but NaN gives (NaN, 0, 0).
#pragma once

#include "kernels/operation.h"

namespace sandglass {

struct PeakArguments {
  const float* maps = nullptr;  ///< N x H x W x K
  float* peaks = nullptr;       ///< [N][K][3]: height, x, y; x and y in map pixels, 0 at the centre of the first
};

struct Peak {
  using Arguments = PeakArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "peak";
  TensorDesc maps;
  void check() const;
  Cost cost() const;
  std::string text() const;
};

namespace reference {
/// Plain NHWC maps; for tests only.
void peak(const Shape& shape, const double* maps, double* peaks);
}  // namespace reference

}  // namespace sandglass
