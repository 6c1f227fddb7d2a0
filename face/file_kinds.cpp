#include "face/file_kinds.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace sandglass {

bool has_extension(const std::filesystem::path& file, const std::vector<std::string_view>& extensions) {
  std::string extension = file.extension().string();
  for (char& letter : extension) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
}

const std::vector<std::string_view>& picture_extensions() {
  static const std::vector<std::string_view> extensions{".jpg", ".jpeg", ".png", ".bmp"};
  return extensions;
}

const std::vector<std::string_view>& video_extensions() {
  static const std::vector<std::string_view> extensions{
      ".mp4", ".m4v", ".mov",  ".3gp", ".3g2", ".avi", ".mkv",  ".webm", ".ogv", ".wmv",   ".asf",
      ".flv", ".mpg", ".mpeg", ".vob", ".ts",  ".mts", ".m2ts", ".mxf",  ".dv",  ".mjpeg", ".mjpg"};
  return extensions;
}

bool is_jpeg(std::string_view bytes) { return bytes.starts_with("\xFF\xD8\xFF"); }

bool is_picture(std::string_view bytes) {
  return is_jpeg(bytes) || bytes.starts_with("\x89PNG") || bytes.starts_with("BM");
}

}  // namespace sandglass
