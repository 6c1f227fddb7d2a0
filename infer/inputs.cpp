#include "infer/inputs.h"

#include <fmt/format.h>

#include <algorithm>

#include "face/file_kinds.h"

namespace sandglass {
namespace {

using std::filesystem::path;

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

void add_folder(const path& folder, InputList& list) {
  namespace fs = std::filesystem;
  std::vector<path> pictures;
  size_t videos = 0;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error), end;
  while (!error && entries != end) {
    const path& file = entries->path();
    std::error_code unknown;  // a link that leads nowhere is no picture
    if (file.filename().string().starts_with('.')) {
      entries.disable_recursion_pending();
    } else if (entries->is_regular_file(unknown)) {
      if (has_extension(file, picture_extensions())) pictures.push_back(file);
      if (has_extension(file, video_extensions())) ++videos;
    }
    entries.increment(error);
  }
  if (error) {
    list.inputs.push_back({folder, fmt::format("{}: cannot be read ({})", folder.string(), error.message())});
    return;
  }
  if (videos > 0) {
    list.remarks.push_back(fmt::format("{}: {} {} left out; videos are not read yet, extract their frames as pictures",
                                       folder.string(), videos, videos == 1 ? "video is" : "videos are"));
  }
  if (pictures.empty()) {
    list.inputs.push_back(
        {folder, fmt::format("{}: this folder has no pictures (.jpg, .jpeg, .png or .bmp)", folder.string())});
    return;
  }
  std::sort(pictures.begin(), pictures.end(),
            [](const path& a, const path& b) { return natural_less(a.native(), b.native()); });
  for (path& picture : pictures) list.inputs.push_back({std::move(picture), ""});
}

}  // namespace

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

InputList find_inputs(const std::vector<path>& paths) {
  InputList list;
  for (const path& given : paths) {
    std::error_code error;
    const auto status = std::filesystem::status(given, error);
    if (std::filesystem::is_directory(status)) {
      add_folder(given, list);
    } else if (!std::filesystem::exists(status)) {
      list.inputs.push_back({given, fmt::format("{}: no such file or folder", given.string())});
    } else if (!std::filesystem::is_regular_file(status)) {
      list.inputs.push_back({given, fmt::format("{}: is neither a file nor a folder", given.string())});
    } else if (has_extension(given, video_extensions())) {
      list.inputs.push_back(
          {given, fmt::format("{}: videos are not read yet; extract the frames as pictures and give their folder, for "
                              "example with: ffmpeg -i VIDEO frame_%05d.png",
                              given.string())});
    } else {
      list.inputs.push_back({given, ""});
    }
  }
  return list;
}

}  // namespace sandglass
