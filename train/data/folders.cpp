#include "train/data/folders.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "engine/error.h"

namespace sandglass {
namespace {

using std::filesystem::path;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::vector<path> entries_of(const path& folder, bool folders) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error), end;
  check(!error, "{}: is no folder that can be read ({})", folder.string(), error.message());
  std::vector<path> found;
  while (entries != end) {
    std::error_code unknown;  // a link that leads nowhere is neither
    const bool wanted = folders ? entries->is_directory(unknown) : entries->is_regular_file(unknown);
    if (wanted && entries->path().filename().native()[0] != '.') found.push_back(entries->path());
    entries.increment(error);
    check(!error, "{}: cannot be read ({})", folder.string(), error.message());
  }
  std::sort(found.begin(), found.end(),
            [](const path& a, const path& b) { return natural_less(a.native(), b.native()); });
  return found;
}

}  // namespace

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    const char letter = lower(c);
    if (is_digit(letter) || (letter >= 'a' && letter <= 'z')) plain += letter;
  }
  return plain;
}

std::vector<path> folders_in(const path& folder) { return entries_of(folder, true); }
std::vector<path> files_in(const path& folder) { return entries_of(folder, false); }

std::optional<path> find_folder(const path& root, int depth, const std::function<bool(const path&)>& wanted) {
  std::vector<path> level{root};
  for (int i = 0; i <= depth; ++i) {
    std::vector<path> next;
    for (const path& folder : level) {
      if (wanted(folder)) return folder;
      if (i == depth) continue;
      for (path& inner : folders_in(folder)) next.push_back(std::move(inner));
    }
    level = std::move(next);
  }
  return std::nullopt;
}

std::optional<int> number_in(const path& file) {
  const std::string stem = file.stem().string();
  size_t end = stem.size();
  while (end > 0 && !is_digit(stem[end - 1])) --end;
  size_t begin = end;
  while (begin > 0 && is_digit(stem[begin - 1])) --begin;
  int number = 0;
  const auto [rest, error] = std::from_chars(stem.data() + begin, stem.data() + end, number);
  if (begin == end || error != std::errc() || number > 1'000'000'000) return std::nullopt;
  return number;
}

std::map<int, path> numbered_files(const path& folder, const std::vector<std::string_view>& extensions) {
  std::map<int, path> files;
  for (path& file : files_in(folder)) {
    if (!has_extension(file, extensions)) continue;
    if (const auto number = number_in(file)) files.emplace(*number, std::move(file));
  }
  return files;
}

}  // namespace sandglass
