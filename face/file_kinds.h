// Pictures and videos by their file's name.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace sandglass {

/// Whether a file has one of these extensions (lower case, with the dot; compared in any case).
bool has_extension(const std::filesystem::path& file, const std::vector<std::string_view>& extensions);

/// .jpg, .jpeg, .png, .bmp.
const std::vector<std::string_view>& picture_extensions();
/// .mp4, .m4v, .mov, .3gp, .avi, .mkv, .webm, .ogv, .wmv, .flv, .mpg, .mpeg, .ts, .mts, .m2ts, .mjpeg, .mjpg.
const std::vector<std::string_view>& video_extensions();

}  // namespace sandglass
