// Heatmaps drawn over the faces that they belong to: one over the registered face, or all over the face in its picture.
#pragma once

#include <span>
#include <vector>

#include "face/canvas.h"
#include "face/registration.h"

namespace sandglass {

/// The registered face in grey with one AU's heatmap ([side][side], any size; both cover the same area) over it, on one
/// colour scale from 0 to 5. The result is as large as `face`, a square. Throws Error if one of the two is no square.
Image draw_heat(const Image& face, std::span<const float> map);

/// Marks where a map is highest: a cross that is seen on dark and on bright; `place` in pixels of the canvas.
void mark_peak(Canvas& canvas, Point place);

/// draw_heat, with mark_peak where the map is highest: `peak`, in pixels of the map, of a `height` of at least 0.5;
/// below that the place means little.
Image draw_heat_and_peak(const Image& face, std::span<const float> map, Point peak, float height);

/// The heatmaps of one face as one layer of colours that covers the face more, the more heat there is. Keeps its memory
/// from face to face.
class HeatLayer {
 public:
  /// Takes the maps of a face, [K][side][side] for K colours. Where several are hot, the one whose
  /// peak is near gives most of the colour. Throws Error if the maps are no squares.
  void set(std::span<const float> maps, std::span<const Colour> colours);
  /// Lays it over a picture; `to_map` maps pixels of the picture to pixels of the maps. The picture's shading stays
  /// visible through it.
  void draw(Image& image, const Affine& to_map) const;

 private:
  struct Cover {
    float red = 0, green = 0, blue = 0, weight = 0, share = 0;  // at the end colours times share
  };

  void refine(std::span<const float> map, int side);
  void blend(uint8_t* pixel, float x, float y) const;

  int side_ = 0;                    // of the layer, whose grid is finer than the maps'
  std::vector<Cover> covers_;       // [side][side]
  std::vector<float> heat_, rows_;  // of one map: on the layer's grid; the same, stretched across only
};

}  // namespace sandglass
