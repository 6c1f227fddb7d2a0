// What is behind the face, and what a camera does to a picture.
#pragma once

#include <vector>

#include "engine/random.h"
#include "face/image.h"
#include "train/synth/pack.h"

namespace sandglass::synth {

/// A square picture of linear RGB radiances, one plane for each colour. Rows are padded to whole packs.
struct Radiance {
  int size = 0, stride = 0;  ///< pixels; floats from one row to the next
  std::array<std::vector<float>, 3> planes;

  explicit Radiance(int size = 0) { resize(size); }
  void resize(int new_size) {
    size = new_size;
    stride = (size + kPack - 1) / kPack * kPack;
    for (auto& plane : planes) plane.resize(static_cast<size_t>(stride) * static_cast<size_t>(size));
  }
  float* row(int colour, int y) { return &planes[static_cast<size_t>(colour)][static_cast<size_t>(y * stride)]; }
};

/// Walls, windows, shelves and blobs out of focus.
class Background {
 public:
  Background(Random& random, int size);
  /// Linear RGB radiances of the pixels (x, y) to (x + 7, y).
  Vec3x8 at(int x, int y) const;

 private:
  struct Thing {
    bool round;
    float x, y, width, height, softness;  // parts of the picture
    Vec3 colour;
  };
  int size_;
  Vec3 top_, bottom_;
  float cloud_depth_, cloud_scale_, cloud_x_, cloud_y_;
  std::vector<Thing> things_;
};

/// How a picture suffers on its way through the camera.
struct PhotoQuality {
  float blur = 0;   ///< deviation, pixels
  float noise = 0;  ///< deviation of the sensor's noise, parts of full scale
  float contrast = 1;
  float saturation = 1;
  int jpeg_quality = 92;
};
PhotoQuality random_quality(Random& random, int size);

/// Blurs, adds noise and rounds to 8-bit sRGB. `random` places the noise.
Image develop(Radiance& picture, const PhotoQuality& quality, Random& random);

}  // namespace sandglass::synth
