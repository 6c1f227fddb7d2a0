// Whole files in, whole files out: a reader never sees half of one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sandglass {

/// The file's bytes; a pipe's, too. Throws Error naming the path if it is missing, a folder, a device or unreadable.
std::string read_file(const std::filesystem::path& path);

/// Writes `content` to a temporary name in the same folder, flushes it to the disk and renames it to `path`, so that
/// `path` holds either its old content or the new one, also after a crash or a full disk. Throws Error naming the path.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace sandglass
