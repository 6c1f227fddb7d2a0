#include "infer/drawing.h"

#include "face/anonymize.h"

namespace sandglass {
namespace {

// FACS' names (Ekman and Friesen, 1978; Hager's manual of 2002).
struct AuTitle {
  std::string_view au, title;
};
constexpr AuTitle kTitles[] = {{"AU01", "inner brow raiser"},
                               {"AU02", "outer brow raiser"},
                               {"AU04", "brow lowerer"},
                               {"AU05", "upper lid raiser"},
                               {"AU06", "cheek raiser"},
                               {"AU07", "lid tightener"},
                               {"AU09", "nose wrinkler"},
                               {"AU10", "upper lip raiser"},
                               {"AU11", "nasolabial deepener"},
                               {"AU12", "lip corner puller"},
                               {"AU13", "sharp lip puller"},
                               {"AU14", "dimpler"},
                               {"AU15", "lip corner depressor"},
                               {"AU16", "lower lip depressor"},
                               {"AU17", "chin raiser"},
                               {"AU18", "lip pucker"},
                               {"AU20", "lip stretcher"},
                               {"AU22", "lip funneler"},
                               {"AU23", "lip tightener"},
                               {"AU24", "lip pressor"},
                               {"AU25", "lips part"},
                               {"AU26", "jaw drop"},
                               {"AU27", "mouth stretch"},
                               {"AU28", "lip suck"},
                               {"AU43", "eyes closed"},
                               {"AU45", "blink"}};

}  // namespace

std::string_view au_title(const std::string& au) {
  for (const AuTitle& known : kTitles) {
    if (known.au == au) return known.title;
  }
  return "";
}

std::string shortened(const std::string& text, float height, float width) {
  if (Canvas::text_width(height, text) <= width) return text;
  for (size_t kept = text.size(); kept-- > 0;) {
    const std::string shorter = text.substr(0, kept - kept / 2) + "..." + text.substr(text.size() - kept / 2);
    if (Canvas::text_width(height, shorter) <= width) return shorter;
  }
  return "";
}

void anonymize(Image& image, const FacePrediction& face, float scale) {
  const auto hide = [&](std::vector<Point> outline) {
    for (Point& point : outline) point = {(point.x + 0.5f) * scale - 0.5f, (point.y + 0.5f) * scale - 0.5f};
    anonymize(image, outline);
  };
  hide(head_outline(face.left, face.top, face.right, face.bottom));
  if (face.landmarks) hide(head_outline(*face.landmarks));  // which may have slipped off the face
}

}  // namespace sandglass
