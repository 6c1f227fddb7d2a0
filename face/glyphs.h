// The letters of Canvas::text: a small font of our own made of strokes, so that no font file is needed.
#pragma once

#include <vector>

#include "face/canvas.h"

namespace sandglass {

/// Capitals reach from the baseline (y = 0) to y = -kGlyphHeight; x grows to the right from 0.
constexpr float kGlyphHeight = 12;
/// Width of the strokes.
constexpr float kGlyphWeight = 1.7f;

struct Glyph {
  std::vector<Segment> segments;
  float advance = 0;  ///< from its origin to the next glyph's
};

/// A printable ASCII character; a box for anything else.
const Glyph& glyph_of(char letter);

}  // namespace sandglass
