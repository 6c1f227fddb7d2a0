#include "engine/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/error.h"
#include "engine/output_file.h"

namespace sandglass {

std::string read_file(const std::filesystem::path& path) {
  check(!path.empty(), "the name of a file is empty");
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor >= 0, "{}: {}", path.string(),
        errno == ENOENT ? "no such file" : fmt::format("cannot be read ({})", std::strerror(errno)));
  std::string content;
  struct stat status {};
  const bool known = fstat(descriptor, &status) == 0;
  if (known && (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))) {  // /dev/zero has no end; pipes have
    close(descriptor);
    fail("{}: is a device, expected a file", path.string());
  }
  if (known && status.st_size > 0) content.reserve(static_cast<size_t>(status.st_size));
  char piece[1 << 16];
  ssize_t count = 0;
  while ((count = read(descriptor, piece, sizeof piece)) > 0 || (count < 0 && errno == EINTR))
    if (count > 0) content.append(piece, static_cast<size_t>(count));
  const int reason = errno;
  close(descriptor);
  check(count == 0, "{}: {}", path.string(),
        reason == EISDIR ? "is a folder, expected a file" : fmt::format("cannot be read ({})", std::strerror(reason)));
  return content;
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  OutputFile file(path);
  file.append(content);
  file.commit();
}

}  // namespace sandglass
