// 8-bit RGB pictures in memory and in files: JPEG, PNG and BMP, through stb_image; JPEG is written by libjpeg.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sandglass {

/// An RGB picture, rows from top to bottom, interleaved (HWC), 8 bits a channel.
struct Image {
  int height = 0, width = 0;
  std::vector<uint8_t> rgb;  ///< height * width * 3

  Image() = default;
  Image(int height, int width) : height(height), width(width), rgb(size_t(height) * size_t(width) * 3) {}
  uint8_t* at(int y, int x) { return &rgb[(size_t(y) * size_t(width) + size_t(x)) * 3]; }
  const uint8_t* at(int y, int x) const { return &rgb[(size_t(y) * size_t(width) + size_t(x)) * 3]; }
};

/// The pixels of a picture that someone else owns; an Image is one.
struct ImageView {
  int height = 0, width = 0;
  const uint8_t* rgb = nullptr;  ///< height * width * 3

  ImageView() = default;
  ImageView(int height, int width, const uint8_t* rgb) : height(height), width(width), rgb(rgb) {}
  ImageView(const Image& image) : ImageView(image.height, image.width, image.rgb.data()) {}
  const uint8_t* at(int y, int x) const { return rgb + (size_t(y) * size_t(width) + size_t(x)) * 3; }
};

/// A place in a picture in pixels: (0, 0) is the centre of the top left pixel, x to the right, y downwards.
struct Point {
  float x = 0, y = 0;
  bool operator==(const Point&) const = default;
};

/// The 68 points of the 300-W (Multi-PIE) markup, numbered from 0, in pixels.
using Landmarks = std::array<Point, 68>;

/// Of a picture or a frame: what is larger is refused.
inline constexpr int64_t kMaximumPixels = 100'000'000;

/// The smallest upright rectangle around landmarks.
struct Bounds {
  float left = 0, top = 0, right = 0, bottom = 0;
};
Bounds bounds_of(const Landmarks& landmarks);

/// Reads a JPEG, PNG or BMP file (by content, not by name). Grey pictures are widened to RGB, alpha is dropped.
/// Throws Error naming the file if it is missing, empty, truncated, not a picture, or larger than 100 megapixels.
Image read_image(const std::filesystem::path& path);
/// The same from a file's bytes; `name` begins every Error.
Image decode_image(std::string_view bytes, const std::string& name);

/// Throws Error as read_image does, as far as the file's header tells; nothing is decoded.
void check_image_header(const std::filesystem::path& path);

/// Writes `image` as .png, .jpg/.jpeg (quality 1-100) or .bmp by the path's extension, to a temporary name that is then
/// renamed. Throws Error if the extension is another or the file cannot be written.
void write_image(const std::filesystem::path& path, const Image& image, int jpeg_quality = 92);

/// `image` as a PNG file in memory.
std::string encode_png(const Image& image);

}  // namespace sandglass
