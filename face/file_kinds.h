// Pictures and videos by their file's name or first bytes, and the order of such names.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace sandglass {

/// Whether a file has one of these extensions (lower case, with the dot; compared in any case).
bool has_extension(const std::filesystem::path& file, const std::vector<std::string_view>& extensions);

/// .jpg, .jpeg, .png, .bmp.
const std::vector<std::string_view>& picture_extensions();
/// .mp4, .m4v, .mov, .3gp, .3g2, .avi, .mkv, .webm, .ogv, .wmv, .asf, .flv, .mpg, .mpeg, .vob, .ts, .mts, .m2ts, .mxf,
/// .dv, .mjpeg, .mjpg.
const std::vector<std::string_view>& video_extensions();

/// Whether a file with these bytes is a JPEG, or any picture that is read here: JPEG, PNG or BMP.
bool is_jpeg(std::string_view bytes);
bool is_picture(std::string_view bytes);

/// Whether `a` comes before `b` in an order in which numbers count as numbers: "frame_2" before "frame_10". A strict
/// weak order in which only equal texts are equivalent.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace sandglass
