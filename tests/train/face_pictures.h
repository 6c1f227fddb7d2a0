// Small pictures of "faces" for tests: black, with a red dot at landmark 48 and a green one at landmark 54.
#pragma once

#include <algorithm>
#include <cmath>

#include "engine/random.h"
#include "face/image.h"
#include "train/manifest.h"

namespace sandglass {

/// Landmarks about (cx, cy): eye corners `eyes` pixels apart, turned by `angle` radians, all 68 at different places.
inline Landmarks test_landmarks(float cx, float cy, float eyes, float angle) {
  Landmarks landmarks;
  Random random(7);
  for (Point& p : landmarks) p = {random.uniform(-0.5f, 0.5f), random.uniform(-0.3f, 0.9f)};
  landmarks[36] = {-0.5f, -0.3f};
  landmarks[45] = {0.5f, -0.35f};
  landmarks[8] = {0.05f, 1.0f};
  landmarks[48] = {-0.28f, 0.5f};
  landmarks[54] = {0.3f, 0.52f};
  for (Point& p : landmarks) {
    p = {cx + eyes * (std::cos(angle) * p.x - std::sin(angle) * p.y),
         cy + eyes * (std::sin(angle) * p.x + std::cos(angle) * p.y)};
  }
  return landmarks;
}

/// Draws a Gaussian dot into one channel.
inline void draw_dot(Image& image, Point place, int channel, float deviation = 2) {
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const float dx = static_cast<float>(x) - place.x, dy = static_cast<float>(y) - place.y;
      const float value = 255 * std::exp(-(dx * dx + dy * dy) / (2 * deviation * deviation));
      image.at(y, x)[channel] = std::max(image.at(y, x)[channel], static_cast<uint8_t>(std::lround(value)));
    }
  }
}

/// Writes `count` pictures (face_<i>.png) and manifest.csv with AU06 and AU12 to a folder, and reads it.
inline Manifest write_test_faces(const std::filesystem::path& folder, int count) {
  Manifest manifest;
  manifest.path = folder / "manifest.csv";
  manifest.aus = {"AU06", "AU12"};
  Random random(3);
  for (int i = 0; i < count; ++i) {
    Image image(130 + i, 150 - i);
    ManifestRow row;
    row.image = fmt::format("face_{}.png", i);
    row.subject = fmt::format("S{}", i / 3);
    row.landmarks = test_landmarks(random.uniform(65, 80), random.uniform(45, 60), random.uniform(40, 60),
                                   random.uniform(-0.3f, 0.3f));
    for (const int channel : {0, 1}) draw_dot(image, (*row.landmarks)[channel == 0 ? 48 : 54], channel);
    row.intensities = {static_cast<float>(i % 6), static_cast<float>((i * 7) % 11) / 2};
    write_image(folder / row.image, image);
    manifest.rows.push_back(row);
  }
  write_manifest(manifest.path, manifest);
  return read_manifest(manifest.path);
}

}  // namespace sandglass
