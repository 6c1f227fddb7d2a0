// Files of data sets on the disk: folders whose names are spelled in several ways, numbers in file names.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "face/file_kinds.h"

namespace sandglass {

/// Letters and digits of a name, in lower case: "AU Intensity Codes3.0" and "AU-Intensity-Codes3.0" are one.
std::string plain_name(std::string_view name);

/// Folders and files in a folder, in natural order, those that begin with a dot left out. Throws Error naming the
/// folder if it is not there or cannot be read.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder);
std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder);

/// `root`, or the first folder at most `depth` levels below it, that `wanted` takes; nearer ones come first, and what
/// `wanted` takes is not looked into. Nothing if there is none.
std::optional<std::filesystem::path> find_folder(const std::filesystem::path& root, int depth,
                                                 const std::function<bool(const std::filesystem::path&)>& wanted);

/// The last number in a file's name: 2440 for "02440.jpg", 7 for "SN001_0007_lm.mat". Nothing if there is none, or it
/// is above 10^9.
std::optional<int> number_in(const std::filesystem::path& file);

/// The files of one of `extensions` (lower case, with the dot; compared in any case) in a folder, by number_in().
std::map<int, std::filesystem::path> numbered_files(const std::filesystem::path& folder,
                                                    const std::vector<std::string_view>& extensions);

}  // namespace sandglass
