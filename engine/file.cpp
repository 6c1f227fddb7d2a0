#include "engine/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "engine/error.h"

namespace sandglass {

std::string read_file(const std::filesystem::path& path) {
  std::error_code error;
  check(std::filesystem::exists(path, error), "{}: no such file", path.string());
  check(!std::filesystem::is_directory(path, error), "{}: is a folder, expected a file", path.string());
  std::ifstream file(path, std::ios::binary);
  check(file.is_open(), "{}: cannot be read ({})", path.string(), std::strerror(errno));
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  check(!file.bad(), "{}: reading failed ({})", path.string(), std::strerror(errno));
  return content;
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.{}.tmp", path.string(), getpid());
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  check(descriptor >= 0, "{}: cannot be written ({})", path.string(), std::strerror(errno));
  bool good = true;
  while (good && !content.empty()) {
    const ssize_t written = write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    good = written > 0;
    if (good) content.remove_prefix(static_cast<size_t>(written));
  }
  good = good && fsync(descriptor) == 0;
  int reason = errno;
  if (close(descriptor) != 0 && good) {
    good = false;
    reason = errno;
  }
  if (good && std::rename(temporary.c_str(), path.c_str()) != 0) {
    good = false;
    reason = errno;
  }
  if (!good) {
    unlink(temporary.c_str());
    fail("{}: cannot be written ({}); the previous content, if any, is untouched", path.string(),
         std::strerror(reason));
  }
}

}  // namespace sandglass
