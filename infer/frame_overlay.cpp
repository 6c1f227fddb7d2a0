#include "infer/frame_overlay.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/error.h"
#include "face/stage.h"
#include "infer/drawing.h"

namespace sandglass {
namespace {

constexpr int kLargestSide = 4096;  // pixels: H.264's level 5.2, and what decoders in hardware take
constexpr int kMostPanels = 4;
constexpr double kHistory = 10;    // seconds of a chart
constexpr double kHiddenFor = 1;   // seconds after a face was seen last
constexpr double kGap = 1;         // seconds without a face that a chart does not bridge
constexpr float kLeastMarked = 1;  // intensity whose place is marked

// Sizes in units (FrameOverlay::unit_).
constexpr float kStripWidth = 224, kPadding = 10, kHeader = 26, kFooter = 20, kLeastRow = 15, kHighestRow = 88;
constexpr float kTextHeight = 9, kSmallText = 7, kLabelSpacing = 13;

// Told apart by people of all kinds of colour vision, on skin and on a dark ground: after Okabe and Ito (2008), the
// dark ones made lighter.
constexpr Colour kAuColours[] = {{86, 190, 245}, {245, 230, 60}, {235, 125, 195}, {20, 195, 140},
                                 {240, 100, 60}, {95, 120, 250}, {250, 170, 35},  {225, 225, 225}};
constexpr Colour kBoxColour = kText;

float centre_y(float top, float bottom, float text_height) { return (top + bottom + text_height) / 2; }

// Where a heatmap is highest, and its second place on the other side of the face if it has one.
struct Mark {
  size_t au = 0;
  Point place;  // in pixels of the drawn picture
};

// The highest local maximum at least `distance` pixels from `from`; nothing below `least`.
std::optional<Point> second_peak(std::span<const float> map, int side, Point from, float distance, float least) {
  std::optional<Point> found;
  const auto at = [&](int y, int x) { return map[static_cast<size_t>(y * side + x)]; };
  for (int y = 1; y + 1 < side; ++y) {
    for (int x = 1; x + 1 < side; ++x) {
      const float value = at(y, x);
      if (value < least || std::abs(static_cast<float>(x) - from.x) < distance) continue;
      bool highest = true;
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) highest = highest && at(y + dy, x + dx) <= value;
      if (!highest) continue;
      least = value;
      found = {static_cast<float>(x), static_cast<float>(y)};
    }
  }
  return found;
}

}  // namespace

FrameOverlay::FrameOverlay(int height, int width, std::vector<std::string> aus, const FrameOverlayOptions& options)
    : aus_(std::move(aus)), options_(options) {
  check(height >= 1 && width >= 1, "a video of {} x {} pixels, expected at least 1 x 1", width, height);
  check(!aus_.empty(), "an overlay without Action Units");
  constexpr size_t kMostAus = 100;  // beyond that the strip alone would be too high
  check(aus_.size() <= kMostAus, "overlays of videos show at most {} AUs, not {}", kMostAus, aus_.size());
  for (size_t k = 0; k < aus_.size(); ++k) colours_.push_back(kAuColours[k % std::size(kAuColours)]);
  lay_out(height, width);
}

void FrameOverlay::lay_out(int height, int width) {
  const bool below = height > width;
  const float rows = static_cast<float>(aus_.size());
  const float least_panel = kHeader + kPadding + rows * kLeastRow;  // units
  const auto even = [](float size) { return static_cast<int>(std::ceil(size / 2)) * 2; };
  // Text is legible from about 7 pixels on, so small frames get a strip that is larger in proportion.
  const auto place_all = [&](float scale) {
    frame_height_ = std::max(1, static_cast<int>(std::lround(static_cast<float>(height) * scale)));
    frame_width_ = std::max(1, static_cast<int>(std::lround(static_cast<float>(width) * scale)));
    unit_ = std::max(static_cast<float>(std::min(frame_height_, frame_width_)) / 480, 0.75f);
    const float high = static_cast<float>(frame_height_), wide = static_cast<float>(frame_width_);
    if (below) {
      const float thickness = (kHeader + kFooter + kPadding + rows * 30) * unit_;
      strip_ = {-0.5f, high - 0.5f, std::max(wide, kStripWidth * unit_) - 0.5f, high + thickness - 0.5f};
    } else {
      strip_ = {wide - 0.5f, -0.5f, wide + kStripWidth * unit_ - 0.5f,
                std::max(high, (least_panel + kFooter) * unit_) - 0.5f};
    }
  };
  float scale = 1;
  place_all(scale);
  const auto largest = [&] { return std::max(strip_.right, strip_.bottom) + 0.5f; };
  while (largest() > kLargestSide) place_all(scale *= (kLargestSide - 2) / largest());
  canvas_ = Canvas(even(strip_.bottom + 0.5f), even(strip_.right + 0.5f), kBackground);
  strip_.right = static_cast<float>(this->width()) - 0.5f;
  strip_.bottom = static_cast<float>(this->height()) - 0.5f;

  const float along = below ? (strip_.right - strip_.left) / (kStripWidth * unit_ * 0.8f)
                            : (strip_.bottom - strip_.top - kFooter * unit_) / (least_panel * unit_);
  most_slots_ = std::clamp(static_cast<int>(along), 1, kMostPanels);
}

Point FrameOverlay::place(Point in_frame) const {
  return {(in_frame.x + 0.5f) * scale_ - 0.5f, (in_frame.y + 0.5f) * scale_ - 0.5f};
}

const Image& FrameOverlay::draw(const PicturePrediction& frame) {
  check(frame.image.height >= 1 && frame.image.width >= 1, "{}: a frame without its picture", frame.path.string());
  check(frame.frame.has_value(), "{}: a frame without its time", frame.path.string());
  for (const FacePrediction& face : frame.faces) {
    check(face.aus.size() == aus_.size(), "{}: a face with {} Action Units, expected {}", frame.path.string(),
          face.aus.size(), aus_.size());
  }
  const double seconds = frame.frame->seconds;
  draw_picture(frame.image);
  remember(frame, seconds);
  if (options_.anonymous) {
    for (const FacePrediction& face : frame.faces) anonymize(canvas_.image(), face, scale_);
    for (const Track& track : tracks_) {
      const double missing = seconds - track.samples.back().seconds;
      if (missing > 0 && missing <= kHiddenFor) anonymize(canvas_.image(), track.last, scale_);
    }
  }
  for (const FacePrediction& face : frame.faces) draw_heat(face);
  for (const FacePrediction& face : frame.faces) draw_box(face);
  for (const FacePrediction& face : frame.faces) draw_marks(face);
  draw_strip(seconds, frame.frame->number + 1);
  return canvas_.image();
}

void FrameOverlay::draw_picture(const Image& image) {
  const float high = static_cast<float>(frame_height_), wide = static_cast<float>(frame_width_);
  scale_ = std::min(high / static_cast<float>(image.height), wide / static_cast<float>(image.width));
  const int height =
      std::clamp(static_cast<int>(std::lround(static_cast<float>(image.height) * scale_)), 1, frame_height_);
  const int width =
      std::clamp(static_cast<int>(std::lround(static_cast<float>(image.width) * scale_)), 1, frame_width_);
  if (height < frame_height_ || width < frame_width_) canvas_.fill(-0.5f, -0.5f, wide - 0.5f, high - 0.5f, kBackground);
  if (height == image.height && width == image.width) {
    canvas_.paste(image, 0, 0);
  } else {
    canvas_.paste_scaled(image, 0, 0, height, width);
  }
}

// Adds the frame's intensities to what was seen of its faces before, and forgets what is too old to be drawn.
void FrameOverlay::remember(const PicturePrediction& frame, double seconds) {
  for (const FacePrediction& face : frame.faces) {
    auto track = std::find_if(tracks_.begin(), tracks_.end(), [&](const Track& t) { return t.id == face.id; });
    if (track == tracks_.end()) {
      track = tracks_.insert(tracks_.end(), Track{});
      track->id = face.id;
    }
    Sample& sample = track->samples.emplace_back();
    sample.seconds = seconds;
    for (const AuPrediction& au : face.aus) sample.intensities.push_back(au.intensity());
    track->last = face;
    track->last.heatmaps = {};
  }
  for (Track& track : tracks_) {
    // One sample more, so that a chart reaches its left end.
    while (track.samples.size() > 1 && track.samples[1].seconds < seconds - kHistory) track.samples.pop_front();
  }
  std::erase_if(tracks_, [&](const Track& track) { return track.samples.back().seconds < seconds - kHistory; });
  give_slots(seconds);
}

// Gives faces that are seen and have no panel a free one, or that of a face which is not seen any more.
void FrameOverlay::give_slots(double seconds) {
  for (Track& track : tracks_) {
    if (track.slot >= 0 || track.samples.back().seconds < seconds) continue;
    for (int slot = 0; slot < most_slots_ && track.slot < 0; ++slot) {
      const auto owner = std::find_if(tracks_.begin(), tracks_.end(), [&](const Track& t) { return t.slot == slot; });
      if (owner != tracks_.end() && owner->samples.back().seconds >= seconds) continue;
      if (owner != tracks_.end()) owner->slot = -1;
      track.slot = slot;
      slots_ = std::max(slots_, slot + 1);
    }
  }
}

void FrameOverlay::draw_heat(const FacePrediction& face) {
  if (face.heatmaps.empty()) return;
  heat_.set(face.heatmaps, colours_);
  const Affine to_map = scaling(1.0 / kHeatmapStride), to_frame = scaling(1 / static_cast<double>(scale_));
  heat_.draw(canvas_.image(), compose(to_map, compose(face.to_registered, to_frame)));
}

// Corners around the face and its number above them.
void FrameOverlay::draw_box(const FacePrediction& face) {
  const Point a = place({face.left, face.top}), b = place({face.right, face.bottom});
  const float arm = std::min(b.x - a.x, b.y - a.y) * 0.14f, width = 1.6f * unit_;
  for (const Point corner : {a, Point{b.x, a.y}, b, Point{a.x, b.y}}) {
    const float across = corner.x == a.x ? arm : -arm, down = corner.y == a.y ? arm : -arm;
    const Segment arms[] = {{corner, {corner.x + across, corner.y}}, {corner, {corner.x, corner.y + down}}};
    canvas_.stroke(arms, width + 1.5f * unit_, kBackground, 0.35f);
    canvas_.stroke(arms, width, kBoxColour, 0.95f);
  }
  const std::string number = std::to_string(face.id);
  const float height = kTextHeight * unit_, high = height * 1.9f, wide = Canvas::text_width(height, number) + height;
  const float bottom = std::max(a.y - 3 * unit_, high);
  canvas_.fill(a.x, bottom - high, a.x + wide, bottom, kBoxColour, 0.95f);
  canvas_.text({a.x + height * 0.6f, centre_y(bottom - high, bottom, height)}, height, number, kBackground);
}

// A dot where an AU is strongest, joined to its name beside the face.
void FrameOverlay::draw_marks(const FacePrediction& face) {
  if (face.heatmaps.empty()) return;
  const Affine to_picture = face.to_registered.inverse();
  const size_t pixels = face.heatmaps.size() / aus_.size();
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(pixels))));
  std::vector<Mark> left, right;
  const Point a = place({face.left, face.top}), b = place({face.right, face.bottom});
  // The middle of a face is the middle of the registered one; what lies on it keeps to one side.
  const float middle = 0.47f * static_cast<float>(kHeatmapStride * side);
  const auto add = [&](size_t k, Point in_registered) {
    (in_registered.x < middle ? left : right).push_back({k, place(to_picture.apply(in_registered))});
  };
  for (size_t k = 0; k < aus_.size(); ++k) {
    const AuPrediction& au = face.aus[k];
    if (au.height < kLeastMarked) continue;
    add(k, au.in_registered);
    const std::span<const float> map = std::span(face.heatmaps).subspan(k * pixels, pixels);
    const auto second = second_peak(map, side, to_heatmap(au.in_registered), static_cast<float>(side) / 8,
                                    std::max(kLeastMarked, 0.6f * au.height));
    if (second) add(k, from_heatmap(*second));
  }
  const float height = kSmallText * unit_, spacing = kLabelSpacing * unit_;
  const float dot = std::min(4.6f * unit_, 0.05f * (b.x - a.x));
  const bool labels = b.y - a.y >= 7 * spacing;  // a small face would vanish behind them
  for (std::vector<Mark>* marks : {&left, &right}) {
    std::sort(marks->begin(), marks->end(), [](const Mark& p, const Mark& q) { return p.place.y < q.place.y; });
    float free = 0;  // nothing is written above it
    for (const Mark& mark : *marks) {
      const Colour colour = colours_[mark.au];
      if (labels) {
        const std::string& name = aus_[mark.au];
        const float text = Canvas::text_width(height, name), wide = text + height;
        const float edge = marks == &left ? std::max(a.x - 8 * unit_, wide)
                                          : std::min(b.x + 8 * unit_, static_cast<float>(frame_width_) - 1 - wide);
        const float y = std::clamp(std::max(mark.place.y, free), spacing,
                                   std::max(spacing, static_cast<float>(frame_height_) - spacing));
        free = y + spacing;
        const float begin = marks == &left ? edge - wide : edge;
        const Segment line{mark.place, {edge, y}};
        canvas_.stroke({&line, 1}, 2.2f * unit_, kBackground, 0.3f);
        canvas_.stroke({&line, 1}, std::max(1.0f, unit_), colour, 0.9f);
        canvas_.fill(begin, y - spacing * 0.46f, begin + wide, y + spacing * 0.46f, kBackground, 0.8f);
        canvas_.text({begin + height * 0.5f, y + height / 2}, height, name, colour);
      }
      canvas_.dot(mark.place, 1.5f * dot, kBackground, 0.7f);
      canvas_.dot(mark.place, dot, colour);
    }
  }
}

void FrameOverlay::draw_strip(double seconds, int64_t number) {
  canvas_.fill(strip_.left, strip_.top, strip_.right, strip_.bottom, kBackground);
  const float padding = kPadding * unit_, text = kSmallText * unit_;
  const auto hundredths = static_cast<int64_t>(std::llround(std::max(seconds, 0.0) * 100));
  const std::string time = fmt::format("{}:{:02}.{:02}", hundredths / 6000, hundredths / 100 % 60, hundredths % 100);
  const std::string frame = fmt::format("frame {}", number);
  const float baseline = strip_.bottom - 7 * unit_;
  canvas_.text({strip_.left + padding, baseline}, text, time, kText);
  canvas_.text({strip_.right - padding - Canvas::text_width(text, frame), baseline}, text, frame, kFaintText);

  const bool below = strip_.top > 0;
  const float bottom = strip_.bottom - kFooter * unit_, count = static_cast<float>(slots_);
  bool any = false;
  for (const Track& track : tracks_) {
    if (track.slot < 0) continue;
    any = true;
    const float first = static_cast<float>(track.slot) / count, end = static_cast<float>(track.slot + 1) / count;
    const float wide = strip_.right - strip_.left, high = bottom - strip_.top;
    draw_panel(track,
               below ? Rectangle{strip_.left + first * wide, strip_.top, strip_.left + end * wide, bottom}
                     : Rectangle{strip_.left, strip_.top + first * high, strip_.right, strip_.top + end * high},
               seconds);
  }
  if (!any) canvas_.text({strip_.left + padding, strip_.top + kHeader * unit_}, text, "no face", kFaintText);
}

void FrameOverlay::draw_panel(const Track& track, const Rectangle& area, double seconds) {
  const float padding = kPadding * unit_, height = kTextHeight * unit_, small = kSmallText * unit_;
  const float left = area.left + padding, right = area.right - padding;
  const bool seen = track.samples.back().seconds >= seconds;
  const std::string number = std::to_string(track.id);
  const float chip = Canvas::text_width(height, number) + height, top = area.top + 5 * unit_;
  const float header = area.top + kHeader * unit_;
  canvas_.fill(left, top, left + chip, header - 4 * unit_, seen ? kBoxColour : kFaintText);
  const float baseline = centre_y(top, header - 4 * unit_, height);
  canvas_.text({left + height * 0.6f, baseline}, height, number, kBackground);
  canvas_.text({left + chip + 6 * unit_, baseline}, height, seen ? "face" : "not seen", seen ? kText : kFaintText);
  const std::string span = fmt::format("last {:.0f} s", kHistory);
  canvas_.text({right - Canvas::text_width(small, span), baseline}, small, span, kFaintText);

  const float rows = static_cast<float>(aus_.size());
  const float row = std::min((area.bottom - header - 4 * unit_) / rows, kHighestRow * unit_);
  for (size_t k = 0; k < aus_.size(); ++k) {
    const float y = header + static_cast<float>(k) * row;
    draw_row(track, k, {left, y, right, y + row}, seconds, seen);
  }
}

// Name and intensity with a bar below them, and the chart at their right.
void FrameOverlay::draw_row(const Track& track, size_t k, const Rectangle& area, double seconds, bool seen) {
  const float row = area.bottom - area.top, height = std::min(kTextHeight * unit_, 0.48f * row);
  const float bar = std::clamp(0.14f * row, 2.0f, 5 * unit_), title = row >= 44 * unit_ ? 6 * unit_ : 0;
  const float between = std::min(0.14f * row, 5 * unit_);
  const float block = height + between + bar + (title > 0 ? between + title : 0);
  const float right = area.left + (area.right - area.left) * 0.46f;
  const float intensity = seen ? track.samples.back().intensities[k] : 0;
  const float baseline = area.top + (row - block) / 2 + height;
  canvas_.text({area.left, baseline}, height, aus_[k], colours_[k]);
  const std::string value = seen ? fmt::format("{:.1f}", intensity) : "-";
  canvas_.text({right - Canvas::text_width(height, value) + 0.2f * height, baseline}, height, value,
               seen ? kText : kFaintText);
  const float top = baseline + between;
  canvas_.fill(area.left, top, right, top + bar, kTrack);
  canvas_.fill(area.left, top, area.left + (right - area.left) * intensity / 5, top + bar, colours_[k]);
  for (int mark = 1; mark < 5; ++mark) {
    const float x = area.left + (right - area.left) * static_cast<float>(mark) / 5;
    canvas_.fill(x - 0.5f * unit_, top, x + 0.5f * unit_, top + bar, kBackground);
  }
  if (title > 0) {
    const std::string name = shortened(std::string(au_title(aus_[k])), title, right - area.left);
    canvas_.text({area.left, top + bar + between + title}, title, name, kFaintText);
  }
  const float gap = std::min(0.08f * row, 3 * unit_);
  draw_chart(track, k, {right + 10 * unit_, area.top + gap, area.right, area.bottom - gap}, seconds);
}

// An AU's intensity over the last ten seconds, now being at the right: column by column, which costs no more for many
// samples than for few.
void FrameOverlay::draw_chart(const Track& track, size_t k, const Rectangle& area, double seconds) {
  canvas_.fill(area.left, area.top, area.right, area.bottom, kPanelBackground);
  const float high = area.bottom - area.top, line = std::max(1.0f, 1.3f * unit_);
  if (high >= 30 * unit_) {
    for (int mark = 1; mark < 5; ++mark) {
      const float y = area.bottom - high * static_cast<float>(mark) / 5;
      canvas_.fill(area.left, y - 0.25f * unit_, area.right, y + 0.25f * unit_, kTrack);
    }
  }
  const int first = static_cast<int>(std::ceil(area.left)), last = static_cast<int>(std::floor(area.right));
  const double per_pixel = kHistory / std::max(1, last - first);
  size_t next = 0;              // the first sample that is not before the column
  std::optional<float> before;  // y of the column at the left
  for (int x = first; x <= last; ++x) {
    const double time = seconds - static_cast<double>(last - x) * per_pixel;
    while (next < track.samples.size() && track.samples[next].seconds < time) ++next;
    if (next == track.samples.size()) break;
    const Sample& b = track.samples[next];
    const Sample& a = track.samples[next > 0 ? next - 1 : 0];
    if (b.seconds > time && (next == 0 || b.seconds - a.seconds > kGap)) {
      before.reset();
      continue;
    }
    const double share = b.seconds > a.seconds ? (time - a.seconds) / (b.seconds - a.seconds) : 1;
    const float value = a.intensities[k] + (b.intensities[k] - a.intensities[k]) * static_cast<float>(share);
    const float y = area.bottom - line / 2 - (high - line) * value / 5;
    const float from = static_cast<float>(x) - 0.5f, top = std::min(y, before.value_or(y)) - line / 2,
                bottom = std::max(y, before.value_or(y)) + line / 2;
    canvas_.fill(from, y, from + 1, area.bottom, colours_[k], 0.3f);
    canvas_.fill(from, top, from + 1, bottom, colours_[k], 0.95f);
    before = y;
  }
}

}  // namespace sandglass
