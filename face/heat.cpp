#include "face/heat.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.h"

namespace sandglass {
namespace {

// A heatmap's value at a place of its grid, between its pixels by Catmull-Rom interpolation, never below 0.
float heat_at(std::span<const float> map, int side, float x, float y) {
  const auto weights = [](float t) {
    return std::array<float, 4>{((-t + 2) * t - 1) * t / 2, ((3 * t - 5) * t * t + 2) / 2,
                                ((-3 * t + 4) * t + 1) * t / 2, (t - 1) * t * t / 2};
  };
  const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
  const std::array<float, 4> across = weights(x - static_cast<float>(left)),
                             down = weights(y - static_cast<float>(top));
  float value = 0;
  for (int row = 0; row < 4; ++row) {
    const int v = std::clamp(top + row - 1, 0, side - 1);
    for (int column = 0; column < 4; ++column) {
      const int u = std::clamp(left + column - 1, 0, side - 1);
      value +=
          down[static_cast<size_t>(row)] * across[static_cast<size_t>(column)] * map[static_cast<size_t>(v * side + u)];
    }
  }
  return std::max(value, 0.0f);
}

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

}  // namespace sandglass
