#include "face/image.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "engine/error.h"
#include "engine/file.h"
#include "face/file_kinds.h"
#include "face/jpeg.h"

namespace {

/// The largest single allocation that the decoder may make for the picture at hand: stb lets a PNG's data unpack to any
/// size, whatever its header says, so that a small file could take all memory.
thread_local size_t decoder_allocation_limit = 0;

/// Zeros, because a damaged JPEG can make stb use Huffman tables that the file never gave.
void* decoder_allocate(size_t bytes) { return bytes <= decoder_allocation_limit ? std::calloc(1, bytes) : nullptr; }

void* decoder_reallocate(void* block, size_t bytes) {
  return bytes <= decoder_allocation_limit ? std::realloc(block, bytes) : nullptr;
}

}  // namespace

#define STBI_MALLOC(bytes) decoder_allocate(bytes)
#define STBI_REALLOC(block, bytes) decoder_reallocate(block, bytes)
#define STBI_FREE(block) std::free(block)
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace sandglass {
namespace {

constexpr std::string_view kDamaged = "the file is truncated or damaged";

/// A file in memory as stb's stream. stb answers reads past the end with zeros, so that a truncated file can come out
/// as half a picture; `past_end` tells that this happened.
struct Stream {
  std::string_view bytes;
  size_t position = 0;
  bool past_end = false;

  static int read(void* user, char* to, int size) {
    auto& stream = *static_cast<Stream*>(user);
    const size_t count = std::min(static_cast<size_t>(size), stream.bytes.size() - stream.position);
    if (count == 0) stream.past_end = true;
    std::memcpy(to, stream.bytes.data() + stream.position, count);
    stream.position += count;
    return static_cast<int>(count);
  }
  static void skip(void* user, int count) {
    auto& stream = *static_cast<Stream*>(user);
    const int64_t place = static_cast<int64_t>(stream.position) + count;  // stb also steps back
    stream.position = static_cast<size_t>(std::clamp<int64_t>(place, 0, static_cast<int64_t>(stream.bytes.size())));
  }
  static int at_end(void* user) {
    const auto& stream = *static_cast<Stream*>(user);
    return stream.position >= stream.bytes.size();
  }
};
constexpr stbi_io_callbacks kCallbacks{Stream::read, Stream::skip, Stream::at_end};

void append_bytes(void* to, void* data, int size) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(data), static_cast<size_t>(size));
}

// What a picture's header says, as it is stored.
struct Header {
  int width = 0;
  int64_t height = 0;
  std::vector<JpegSegment> segments;  // of a JPEG
};

Header read_header(std::string_view bytes, const std::string& name) {
  check(!bytes.empty(), "{}: is empty, expected a JPEG, PNG or BMP picture", name);
  check(is_picture(bytes), "{}: is not a JPEG, PNG or BMP picture", name);
  Header header;
  if (is_jpeg(bytes)) header.segments = jpeg_segments(bytes);
  const std::string fault = jpeg_fault(header.segments);
  check(fault.empty(), "{}: has {}; {}", name, fault, kDamaged);

  // The header's tables are small; the picture's own limit follows when its size is known.
  decoder_allocation_limit = size_t{1} << 20;
  int height = 0, channels = 0;
  const bool has_header = stbi_info_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()),
                                                static_cast<int>(bytes.size()), &header.width, &height, &channels) != 0;
  check(has_header, "{}: has no readable picture header ({}); {}, or the picture far too large", name,
        stbi_failure_reason(), kDamaged);
  header.height = std::abs(int64_t{height});  // a BMP with its first row on top says so by a negative height
  check(header.width > 0 && header.height > 0, "{}: is {} x {} pixels, expected at least 1 x 1", name, header.width,
        header.height);
  check(int64_t{header.width} * header.height <= kMaximumPixels,
        "{}: is {} x {} pixels, more than {} megapixels; make it smaller", name, header.width, header.height,
        kMaximumPixels / 1'000'000);
  return header;
}

std::string read_picture_file(const std::filesystem::path& path) {
  std::error_code no_size;  // a missing file or a folder is read_file's to report
  const uintmax_t file_size = std::filesystem::file_size(path, no_size);
  check(no_size || file_size <= INT_MAX, "{}: is {} bytes, a picture file may have at most {}", path.string(),
        file_size, INT_MAX);
  return read_file(path);
}

}  // namespace

Bounds bounds_of(const Landmarks& landmarks) {
  const auto [left, right] =
      std::minmax_element(landmarks.begin(), landmarks.end(), [](Point a, Point b) { return a.x < b.x; });
  const auto [top, bottom] =
      std::minmax_element(landmarks.begin(), landmarks.end(), [](Point a, Point b) { return a.y < b.y; });
  return {left->x, top->y, right->x, bottom->y};
}

Image read_image(const std::filesystem::path& path) { return decode_image(read_picture_file(path), path.string()); }

Image decode_image(std::string_view bytes, const std::string& name) {
  const Header header = read_header(bytes, name);
  // Enough for 8 bytes a pixel (16-bit RGBA), sizes rounded up to a JPEG's blocks, and the growing buffer of packed
  // data.
  decoder_allocation_limit = (size_t{1} << 20) +
                             8 * static_cast<size_t>(header.width + 64) * static_cast<size_t>(header.height + 64) +
                             2 * bytes.size();
  Stream stream{bytes};
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> rgb(
      stbi_load_from_callbacks(&kCallbacks, &stream, &width, &height, &channels, 3), std::free);
  check(rgb != nullptr, "{}: cannot be decoded ({}); {}", name, stbi_failure_reason(), kDamaged);
  check(!stream.past_end, "{}: ends in the middle of the picture; the file is truncated", name);
  Image image(height, width);
  std::memcpy(image.rgb.data(), rgb.get(), image.rgb.size());
  return upright(std::move(image), exif_orientation(header.segments));
}

void check_image_header(const std::filesystem::path& path) { read_header(read_picture_file(path), path.string()); }

std::string encode_png(const Image& image) {
  std::string bytes;
  const int written =
      stbi_write_png_to_func(append_bytes, &bytes, image.width, image.height, 3, image.rgb.data(), image.width * 3);
  check(written != 0, "a picture of {} x {} pixels could not be encoded", image.width, image.height);
  return bytes;
}

void write_image(const std::filesystem::path& path, const Image& image, int jpeg_quality) {
  const std::string name = path.string();
  const int width = image.width, height = image.height;
  check(width > 0 && height > 0, "{}: cannot write a picture of {} x {} pixels", name, width, height);
  check(int64_t{width} * height <= kMaximumPixels, "{}: is {} x {} pixels, more than {} megapixels", name, width,
        height, kMaximumPixels / 1'000'000);
  check(image.rgb.size() == static_cast<size_t>(width) * static_cast<size_t>(height) * 3,
        "{}: the picture says {} x {} pixels but holds {} bytes", name, width, height, image.rgb.size());
  check(jpeg_quality >= 1 && jpeg_quality <= 100, "{}: JPEG quality is {}, expected 1 to 100", name, jpeg_quality);

  std::string extension = path.extension().string();
  for (char& letter : extension)
    letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  std::string bytes;
  int written = 1;
  if (extension == ".png") {
    bytes = encode_png(image);
  } else if (extension == ".jpg" || extension == ".jpeg") {
    constexpr int kMaximumSide = 65500;  // libjpeg's
    check(width <= kMaximumSide && height <= kMaximumSide, "{}: is {} x {} pixels, a JPEG's sides are at most {}", name,
          width, height, kMaximumSide);
    bytes = encode_jpeg(image, jpeg_quality);
  } else if (extension == ".bmp") {
    written = stbi_write_bmp_to_func(append_bytes, &bytes, width, height, 3, image.rgb.data());
  } else {
    fail("{}: pictures are written as .png, .jpg, .jpeg or .bmp, not '{}'", name, extension);
  }
  check(written != 0, "{}: the picture could not be encoded", name);
  write_file(path, bytes);
}

}  // namespace sandglass
