#include "face/file_kinds.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace sandglass {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The run of digits at the start of `text`, and the same without leading zeros.
std::string_view digits_of(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  return text.substr(0, count);
}
std::string_view without_zeros(std::string_view digits) {
  return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

}  // namespace

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

bool natural_less(std::string_view a, std::string_view b) {
  std::string_view left = a, right = b;
  while (!left.empty() && !right.empty()) {
    if (is_digit(left[0]) && is_digit(right[0])) {
      const std::string_view left_digits = digits_of(left), right_digits = digits_of(right);
      const std::string_view left_number = without_zeros(left_digits), right_number = without_zeros(right_digits);
      if (left_number.size() != right_number.size()) return left_number.size() < right_number.size();
      if (left_number != right_number) return left_number < right_number;
      left.remove_prefix(left_digits.size());
      right.remove_prefix(right_digits.size());
    } else {
      if (left[0] != right[0]) return static_cast<unsigned char>(left[0]) < static_cast<unsigned char>(right[0]);
      left.remove_prefix(1);
      right.remove_prefix(1);
    }
  }
  if (left.empty() != right.empty()) return left.empty();
  return a < b;  // equal but for leading zeros
}

}  // namespace sandglass
