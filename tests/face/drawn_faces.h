// Faces that tests draw: simple, but dlib's detector sees them (scores of 1 to 2).
#pragma once

#include <span>

#include "face/canvas.h"

namespace sandglass {

struct DrawnFace {
  Point centre;
  float side;  ///< about that of the detector's box
};

inline void draw_face(Canvas& canvas, const DrawnFace& face) {
  const auto at = [&](float x, float y) { return Point{face.centre.x + x * face.side, face.centre.y + y * face.side}; };
  const auto line = [&](Point from, Point to, float width, float grey) {
    const Segment segment{from, to};
    canvas.stroke(std::span(&segment, 1), width * face.side, {grey, grey, grey}, 0.9f);
  };
  canvas.dot(at(0, -0.25f), 1.15f * face.side, {60, 60, 60});  // hair
  line(at(0, -0.12f), at(0, 0.2f), 0.86f, 190);
  for (const float side : {-1.0f, 1.0f}) {
    line(at(side * 0.32f, -0.2f), at(side * 0.12f, -0.21f), 0.05f, 60);   // brow
    line(at(side * 0.27f, -0.08f), at(side * 0.15f, -0.08f), 0.1f, 120);  // eye
    canvas.dot(at(side * 0.21f, -0.08f), 0.09f * face.side, {30, 30, 30});
    line(at(side * 0.05f, 0.17f), at(side * 0.07f, 0.16f), 0.05f, 110);  // nostril
    line(at(side * 0.15f, 0.36f), at(0, 0.38f), 0.06f, 90);              // half a mouth
  }
}

/// Faces on grey; what is drawn last lies in front.
inline Image drawn_faces(int height, int width, std::span<const DrawnFace> faces) {
  Canvas canvas(height, width, {128, 128, 128});
  for (const DrawnFace& face : faces) draw_face(canvas, face);
  return canvas.image();
}

}  // namespace sandglass
