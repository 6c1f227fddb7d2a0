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

void check_not_there(const std::filesystem::path& path, bool force) {
  std::error_code error;
  check(force || !std::filesystem::is_regular_file(path, error),
        "{}: is there already; name another file, or give --force to replace it", path.string());
}

OutputFile::OutputFile(std::filesystem::path path, Content content) : path_(std::move(path)), content_(content) {
  check(!path_.empty(), "the name of a file to write is empty");
  if (is_standard_output()) {
    descriptor_ = dup(STDOUT_FILENO);
    if (descriptor_ < 0) fail_with(errno);
    return;
  }
  std::error_code error;
  constexpr int kMostLinks = 40;  // as the system's own limit
  for (int links = 0; std::filesystem::is_symlink(path_, error); ++links) {
    if (links == kMostLinks) fail_with(ELOOP);
    path_ = path_.parent_path() / std::filesystem::read_symlink(path_, error);
  }
  temporary_ = temporary_name(path_);
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
  try {
    flush();
    if (!is_standard_output()) rename();
  } catch (const Error&) {
    if (error_ == 0 || !keep_lines()) throw;
    fail("{}: could not be written to its end ({}); it has the lines up to there", path_.string(),
         std::strerror(error_));
  }
  close(descriptor_);
  descriptor_ = -1;
}

void OutputFile::rename() {
  if (fsync(descriptor_) != 0) fail_with(errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with(errno);
}

// Cuts the file behind the last line that is complete and gives it its name; whether there is one now.
bool OutputFile::keep_lines() {
  std::error_code unknown;
  if (content_ != Content::lines || is_standard_output() || std::filesystem::exists(path_, unknown)) return false;
  char last = 0;
  while (written_ > 0 && pread(descriptor_, &last, 1, static_cast<off_t>(written_ - 1)) == 1 && last != '\n')
    --written_;
  if (written_ == 0 || ftruncate(descriptor_, static_cast<off_t>(written_)) != 0) return false;
  rename();
  close(descriptor_);
  descriptor_ = -1;
  return true;
}

void OutputFile::flush() {
  write_all(buffer_);
  buffer_.clear();
}

void OutputFile::write_all(std::string_view bytes) {
  if (error_ != 0) fail_with(error_);  // what follows a gap is worth nothing
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      error_ = written < 0 ? errno : EIO;
      fail_with(error_);
    }
    written_ += static_cast<uint64_t>(written);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void OutputFile::fail_with(int reason) const {
  if (is_standard_output()) fail("standard output: cannot be written ({})", std::strerror(reason));
  fail("{}: cannot be written ({}); the previous content, if any, is untouched", path_.string(), std::strerror(reason));
}

}  // namespace sandglass
