#include "face/jpeg.h"

#include <fmt/format.h>

#include <algorithm>

#ifdef SANDGLASS_LIBJPEG
#include <csetjmp>
#include <cstdio>  // for jpeglib.h
#include <cstdlib>

#include <jpeglib.h>
#endif

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr uint32_t kHuffmanTables = 0xC4, kEndOfImage = 0xD9, kStartOfScan = 0xDA, kApp1 = 0xE1;

/// Big- or little-endian unsigned integers out of bytes; whoever reads past the end gets 0.
struct Bytes {
  std::string_view bytes;
  bool big_endian = true;

  uint32_t integer(size_t offset, size_t count) const {
    if (offset > bytes.size() || bytes.size() - offset < count) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes[offset + (big_endian ? i : count - 1 - i)]);
    }
    return value;
  }
};

/// Whether a marker stands for itself, without a segment: restart 0-7, start of image, or the reserved 0x01.
bool stands_alone(uint32_t marker) { return (marker >= 0xD0 && marker <= 0xD8) || marker == 0x01; }

/// The orientation in a TIFF block, or 1.
int tiff_orientation(std::string_view tiff) {
  constexpr uint32_t kOrientationTag = 0x0112, kShort = 3;
  const bool big_endian = tiff.substr(0, 2) == "MM";
  if (!big_endian && tiff.substr(0, 2) != "II") return 1;
  const Bytes data{tiff, big_endian};
  const size_t directory = data.integer(4, 4);
  const uint32_t entries = data.integer(directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (data.integer(entry, 2) != kOrientationTag || data.integer(entry + 2, 2) != kShort) continue;
    const uint32_t orientation = data.integer(entry + 8, 2);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

#ifdef SANDGLASS_LIBJPEG

/// libjpeg with the file that it makes. Its error handler must not return, so it jumps back into encode(), which for
/// that holds no object of its own.
class JpegEncoder {
 public:
  JpegEncoder() {
    state_.err = jpeg_std_error(&handler_);
    state_.client_data = this;
    handler_.error_exit = [](j_common_ptr state) {
      auto& encoder = *static_cast<JpegEncoder*>(state->client_data);
      state->err->format_message(state, encoder.message_.data());
      std::longjmp(encoder.back_, 1);
    };
  }
  ~JpegEncoder() {
    jpeg_destroy_compress(&state_);
    std::free(bytes_);
  }
  JpegEncoder(const JpegEncoder&) = delete;
  JpegEncoder& operator=(const JpegEncoder&) = delete;

  bool encode(const Image& image, int quality) {
    if (setjmp(back_) != 0) return false;
    jpeg_create_compress(&state_);
    jpeg_mem_dest(&state_, &bytes_, &size_);
    state_.image_width = static_cast<JDIMENSION>(image.width);
    state_.image_height = static_cast<JDIMENSION>(image.height);
    state_.input_components = 3;
    state_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&state_);
    jpeg_set_quality(&state_, quality, TRUE);
    if (quality > 90) state_.comp_info[0].h_samp_factor = state_.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&state_, TRUE);
    while (state_.next_scanline < state_.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(image.at(static_cast<int>(state_.next_scanline), 0));  // libjpeg only reads
      jpeg_write_scanlines(&state_, &row, 1);
    }
    jpeg_finish_compress(&state_);
    return true;
  }
  std::string file() const { return {reinterpret_cast<const char*>(bytes_), size_}; }
  const char* message() const { return message_.data(); }

 private:
  jpeg_compress_struct state_{};
  jpeg_error_mgr handler_{};
  std::jmp_buf back_;
  std::array<char, JMSG_LENGTH_MAX> message_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

#endif

}  // namespace

std::vector<JpegSegment> jpeg_segments(std::string_view jpeg) {
  const Bytes data{jpeg};
  std::vector<JpegSegment> segments;
  // A marker is 0xFF and a byte that is neither 0 (a 0xFF of compressed data) nor 0xFF (filling).
  for (size_t at = jpeg.find('\xFF'); at < jpeg.size(); at = jpeg.find('\xFF', at)) {
    const uint32_t marker = data.integer(++at, 1);
    if (marker == 0xFF) continue;
    ++at;
    if (marker == 0 || stands_alone(marker)) continue;
    if (marker == kEndOfImage) break;
    const size_t length = std::max<size_t>(data.integer(at, 2), 2);  // counts its own two bytes
    segments.push_back({marker, jpeg.substr(std::min(at + 2, jpeg.size()), length - 2)});
    at += length;
  }
  return segments;
}

std::string jpeg_fault(const std::vector<JpegSegment>& segments) {
  constexpr size_t kMaximumScans = 100, kMaximumCodes = 256, kLengths = 16;
  size_t scans = 0;
  for (const auto& [marker, content] : segments) {
    scans += marker == kStartOfScan;
    if (marker != kHuffmanTables) continue;
    for (size_t at = 0; at < content.size();) {  // each table: a byte, the number of codes of each length, the codes
      size_t codes = 0;
      for (size_t i = 1; i <= kLengths; ++i) codes += Bytes{content}.integer(at + i, 1);
      if (codes > kMaximumCodes)
        return fmt::format("a Huffman table of {} codes, at most {} are legal", codes, kMaximumCodes);
      at += 1 + kLengths + codes;
      if (at > content.size()) return "a Huffman table that ends beyond its segment";
    }
  }
  return scans > kMaximumScans ? fmt::format("{} scans, at most {} are read", scans, kMaximumScans) : "";
}

int exif_orientation(const std::vector<JpegSegment>& segments) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  for (const auto& [marker, content] : segments) {
    if (marker == kApp1 && content.substr(0, kExif.size()) == kExif)
      return tiff_orientation(content.substr(kExif.size()));
  }
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool transposed = orientation >= 5;
  const int last_y = image.height - 1, last_x = image.width - 1;
  Image shown(transposed ? image.width : image.height, transposed ? image.height : image.width);
  for (int y = 0; y < shown.height; ++y) {
    for (int x = 0; x < shown.width; ++x) {
      int from_y = transposed ? x : y, from_x = transposed ? y : x;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) from_y = last_y - from_y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) from_x = last_x - from_x;
      const uint8_t* from = image.at(from_y, from_x);
      uint8_t* to = shown.at(y, x);
      to[0] = from[0], to[1] = from[1], to[2] = from[2];
    }
  }
  return shown;
}

#ifdef SANDGLASS_LIBJPEG
std::string encode_jpeg(const Image& image, int quality) {
  JpegEncoder encoder;
  check(encoder.encode(image, quality), "a picture of {} x {} pixels cannot be written as JPEG: {}", image.width,
        image.height, encoder.message());
  return encoder.file();
}
#else
std::string encode_jpeg(const Image&, int) {
  fail("this build cannot write JPEG files: it leaves out libjpeg (configure with -DSANDGLASS_LIBJPEG=ON); take .png");
}
#endif

}  // namespace sandglass
