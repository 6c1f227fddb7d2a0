#include "face/heat.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/error.h"

namespace sandglass {
namespace {

// Catmull-Rom interpolation at a place of a grid: the four pixels around it.
struct Taps {
  int first;
  std::array<float, 4> weights;
};
Taps taps_at(float place) {
  const float below = std::floor(place), t = place - below;
  return {
      static_cast<int>(below) - 1,
      {((-t + 2) * t - 1) * t / 2, ((3 * t - 5) * t * t + 2) / 2, ((-3 * t + 4) * t + 1) * t / 2, (t - 1) * t * t / 2}};
}

// A heatmap's value at a place of its grid, never below 0.
float heat_at(std::span<const float> map, int side, float x, float y) {
  const Taps across = taps_at(x), down = taps_at(y);
  float value = 0;
  for (int row = 0; row < 4; ++row) {
    const int v = std::clamp(down.first + row, 0, side - 1);
    for (int column = 0; column < 4; ++column) {
      const int u = std::clamp(across.first + column, 0, side - 1);
      value += down.weights[static_cast<size_t>(row)] * across.weights[static_cast<size_t>(column)] *
               map[static_cast<size_t>(v * side + u)];
    }
  }
  return std::max(value, 0.0f);
}

constexpr float kLeastHeat = 0.2f;   // of a layer: a network's maps are rarely exactly 0 where nothing is
constexpr float kMostCover = 0.75f;  // so that the face stays visible
constexpr int kRefinement = 4;       // pixels of a layer per pixel of a map

}  // namespace

Image draw_heat(const Image& face, std::span<const float> map) {
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(map.size()))));
  check(face.width == face.height && side > 0 && map.size() == static_cast<size_t>(side) * static_cast<size_t>(side),
        "a heatmap of {} pixels over a face of {} x {}: expected squares", map.size(), face.width, face.height);
  const float scale = static_cast<float>(side) / static_cast<float>(face.width);
  Image panel(face.height, face.width);
  for (int y = 0; y < face.height; ++y) {
    for (int x = 0; x < face.width; ++x) {
      const float value = heat_at(map, side, (static_cast<float>(x) + 0.5f) * scale - 0.5f,
                                  (static_cast<float>(y) + 0.5f) * scale - 0.5f);
      const float heat = std::max(0.0f, value - 0.1f) / 5;  // a network's maps are rarely exactly 0 where nothing is
      const uint8_t* rgb = face.at(y, x);
      const float grey = 0.82f * (0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]);
      // Faint heat lets the face through; the colour's own darkness near 0 would hide it.
      const float cover = 0.85f * std::min(1.0f, std::sqrt(heat) * 1.25f);
      const Colour colour = heat_colour(0.25f + 0.75f * heat);
      const float values[3] = {colour.red, colour.green, colour.blue};
      for (int c = 0; c < 3; ++c)
        panel.at(y, x)[c] = static_cast<uint8_t>(std::clamp(grey + (values[c] - grey) * cover + 0.5f, 0.0f, 255.0f));
    }
  }
  return panel;
}

void mark_peak(Canvas& canvas, Point place) {
  const auto cross = [&](float width, Colour colour, float opacity) {
    for (const float turn : {1.0f, -1.0f}) {
      const Segment arm{{place.x - 4, place.y - 4 * turn}, {place.x + 4, place.y + 4 * turn}};
      canvas.stroke({&arm, 1}, width, colour, opacity);
    }
  };
  cross(3.2f, {0, 0, 0}, 0.4f);
  cross(1.4f, {255, 255, 255}, 0.95f);
}

Image draw_heat_and_peak(const Image& face, std::span<const float> map, Point peak, float height) {
  Canvas panel(draw_heat(face, map));
  const float scale = static_cast<float>(face.width) / std::sqrt(static_cast<float>(map.size()));
  if (height >= 0.5f) mark_peak(panel, {(peak.x + 0.5f) * scale - 0.5f, (peak.y + 0.5f) * scale - 0.5f});
  return std::move(panel.image());
}

void HeatLayer::set(std::span<const float> maps, std::span<const Colour> colours) {
  const size_t pixels = maps.size() / std::max<size_t>(colours.size(), 1);
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(pixels))));
  check(side > 0 && colours.size() * static_cast<size_t>(side) * static_cast<size_t>(side) == maps.size(),
        "{} values for {} heatmaps: expected squares", maps.size(), colours.size());
  side_ = side * kRefinement;
  covers_.assign(static_cast<size_t>(side_) * static_cast<size_t>(side_), {});
  for (size_t k = 0; k < colours.size(); ++k) {
    const std::span<const float> map = maps.subspan(k * pixels, pixels);
    const float highest = *std::max_element(map.begin(), map.end()) - kLeastHeat;
    if (!(highest > 0)) continue;
    refine(map, side);
    for (size_t i = 0; i < covers_.size(); ++i) {
      const float heat = heat_[i] - kLeastHeat;
      if (!(heat > 0)) continue;
      Cover& cover = covers_[i];
      const float t = std::min(heat / 5, 1.0f), share = kMostCover * t * (1.9f - 0.9f * t);
      // Around its own peak a map keeps its colour, even where a wide one of another AU is as hot.
      const float near = std::min(heat / highest, 1.0f), weight = share * near * near * near;
      cover.red += weight * colours[k].red;
      cover.green += weight * colours[k].green;
      cover.blue += weight * colours[k].blue;
      cover.weight += weight;
      cover.share += (1 - cover.share) * share;
    }
  }
  for (Cover& cover : covers_) {
    if (cover.share == 0) continue;
    const float scale = cover.share / cover.weight;
    cover = {cover.red * scale, cover.green * scale, cover.blue * scale, 0, cover.share};
  }
}

// A map on the layer's grid, between its pixels by Catmull-Rom interpolation: first along rows, then along columns.
void HeatLayer::refine(std::span<const float> map, int side) {
  const auto clamped = [side](int place) { return static_cast<size_t>(std::clamp(place, 0, side - 1)); };
  const auto width = static_cast<size_t>(side), fine = static_cast<size_t>(side_);
  rows_.resize(width * fine);
  heat_.resize(fine * fine);
  for (int x = 0; x < side_; ++x) {
    const Taps taps = taps_at((static_cast<float>(x) + 0.5f) / kRefinement - 0.5f);
    for (size_t y = 0; y < width; ++y) {
      float sum = 0;
      for (int tap = 0; tap < 4; ++tap) sum += taps.weights[tap] * map[y * width + clamped(taps.first + tap)];
      rows_[y * fine + static_cast<size_t>(x)] = sum;
    }
  }
  for (int y = 0; y < side_; ++y) {
    const Taps taps = taps_at((static_cast<float>(y) + 0.5f) / kRefinement - 0.5f);
    const float* rows[4];
    for (int tap = 0; tap < 4; ++tap) rows[tap] = &rows_[clamped(taps.first + tap) * fine];
    float* to = &heat_[static_cast<size_t>(y) * fine];
    for (size_t x = 0; x < fine; ++x) {
      to[x] = taps.weights[0] * rows[0][x] + taps.weights[1] * rows[1][x] + taps.weights[2] * rows[2][x] +
              taps.weights[3] * rows[3][x];
    }
  }
}

void HeatLayer::draw(Image& image, const Affine& to_map) const {
  const Affine to_layer = compose(scaling(kRefinement), to_map);
  const auto& m = to_layer.m;
  const double last = side_ - 1;
  for (int y = 0; y < image.height; ++y) {
    // Where the row lies within the layer: limits in x for both of the layer's coordinates.
    double begin = 0, end = image.width - 1;
    for (const auto& row : m) {
      const double at_zero = row[1] * y + row[2];
      if (row[0] == 0) {
        if (!(at_zero >= 0 && at_zero <= last)) end = -1;
        continue;
      }
      const double a = -at_zero / row[0], b = (last - at_zero) / row[0];
      begin = std::max(begin, std::min(a, b));
      end = std::min(end, std::max(a, b));
    }
    if (!(begin <= end)) continue;
    for (int x = static_cast<int>(std::ceil(begin)); x <= static_cast<int>(end); ++x) {
      blend(image.at(y, x), static_cast<float>(m[0][0] * x + m[0][1] * y + m[0][2]),
            static_cast<float>(m[1][0] * x + m[1][1] * y + m[1][2]));
    }
  }
}

// Bilinear between the four nearest of the layer's pixels.
void HeatLayer::blend(uint8_t* pixel, float x, float y) const {
  const int left = std::clamp(static_cast<int>(x), 0, side_ - 2), top = std::clamp(static_cast<int>(y), 0, side_ - 2);
  const Cover* cover = &covers_[static_cast<size_t>(top) * static_cast<size_t>(side_) + static_cast<size_t>(left)];
  const Cover *below = cover + side_, &a = cover[0], &b = cover[1], &c = below[0], &d = below[1];
  if (a.share + b.share + c.share + d.share == 0) return;
  const float right_share = x - static_cast<float>(left), below_share = y - static_cast<float>(top);
  const float wb = right_share * (1 - below_share), wc = (1 - right_share) * below_share,
              wd = right_share * below_share, wa = 1 - wb - wc - wd;
  const float kept = 1 - (wa * a.share + wb * b.share + wc * c.share + wd * d.share);
  const float luma = 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2];
  const float shade = std::min(0.6f + 0.4f / 150 * luma, 1.1f);
  const float red = wa * a.red + wb * b.red + wc * c.red + wd * d.red;
  const float green = wa * a.green + wb * b.green + wc * c.green + wd * d.green;
  const float blue = wa * a.blue + wb * b.blue + wc * c.blue + wd * d.blue;
  pixel[0] = static_cast<uint8_t>(std::min(kept * pixel[0] + shade * red + 0.5f, 255.0f));
  pixel[1] = static_cast<uint8_t>(std::min(kept * pixel[1] + shade * green + 0.5f, 255.0f));
  pixel[2] = static_cast<uint8_t>(std::min(kept * pixel[2] + shade * blue + 0.5f, 255.0f));
}

}  // namespace sandglass
