#include "train/data/subjects.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/error.h"
#include "engine/tensor_file.h"
#include "train/data/csv.h"

namespace sandglass {
namespace {

constexpr std::array<std::array<int, 9>, 3> kDisfaParts{
    {{2, 10, 1, 26, 27, 32, 30, 9, 16}, {13, 18, 11, 28, 12, 6, 31, 21, 24}, {3, 29, 23, 25, 8, 5, 7, 17, 4}}};

std::vector<std::string> preset(std::string_view name) {
  std::vector<std::string> subjects;
  if (name == "bp4d-train" || name == "bp4d-development") {
    const int women = 23, men = 18;
    for (int i = name == "bp4d-train" ? 1 : 2; i <= women; i += 2) {
      subjects.push_back(fmt::format("F{:03}", i));
      if (i <= men) subjects.push_back(fmt::format("M{:03}", i));
    }
  }
  for (size_t part = 0; part < kDisfaParts.size(); ++part) {
    if (name != fmt::format("disfa-part{}", part + 1)) continue;
    for (const int i : kDisfaParts[part]) subjects.push_back(fmt::format("SN{:03}", i));
  }
  return subjects;
}

}  // namespace

Subjects::Subjects(std::string_view text) {
  if (trimmed(text) == "all") {
    all_ = true;
    return;
  }
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view name = trimmed(text.substr(begin, end - begin));
    check(!name.empty(), "subjects {}: expected 'all', or names separated by commas", in_quotes(std::string(text)));
    const std::vector<std::string> listed = preset(name);
    names_.insert(listed.begin(), listed.end());
    if (listed.empty()) names_.insert(std::string(name));
    begin = end + 1;
  }
}

}  // namespace sandglass
