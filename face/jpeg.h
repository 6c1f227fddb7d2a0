// JPEG files: written by libjpeg, and what must be known of one before stb_image decodes it: that it is safe, and how
// to turn its picture.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// A marker of a JPEG file, such as 0xDA, start of scan, with the content of its segment (without the length bytes).
struct JpegSegment {
  uint32_t marker;
  std::string_view content;
};

/// The markers of a JPEG file in their order, up to the end of the picture or of the bytes; a segment that the bytes
/// cut off is cut too. Restart markers, which lie inside compressed data, are left out. Source: ITU-T T.81, annex B.
std::vector<JpegSegment> jpeg_segments(std::string_view jpeg);

/// Why these segments must not be decoded, or "": stb_image 2.27 writes beyond its tables where a Huffman table has
/// more than 256 codes, also when it reads one beyond its segment; and it takes a pass over the picture for each scan,
/// of which a small file can hold thousands (cameras and editors write a dozen at most).
std::string jpeg_fault(const std::vector<JpegSegment>& segments);

/// The orientation (TIFF tag 0x0112 in the Exif segment), 1 to 8; 1 (as stored) when there is none or it cannot be
/// read. Source: Exif 2.32 (CIPA DC-008), section 4.6.4.
int exif_orientation(const std::vector<JpegSegment>& segments);

/// `image`, stored with the given orientation (1 to 8), as it should be shown. 5 to 8 exchange height and width.
Image upright(Image image, int orientation);

/// `image` as a JPEG file of `quality` 1 to 100, its sides at most 65500 pixels (JPEG_MAX_DIMENSION). Colour
/// differences have half the resolution up to quality 90 and all of it above. Throws Error if libjpeg fails.
std::string encode_jpeg(const Image& image, int quality);

}  // namespace sandglass
