#include "engine/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr size_t kBuffer = size_t{1} << 16;

std::string temporary_name(const std::filesystem::path& path) {
  static std::atomic<int> number = 0;  // two files of one process may be meant for the same path
  return fmt::format("{}.{}.{}.tmp", path.string(), getpid(), number++);
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)) {
  check(!path_.empty(), "the name of a file to write is empty");
  if (is_standard_output()) {
    descriptor_ = dup(STDOUT_FILENO);
    if (descriptor_ < 0) fail_with(errno);
    return;
  }
  temporary_ = temporary_name(path_);
  std::error_code error;
  const auto status = std::filesystem::status(path_, error);
  check(!std::filesystem::is_directory(status),
        "{}: is a folder, expected the name of a file to write; it cannot be written", path_.string());
  check(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
        "{}: is no file but a device or the like, which is not replaced; it cannot be written", path_.string());
  descriptor_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_with(errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  if (!is_standard_output()) unlink(temporary_.c_str());
}

void OutputFile::append(std::string_view bytes) {
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBuffer) flush();
  if (bytes.size() > kBuffer || is_standard_output()) {
    write_all(bytes);
  } else {
    buffer_ += bytes;
  }
}

void OutputFile::append(OutputFile& other) {
  other.flush();
  std::vector<char> piece(size_t{1} << 20);
  uint64_t at = 0;
  while (at < other.size_) {
    const ssize_t count = pread(other.descriptor_, piece.data(), piece.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) other.fail_with(count < 0 ? errno : EIO);
    append({piece.data(), static_cast<size_t>(count)});
    at += static_cast<uint64_t>(count);
  }
}

void OutputFile::commit() {
  if (incomplete_) fail_with(EIO);
  flush();
  if (!is_standard_output()) {
    if (fsync(descriptor_) != 0) fail_with(errno);
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with(errno);
  }
  close(descriptor_);
  descriptor_ = -1;
}

void OutputFile::flush() {
  write_all(buffer_);
  buffer_.clear();
}

void OutputFile::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      incomplete_ = true;
      fail_with(written < 0 ? errno : EIO);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void OutputFile::fail_with(int reason) const {
  if (is_standard_output()) fail("standard output: cannot be written ({})", std::strerror(reason));
  fail("{}: cannot be written ({}); the previous content, if any, is untouched", path_.string(), std::strerror(reason));
}

}  // namespace sandglass
