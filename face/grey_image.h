// Grey pictures, which is what face detection and landmarks look at.
#pragma once

#include <cstdint>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// Rows from top to bottom, 8 bits a pixel.
struct GreyImage {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  ///< height * width
};

/// The mean of red, green and blue, rounded down, as in dlib.
GreyImage grey_image(const Image& image);

/// `image` scaled to `height` x `width` pixels (all sizes at least 1), both covering the same area: the means of whole
/// blocks of pixels where a side shrinks to half or less, so that nothing aliases, then bilinear interpolation.
GreyImage resized(const GreyImage& image, int height, int width);

}  // namespace sandglass
