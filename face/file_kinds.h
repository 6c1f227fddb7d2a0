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
/// .mp4, .avi, .mov, .mkv, .webm, .wmv, .mpg, .mpeg, .m4v.
const std::vector<std::string_view>& video_extensions();

}  // namespace sandglass
