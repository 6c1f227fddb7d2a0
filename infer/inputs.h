// Which pictures a run reads: files and folders as the user names them, in the order in which their results appear.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sandglass {

/// One input: a picture to read, or why there is none to read.
struct Input {
  std::filesystem::path path;
  std::string error;  ///< empty for a picture
};

struct InputList {
  std::vector<Input> inputs;
  std::vector<std::string> remarks;  ///< what was left out of folders, a line each
};

/// Files stay as they are named. A folder stands for all pictures below it (.jpg, .jpeg, .png, .bmp, in any case; names
/// that begin with a dot are left out), sorted naturally by their path. A video, a folder without pictures and a path
/// that does not exist become inputs with an error; videos in folders only a remark.
InputList find_inputs(const std::vector<std::filesystem::path>& paths);

/// Whether `a` comes before `b` in an order in which numbers count as numbers: "frame_2" before "frame_10". A strict
/// weak order in which only equal texts are equivalent.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace sandglass
