#include "infer/overlay.h"

#include <array>
#include <cmath>
#include <utility>

#include "engine/error.h"
#include "face/canvas.h"
#include "face/heat.h"
#include "face/stage.h"
#include "infer/drawing.h"

namespace sandglass {
namespace {

constexpr Colour kFaceColour{94, 234, 212}, kLandmarkColour{255, 255, 255};

// Pixels. A panel is a registered face with its caption below it.
constexpr int kPanel = 256, kCaption = 66, kGap = 12, kMargin = 18, kHeader = 40;
constexpr int kPanelsPerLine = 6, kMostFaces = 12;
constexpr int kTallestPhoto = 2 * (kPanel + kCaption) + kGap;

// The lines between the 68 landmarks that make them a face: first and last of each, and whether it is closed.
struct Contour {
  int first, last;
  bool closed;
};
constexpr Contour kContours[] = {{0, 16, false}, {17, 21, false}, {22, 26, false}, {27, 30, false}, {31, 35, false},
                                 {36, 41, true}, {42, 47, true},  {48, 59, true},  {60, 67, true}};

// The photograph at a given size, with box and landmarks of each face.
Image draw_photo(const Image& image, const PicturePrediction& prediction, size_t faces, int height, int width) {
  Canvas canvas(scaled(image, height, width));
  const float scale_x = static_cast<float>(width) / static_cast<float>(prediction.width);
  const float scale_y = static_cast<float>(height) / static_cast<float>(prediction.height);
  const auto place = [&](Point p) { return Point{(p.x + 0.5f) * scale_x - 0.5f, (p.y + 0.5f) * scale_y - 0.5f}; };
  for (size_t i = 0; i < faces; ++i) {
    const FacePrediction& face = prediction.faces[i];
    if (!face.landmarks) continue;                          // a registered face is the whole picture
    const float size = (face.right - face.left) * scale_x;  // of the face as it is drawn
    const auto landmark = [&](int number) { return place((*face.landmarks)[static_cast<size_t>(number)]); };
    for (const Contour& contour : kContours) {
      std::vector<Segment> lines;
      for (int p = contour.first; p < contour.last; ++p) lines.push_back({landmark(p), landmark(p + 1)});
      if (contour.closed) lines.push_back({landmark(contour.last), landmark(contour.first)});
      canvas.stroke(lines, 1.2f, kFaceColour, 0.6f);
    }
    for (int p = 0; p < 68; ++p) canvas.dot(landmark(p), std::clamp(size / 60, 1.5f, 4.0f), kLandmarkColour, 0.95f);
    const Point corner = place({face.left, face.top}), opposite = place({face.right, face.bottom});
    canvas.frame(corner.x, corner.y, opposite.x, opposite.y, 2, kFaceColour);
    if (faces > 1) {
      const std::string number = std::to_string(i);
      const float label = Canvas::text_width(11, number) + 8;
      canvas.fill(corner.x - 1, corner.y - 18, corner.x - 1 + label, corner.y, kFaceColour);
      canvas.text({corner.x + 4, corner.y - 4}, 11, number, kBackground);
    }
  }
  return std::move(canvas.image());
}

void draw_intensity(Canvas& canvas, float left, float top, float intensity) {
  constexpr float kHeight = 9, kWidth = kPanel - 20;
  canvas.fill(left, top, left + kWidth, top + kHeight, kTrack);
  const int full = static_cast<int>(std::lround(intensity / 5 * kWidth));
  for (int x = 0; x < full; ++x) {
    const float at = static_cast<float>(x);
    canvas.fill(left + at, top, left + at + 1, top + kHeight, heat_colour(0.25f + 0.75f * (at + 0.5f) / kWidth));
  }
  for (int mark = 1; mark < 5; ++mark) {
    const float x = left + std::round(kWidth * static_cast<float>(mark) / 5);
    canvas.fill(x, top, x + 1, top + kHeight, kPanelBackground);
  }
}

// A panel with its caption; (left, top) is its corner.
void draw_panel(Canvas& canvas, int left, int top, const Image& face, const FacePrediction& prediction, size_t k,
                const std::string& au) {
  const size_t pixels = prediction.heatmaps.size() / prediction.aus.size();
  const AuPrediction& reading = prediction.aus[k];
  const float x = static_cast<float>(left) - 0.5f, y = static_cast<float>(top) - 0.5f;  // of the corner's edge
  canvas.fill(x, y, x + kPanel, y + kPanel + kCaption, kPanelBackground);
  canvas.paste(draw_heat_and_peak(face, std::span(prediction.heatmaps).subspan(k * pixels, pixels),
                                  to_heatmap(reading.in_registered), reading.intensity()),
               left, top);

  const float baseline = y + kPanel + 31;
  canvas.text({x + 10, baseline}, 14, au, kText);
  const float title = x + 10 + Canvas::text_width(14, au) + 6;
  const std::string value = fmt::format("{:.2f}", reading.intensity());
  const float value_left = x + kPanel - 10 - Canvas::text_width(17, value) + 3;
  canvas.text({title, baseline}, 9.5f, shortened(std::string(au_title(au)), 9.5f, value_left - title - 4), kFaintText);
  canvas.text({value_left, baseline}, 17, value, kText);
  draw_intensity(canvas, x + 10, baseline + 13, reading.intensity());
}

std::string header_of(const PicturePrediction& prediction, size_t drawn) {
  const size_t faces = prediction.faces.size();
  if (faces == 0) return "no face";
  if (faces == 1) return prediction.faces[0].landmarks ? "1 face" : "registered face";
  return drawn == faces ? fmt::format("{} faces", faces) : fmt::format("{} of {} faces", drawn, faces);
}

}  // namespace

Image draw_overlay(const PicturePrediction& prediction, const std::vector<std::string>& aus, bool anonymous) {
  Image hidden;
  if (anonymous) {
    hidden = prediction.image;
    for (const FacePrediction& face : prediction.faces) anonymize(hidden, face);
  }
  const Image& image = anonymous ? hidden : prediction.image;
  const int faces = static_cast<int>(std::min<size_t>(prediction.faces.size(), kMostFaces));
  const int panels = static_cast<int>(aus.size());
  const int columns = std::min(panels, kPanelsPerLine), lines = (panels + columns - 1) / columns;
  constexpr int kLine = kPanel + kCaption + kGap;
  const int rows = std::max(faces * lines, 1);

  // As high as the panels beside it but not taller than two lines, and not very wide.
  const int tallest = std::min(rows * kLine - kGap, kTallestPhoto), widest = tallest * 8 / 5;
  const double scale =
      std::min(static_cast<double>(tallest) / prediction.height, static_cast<double>(widest) / prediction.width);
  const int photo_height = std::max(1, static_cast<int>(std::lround(prediction.height * scale)));
  const int photo_width = std::max(1, static_cast<int>(std::lround(prediction.width * scale)));

  const int content = faces > 0 ? photo_width + columns * (kPanel + kGap) : std::max(photo_width, 360);
  Canvas canvas(kHeader + rows * kLine - kGap + kMargin, content + 2 * kMargin, kBackground);
  const std::string header = header_of(prediction, static_cast<size_t>(faces));
  const float header_width = Canvas::text_width(12, header);
  const std::string name =
      shortened(prediction.path.filename().string(), 12, static_cast<float>(content) - header_width - 24);
  canvas.text({kMargin, kHeader - 14}, 12, name, kText);
  canvas.text({kMargin + Canvas::text_width(12, name) + 16, kHeader - 14}, 12, header, kFaintText);
  canvas.paste(draw_photo(image, prediction, static_cast<size_t>(faces), photo_height, photo_width), kMargin, kHeader);

  for (int i = 0; i < faces; ++i) {
    const FacePrediction& face = prediction.faces[static_cast<size_t>(i)];
    // The registered face at the panel's size, whatever the network's.
    const double side = kHeatmapStride * std::sqrt(static_cast<double>(face.heatmaps.size()) / panels);
    const double zoom = kPanel / side;
    const Image registered = warp_image(image, compose(scaling(zoom), face.to_registered), kPanel, kPanel);
    for (int k = 0; k < panels; ++k) {
      const int left = kMargin + photo_width + kGap + (k % columns) * (kPanel + kGap);
      const int top = kHeader + (i * lines + k / columns) * kLine;
      draw_panel(canvas, left, top, registered, face, static_cast<size_t>(k), aus[static_cast<size_t>(k)]);
      if (faces > 1 && k == 0) {
        const std::string number = std::to_string(i);
        const float x = static_cast<float>(left) - 0.5f, y = static_cast<float>(top) - 0.5f;
        canvas.fill(x, y, x + Canvas::text_width(11, number) + 9, y + 20, kFaceColour);
        canvas.text({x + 6, y + 15.5f}, 11, number, kBackground);
      }
    }
  }
  return std::move(canvas.image());
}

}  // namespace sandglass
