// A heatmap drawn over the registered face that it belongs to.
#pragma once

#include <span>

#include "face/canvas.h"

namespace sandglass {

/// The registered face in grey with one AU's heatmap ([side][side], any size; both cover the same area) over it, on one
/// colour scale from 0 to 5. The result is as large as `face`, a square. Throws Error if one of the two is no square.
Image draw_heat(const Image& face, std::span<const float> map);

/// Marks where a map is highest: a cross that is seen on dark and on bright; `place` in pixels of the canvas.
void mark_peak(Canvas& canvas, Point place);

}  // namespace sandglass
