// Staging: the part of a picture that a registered face is made of, as the warp on the device wants it. Training and
// inference both go through here, so that a network sees the same pixels in both.
//
// What is kept is the smallest upright rectangle that the output can see, with a border so that bilinear interpolation
// finds the pixels that the whole picture has; beyond the picture's own edge all is black, as in the paper. Where the
// rectangle is more than three times as wide or high as the output, it is first averaged over f x f pixels, f the
// smallest whole number that brings it down to three times: without this bilinear interpolation would skip pixels, and
// a staged face would have no bound. Below that nothing is filtered, as in the paper.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "face/image.h"
#include "face/registration.h"

namespace sandglass {

/// A staged picture: where it lies in the byte buffer, and how output pixels find their place in it.
struct StagedFace {
  int64_t first_byte = 0;         ///< of its RGB pixels (HWC, rows without padding)
  int32_t height = 0, width = 0;  ///< pixels, at least 1
  std::array<float, 6> matrix{};  ///< output pixel (u, v) looks at x = m0 u + m1 v + m2, y = m3 u + m4 v + m5 of it
};

/// Most bytes that stage_face appends for an output of size x size pixels.
constexpr size_t staged_bytes_bound(int size) {
  const size_t side = 3 * static_cast<size_t>(size) + 8;
  return side * side * 3;
}

/// Appends to `pixels` what an output of size x size pixels sees of `image` through `output_to_source` (output pixels
/// to picture pixels). Throws Error if the map is not finite or size < 1; a map that sees nothing gives one black
/// pixel.
StagedFace stage_face(const ImageView& image, const Affine& output_to_source, int size, std::vector<uint8_t>& pixels);

/// Pixels of the registered face per heatmap pixel, in x and in y. Both cover the same area.
inline constexpr int kHeatmapStride = 4;

/// A place in the registered face as a place in its heatmaps, and back. Pixel centres are whole numbers in both.
constexpr Point to_heatmap(Point p) {
  return {(p.x + 0.5f) / kHeatmapStride - 0.5f, (p.y + 0.5f) / kHeatmapStride - 0.5f};
}
constexpr Point from_heatmap(Point p) {
  return {(p.x + 0.5f) * kHeatmapStride - 0.5f, (p.y + 0.5f) * kHeatmapStride - 0.5f};
}

}  // namespace sandglass
