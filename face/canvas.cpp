#include "face/canvas.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.h"
#include "face/glyphs.h"

#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

namespace sandglass {
namespace {

float squared_distance(Point point, const Segment& segment) {
  const float dx = segment.to.x - segment.from.x, dy = segment.to.y - segment.from.y;
  const float px = point.x - segment.from.x, py = point.y - segment.from.y;
  const float length = dx * dx + dy * dy;
  const float along = length > 0 ? std::clamp((px * dx + py * dy) / length, 0.0f, 1.0f) : 0.0f;
  const float away_x = px - along * dx, away_y = py - along * dy;
  return away_x * away_x + away_y * away_y;
}

// The whole numbers from floor(low) to ceil(high) that are pixels; none where a bound is not a number.
struct PixelRange {
  int begin = 0, end = 0;
  PixelRange(float low, float high, int size) {
    if (!(low <= high)) return;
    begin = static_cast<int>(std::clamp(std::floor(low), 0.0f, static_cast<float>(size)));
    end = static_cast<int>(std::clamp(std::ceil(high) + 1, 0.0f, static_cast<float>(size)));
  }
};

// Between which two pixels of a scaled side's source a pixel lies, and how near to the second in 1/128.
struct Between {
  int first, second, share;
  Between(int pixel, int size, int source_size) {
    const float place = (static_cast<float>(pixel) + 0.5f) * static_cast<float>(source_size) / static_cast<float>(size);
    const float inside = std::clamp(place - 0.5f, 0.0f, static_cast<float>(source_size - 1));
    first = static_cast<int>(inside);
    second = std::min(first + 1, source_size - 1);
    share = static_cast<int>((inside - static_cast<float>(first)) * 128 + 0.5f);
  }
};

// Bilinear interpolation, many times faster than stb_image_resize. Aliases where a side shrinks to less than half.
void interpolate_to(const ImageView& picture, int height, int width, uint8_t* rows, size_t stride) {
  std::vector<Between> columns;
  for (int x = 0; x < width; ++x) columns.emplace_back(x, width, picture.width);
  std::vector<uint16_t> line(static_cast<size_t>(picture.width) * 3);  // of the height of a row, times 128
  for (int y = 0; y < height; ++y) {
    const Between place(y, height, picture.height);
    const uint8_t *above = picture.at(place.first, 0), *below = picture.at(place.second, 0);
    const int share = place.share;
    for (size_t i = 0; i < line.size(); ++i)
      line[i] = static_cast<uint16_t>(above[i] * (128 - share) + below[i] * share);
    uint8_t* to = rows + static_cast<size_t>(y) * stride;
    for (const Between& column : columns) {
      const uint16_t *left = &line[static_cast<size_t>(column.first) * 3],
                     *right = &line[static_cast<size_t>(column.second) * 3];
      for (int c = 0; c < 3; ++c)
        *to++ = static_cast<uint8_t>((left[c] * (128 - column.share) + right[c] * column.share + (1 << 13)) >> 14);
    }
  }
}

// Scales a picture to `height` rows of `width` pixels that begin `stride` bytes apart.
void scale_to(const ImageView& picture, int height, int width, uint8_t* rows, int stride) {
  const int good = stbir_resize_uint8(picture.rgb, picture.width, picture.height, 0, rows, width, height, stride, 3);
  check(good != 0, "a picture of {} x {} pixels could not be scaled to {} x {}: not enough memory", picture.width,
        picture.height, width, height);
}

}  // namespace

Canvas::Canvas(int height, int width, Colour background) : image_(height, width) {
  fill(-0.5f, -0.5f, static_cast<float>(width) - 0.5f, static_cast<float>(height) - 0.5f, background);
}

void Canvas::blend(int y, int x, Colour colour, float share) {
  uint8_t* pixel = image_.at(y, x);
  const float values[3] = {colour.red, colour.green, colour.blue};
  if (share >= 1) {
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(std::clamp(values[c] + 0.5f, 0.0f, 255.0f));
    return;
  }
  for (int c = 0; c < 3; ++c)
    pixel[c] = static_cast<uint8_t>(std::clamp(pixel[c] + (values[c] - pixel[c]) * share + 0.5f, 0.0f, 255.0f));
}

void Canvas::stroke(std::span<const Segment> segments, float width, Colour colour, float opacity) {
  if (segments.empty()) return;
  float left = segments[0].from.x, right = left, top = segments[0].from.y, bottom = top;
  for (const Segment& segment : segments) {
    for (const Point point : {segment.from, segment.to}) {
      left = std::min(left, point.x);
      right = std::max(right, point.x);
      top = std::min(top, point.y);
      bottom = std::max(bottom, point.y);
    }
  }
  const float reach = width / 2 + 0.5f;
  const PixelRange rows(top - reach, bottom + reach, image_.height), columns(left - reach, right + reach, image_.width);
  for (int y = rows.begin; y < rows.end; ++y) {
    for (int x = columns.begin; x < columns.end; ++x) {
      float nearest = reach * reach;
      for (const Segment& segment : segments)
        nearest = std::min(nearest, squared_distance({static_cast<float>(x), static_cast<float>(y)}, segment));
      if (nearest < reach * reach) blend(y, x, colour, opacity * std::min(reach - std::sqrt(nearest), 1.0f));
    }
  }
}

void Canvas::dot(Point centre, float diameter, Colour colour, float opacity) {
  const Segment segment{centre, centre};
  stroke({&segment, 1}, diameter, colour, opacity);
}

void Canvas::fill(float left, float top, float right, float bottom, Colour colour, float opacity) {
  const PixelRange rows(top - 0.5f, bottom + 0.5f, image_.height), columns(left - 0.5f, right + 0.5f, image_.width);
  const auto share = [](float low, float high, int pixel) {
    const float centre = static_cast<float>(pixel);
    return std::clamp(std::min(high, centre + 0.5f) - std::max(low, centre - 0.5f), 0.0f, 1.0f);
  };
  for (int y = rows.begin; y < rows.end; ++y) {
    for (int x = columns.begin; x < columns.end; ++x)
      blend(y, x, colour, opacity * share(top, bottom, y) * share(left, right, x));
  }
}

void Canvas::frame(float left, float top, float right, float bottom, float width, Colour colour, float opacity) {
  const Point a{left, top}, b{right, top}, c{right, bottom}, d{left, bottom};
  // One side at a time: a shape is tested pixel by pixel within its bounds.
  for (const Segment side : {Segment{a, b}, Segment{b, c}, Segment{c, d}, Segment{d, a}})
    stroke({&side, 1}, width, colour, opacity);
}

void Canvas::paste(const ImageView& picture, int left, int top) {
  const int first = std::max(0, -left), last = std::min(picture.width, image_.width - left);
  if (first >= last) return;
  for (int y = std::max(0, -top); y < std::min(picture.height, image_.height - top); ++y)
    std::copy_n(picture.at(y, first), static_cast<size_t>(last - first) * 3, image_.at(top + y, left + first));
}

void Canvas::paste_scaled(const ImageView& picture, int left, int top, int height, int width) {
  check(left >= 0 && top >= 0 && height >= 1 && width >= 1 && left + width <= image_.width &&
            top + height <= image_.height,
        "a picture of {} x {} pixels at ({}, {}) of one of {} x {}: expected it inside", width, height, left, top,
        image_.width, image_.height);
  uint8_t* corner = image_.at(top, left);
  if (height * 2 >= picture.height && width * 2 >= picture.width) {
    interpolate_to(picture, height, width, corner, static_cast<size_t>(image_.width) * 3);
  } else {
    scale_to(picture, height, width, corner, image_.width * 3);
  }
}

void Canvas::text(Point origin, float height, std::string_view text, Colour colour) {
  const float unit = height / kGlyphHeight;
  std::vector<Segment> segments;
  for (const char letter : text) {
    const Glyph& glyph = glyph_of(letter);
    segments.clear();
    for (const Segment& s : glyph.segments) {
      segments.push_back({{origin.x + s.from.x * unit, origin.y + s.from.y * unit},
                          {origin.x + s.to.x * unit, origin.y + s.to.y * unit}});
    }
    stroke(segments, std::max(1.2f, kGlyphWeight * unit), colour);
    origin.x += glyph.advance * unit;
  }
}

float Canvas::text_width(float height, std::string_view text) {
  float width = 0;
  for (const char letter : text) width += glyph_of(letter).advance * height / kGlyphHeight;
  return width;
}

Colour heat_colour(float t) {
  static constexpr std::array<Colour, 10> kInferno{{{0, 0, 4},
                                                    {27, 12, 66},
                                                    {75, 12, 107},
                                                    {120, 28, 109},
                                                    {165, 44, 96},
                                                    {207, 68, 70},
                                                    {237, 105, 37},
                                                    {251, 154, 6},
                                                    {247, 208, 60},
                                                    {252, 255, 164}}};
  const float place = std::clamp(t, 0.0f, 1.0f) * (kInferno.size() - 1);
  const size_t first = std::min(static_cast<size_t>(place), kInferno.size() - 2);
  const float share = place - static_cast<float>(first);
  const Colour &a = kInferno[first], &b = kInferno[first + 1];
  return {a.red + (b.red - a.red) * share, a.green + (b.green - a.green) * share, a.blue + (b.blue - a.blue) * share};
}

Image scaled(const Image& picture, int height, int width) {
  Image result(height, width);
  scale_to(picture, height, width, result.rgb.data(), width * 3);
  return result;
}

}  // namespace sandglass
