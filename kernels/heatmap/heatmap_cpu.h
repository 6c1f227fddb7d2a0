// A row of a target heatmap on the cpu device; the loss draws its targets with it too.
#pragma once

#include "kernels/heatmap/heatmap.h"

namespace sandglass {

/// target[i] = value of the map at pixel (first + i, v), 0 <= i < count. `points`: points_per_map pairs.
/// Evaluates exp inside the Gaussians' cut only.
void heatmap_row(const HeatmapSpec& spec, float intensity, const float* points, int v, int first, int count,
                 float* target);

}  // namespace sandglass
