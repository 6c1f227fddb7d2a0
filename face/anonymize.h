// Faces made unrecognisable in pictures that are shown to others.
#pragma once

#include <span>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// The outline of a whole head, with ears and forehead, around 68 landmarks; and of an upright box that holds a face.
/// Convex, in order.
std::vector<Point> head_outline(const Landmarks& landmarks);
std::vector<Point> head_outline(float left, float top, float right, float bottom);

/// Replaces what lies within a convex outline by the mean colours of 8 x 8 fields that cover it, blended into each
/// other: no more of a face is left than these 64 colours. What lies outside the picture is ignored. An outline with
/// numbers that are not finite hides the whole picture.
void anonymize(Image& image, std::span<const Point> outline);

}  // namespace sandglass
