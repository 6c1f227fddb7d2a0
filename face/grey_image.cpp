#include "face/grey_image.h"

#include <algorithm>
#include <cmath>

namespace sandglass {
namespace {

/// The mean of each block of `block_height` x `block_width` pixels; pixels beyond the last whole block are left out.
GreyImage block_means(const GreyImage& image, int block_height, int block_width) {
  GreyImage means{image.height / block_height, image.width / block_width, {}};
  means.pixels.reserve(static_cast<size_t>(means.height) * static_cast<size_t>(means.width));
  const uint32_t area = static_cast<uint32_t>(block_height) * static_cast<uint32_t>(block_width);
  std::vector<uint32_t> sums(static_cast<size_t>(means.width));
  for (int y = 0; y < means.height; ++y) {
    std::fill(sums.begin(), sums.end(), area / 2);  // rounds
    for (int row = 0; row < block_height; ++row) {
      const uint8_t* pixel =
          &image.pixels[static_cast<size_t>(y * block_height + row) * static_cast<size_t>(image.width)];
      for (uint32_t& sum : sums) {
        for (int column = 0; column < block_width; ++column) sum += *pixel++;
      }
    }
    for (const uint32_t sum : sums) means.pixels.push_back(static_cast<uint8_t>(sum / area));
  }
  return means;
}

/// Between which two of `from` samples each of `to` samples lies, and how near the second one, in 1/256.
struct Neighbours {
  std::vector<int> first, second, share;

  Neighbours(int from, int to) {
    for (int i = 0; i < to; ++i) {
      const double place = std::clamp((i + 0.5) * from / to - 0.5, 0.0, from - 1.0);
      first.push_back(static_cast<int>(place));
      second.push_back(std::min(first.back() + 1, from - 1));
      share.push_back(static_cast<int>(std::lround((place - first.back()) * 256)));
    }
  }
};

GreyImage bilinear(const GreyImage& image, int height, int width) {
  GreyImage output{height, width, std::vector<uint8_t>(static_cast<size_t>(height) * static_cast<size_t>(width))};
  const Neighbours rows(image.height, height), columns(image.width, width);
  std::vector<int> blended(static_cast<size_t>(image.width));  // of two rows, in 1/256
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) {
    const uint8_t* upper = &image.pixels[static_cast<size_t>(rows.first[y]) * blended.size()];
    const uint8_t* lower = &image.pixels[static_cast<size_t>(rows.second[y]) * blended.size()];
    for (size_t x = 0; x < blended.size(); ++x) blended[x] = upper[x] * 256 + (lower[x] - upper[x]) * rows.share[y];
    uint8_t* to = &output.pixels[y * static_cast<size_t>(width)];
    for (size_t x = 0; x < static_cast<size_t>(width); ++x) {
      const int left = blended[static_cast<size_t>(columns.first[x])],
                right = blended[static_cast<size_t>(columns.second[x])];
      to[x] = static_cast<uint8_t>((left * 256 + (right - left) * columns.share[x] + (1 << 15)) >> 16);
    }
  }
  return output;
}

}  // namespace

GreyImage grey_image(const Image& image) {
  GreyImage grey{image.height, image.width, std::vector<uint8_t>(image.rgb.size() / 3)};
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    const uint8_t* rgb = &image.rgb[i * 3];
    grey.pixels[i] = static_cast<uint8_t>((rgb[0] + rgb[1] + rgb[2]) / 3);
  }
  return grey;
}

GreyImage resized(const GreyImage& image, int height, int width) {
  if (height == image.height && width == image.width) return image;
  const int block_height = std::max(1, image.height / height), block_width = std::max(1, image.width / width);
  if (block_height == 1 && block_width == 1) return bilinear(image, height, width);
  return bilinear(block_means(image, block_height, block_width), height, width);
}

}  // namespace sandglass
