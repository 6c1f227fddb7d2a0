// Drawing on pictures: smooth-edged lines, rectangles, text and a colour scale for heat.
//
// Coordinates are those of Point: (0, 0) is the centre of the top left pixel. What lies outside the picture is cut off.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// sRGB, each 0-255.
struct Colour {
  float red = 0, green = 0, blue = 0;
};

struct Segment {
  Point from, to;  ///< may coincide: a dot
};

class Canvas {
 public:
  Canvas(int height, int width, Colour background);
  explicit Canvas(Image image) : image_(std::move(image)) {}

  const Image& image() const { return image_; }
  Image& image() { return image_; }

  /// Draws all segments as one shape with round ends, `width` pixels wide. Opacity 0 to 1.
  void stroke(std::span<const Segment> segments, float width, Colour colour, float opacity = 1);
  void dot(Point centre, float diameter, Colour colour, float opacity = 1);
  /// Sides along the pixels' grid, edges at pixel centres +- 0.5 where the coordinates are whole and a half.
  void fill(float left, float top, float right, float bottom, Colour colour, float opacity = 1);
  /// The outline of a rectangle.
  void frame(float left, float top, float right, float bottom, float width, Colour colour, float opacity = 1);
  /// Copies a picture so that its top left pixel lies at (left, top).
  void paste(const ImageView& picture, int left, int top);
  /// The same, scaled to `height` x `width` pixels, without aliasing. Throws Error where that is not all inside.
  void paste_scaled(const ImageView& picture, int left, int top, int height, int width);

  /// Writes a line of text; `origin` is the left end of its baseline, `height` that of its capitals in pixels.
  /// Characters other than printable ASCII become a box. Needs no font from outside.
  void text(Point origin, float height, std::string_view text, Colour colour);
  /// How wide text() writes it, in pixels.
  static float text_width(float height, std::string_view text);

 private:
  void blend(int y, int x, Colour colour, float share);

  Image image_;
};

/// Colours from black over violet and orange to pale yellow, evenly spaced to the eye, for t in [0, 1] (clamped).
/// Source: the colour map "inferno" by N. Smith and S. van der Walt (matplotlib, CC0).
Colour heat_colour(float t);

/// `picture` scaled to `height` x `width` pixels, each at least 1, without aliasing.
Image scaled(const Image& picture, int height, int width);

}  // namespace sandglass
