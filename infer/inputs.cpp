#include "infer/inputs.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "face/file_kinds.h"

namespace sandglass {
namespace {

using std::filesystem::path;

bool is_video(const path& file) { return has_extension(file, video_extensions()); }

void sort_naturally(std::vector<path>& files) {
  std::sort(files.begin(), files.end(),
            [](const path& a, const path& b) { return natural_less(a.native(), b.native()); });
}

bool begins_like_picture(const path& file) {
  char bytes[8] = {};
  std::ifstream stream(file, std::ios::binary);
  stream.read(bytes, sizeof(bytes));
  return is_picture({bytes, static_cast<size_t>(stream.gcount())});
}

void add_file(const path& file, std::vector<Input>& inputs) {
  const bool is_picture = has_extension(file, picture_extensions()) || (!is_video(file) && begins_like_picture(file));
  inputs.push_back({file, "", is_picture ? InputKind::picture : InputKind::video});
}

void add_folder(const path& folder, std::vector<Input>& inputs) {
  namespace fs = std::filesystem;
  std::vector<path> files;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error), end;
  while (!error && entries != end) {
    const path& file = entries->path();
    std::error_code unknown;  // a link that leads nowhere is no picture
    if (file.filename().string().starts_with('.')) {
      entries.disable_recursion_pending();
    } else if (entries->is_regular_file(unknown) && (has_extension(file, picture_extensions()) || is_video(file))) {
      files.push_back(file);
    }
    entries.increment(error);
  }
  if (error) {
    inputs.push_back({folder, fmt::format("{}: cannot be read ({})", folder.string(), error.message())});
    return;
  }
  if (files.empty()) {
    inputs.push_back({folder, fmt::format("{}: this folder has no pictures (.jpg, .jpeg, .png or .bmp) and no videos",
                                          folder.string())});
    return;
  }
  sort_naturally(files);
  for (const path& file : files) add_file(file, inputs);
}

// A file name with one number in it, as printf writes it: %d, or with at least `digits` digits %05d.
struct NumberedName {
  std::string before, after;
  size_t digits = 1;

  // The number in a file's name if it is such a one.
  std::optional<uint64_t> number_in(std::string_view name) const {
    if (!name.starts_with(before) || !name.ends_with(after) || name.size() < before.size() + digits + after.size())
      return std::nullopt;
    const std::string_view text = name.substr(before.size(), name.size() - before.size() - after.size());
    if (text.size() > digits && text[0] == '0') return std::nullopt;
    uint64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    return fault == std::errc{} && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
  }
};

std::optional<NumberedName> numbered_name(const std::string& pattern) {
  const size_t percent = pattern.find('%');
  if (percent == pattern.npos) return std::nullopt;
  size_t place = percent + 1;
  NumberedName name{pattern.substr(0, percent), "", 1};
  if (place + 1 < pattern.size() && pattern[place] == '0' && pattern[place + 1] >= '1' && pattern[place + 1] <= '9') {
    name.digits = static_cast<size_t>(pattern[place + 1] - '0');
    place += 2;
  }
  if (place >= pattern.size() || pattern[place] != 'd') return std::nullopt;
  name.after = pattern.substr(place + 1);
  return name;
}

void add_numbered(const path& pattern, const NumberedName& name, InputList& list) {
  const path folder = pattern.parent_path();
  std::map<uint64_t, path> frames;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder.empty() ? "." : folder, error), end;
  for (; !error && entries != end; entries.increment(error)) {
    const path file = entries->path().filename();
    if (const auto number = name.number_in(file.string())) frames.emplace(*number, folder / file);
  }
  Input input{pattern, "", InputKind::sequence};
  for (const auto& [number, file] : frames) input.files.push_back(file);
  if (frames.empty()) {
    input.error = fmt::format("{}: no file has such a name", pattern.string());
  } else if (const uint64_t gaps = frames.rbegin()->first - frames.begin()->first + 1 - frames.size(); gaps > 0) {
    list.remarks.push_back(fmt::format("{}: {} of the numbers {} to {} are missing; frames are counted by their place",
                                       pattern.string(), gaps, frames.begin()->first, frames.rbegin()->first));
  }
  list.inputs.push_back(std::move(input));
}

// The paths that a pattern with *, ? or [...] stands for.
std::vector<path> matches_of(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, void (*)(glob_t*)> free_it(&found, globfree);
  std::vector<path> matches;
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0)
    matches.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  sort_naturally(matches);
  return matches;
}

// Adds a file or what a folder stands for; false if there is no such path.
bool add_existing(const path& given, std::vector<Input>& inputs) {
  std::error_code error;
  const auto status = std::filesystem::status(given, error);
  if (std::filesystem::is_directory(status)) {
    add_folder(given, inputs);
  } else if (std::filesystem::is_regular_file(status)) {
    add_file(given, inputs);
  } else if (std::filesystem::exists(status)) {
    inputs.push_back({given, fmt::format("{}: is neither a file nor a folder", given.string())});
  } else {
    return false;
  }
  return true;
}

void add(const path& given, const InputOptions& options, InputList& list) {
  const std::string name = given.string();
  std::error_code error;
  if (name == "-" || name.starts_with("/dev/video") ||
      (options.videos && !std::filesystem::is_directory(given, error))) {
    list.inputs.push_back({given, "", InputKind::video});
    return;
  }
  if (add_existing(given, list.inputs)) return;
  if (const auto numbered = numbered_name(given.filename().string())) {
    add_numbered(given, *numbered, list);
    return;
  }
  if (name.empty()) {
    list.inputs.push_back({given, "the name of a file is empty"});
    return;
  }
  bool found = false;
  for (const path& match : matches_of(name)) found = add_existing(match, list.inputs) || found;
  if (found) return;
  const bool is_pattern = name.find_first_of("*?[") != name.npos;
  list.inputs.push_back(
      {given, fmt::format("{}: {}", name, is_pattern ? "no file has such a name" : "no such file or folder")});
}

// Pictures in the same folder become one sequence.
std::vector<Input> as_sequences(std::vector<Input> inputs) {
  std::vector<Input> sequences;
  std::unordered_map<std::string, size_t> of_folder;
  for (Input& input : inputs) {
    if (input.kind != InputKind::picture || !input.error.empty()) {
      sequences.push_back(std::move(input));
      continue;
    }
    const path parent = input.path.parent_path(), folder = parent.empty() ? "." : parent;
    const auto [place, is_new] = of_folder.try_emplace(folder.string(), sequences.size());
    if (is_new) sequences.push_back({folder, "", InputKind::sequence});
    sequences[place->second].files.push_back(std::move(input.path));
  }
  return sequences;
}

}  // namespace

InputList find_inputs(const std::vector<path>& paths, const InputOptions& options) {
  InputList list;
  for (const path& given : paths) add(given, options, list);
  if (options.sequences) list.inputs = as_sequences(std::move(list.inputs));
  return list;
}

}  // namespace sandglass
