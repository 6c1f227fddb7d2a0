#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "engine/error.h"

namespace sandglass {

RunFolder::RunFolder(const std::filesystem::path& path) : path_(path) {
  std::error_code error;
  made_ = std::filesystem::create_directories(path_, error);
  lock_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(lock_ >= 0, "{}: cannot be used as a run's folder ({})", path_.string(),
        error ? error.message() : std::strerror(errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    close(lock_);
    check(reason != EWOULDBLOCK, "{}: another process is training in this folder", path_.string());
    fail("{}: cannot be locked ({})", path_.string(), std::strerror(reason));
  }
  // write_file's temporary names: those of a run that was killed while writing.
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename().string();
    for (const auto& file :
         {config(), checkpoint(), last(), best(), completed_manifest(), description(), evaluation(), report()}) {
      if (name.starts_with(file.filename().string() + ".") && name.ends_with(".tmp")) {
        std::filesystem::remove(entry.path(), error);
      }
    }
  }
}

RunFolder::~RunFolder() {
  std::error_code error;
  if (made_) std::filesystem::remove(path_, error);  // refuses a folder that holds something
  close(lock_);
}

bool RunFolder::holds_run() const {
  std::error_code error;
  for (const auto& file : {checkpoint(), last(), best()}) {
    if (std::filesystem::exists(file, error)) return true;
  }
  return false;
}

RecordFile::RecordFile(const std::filesystem::path& path, uint64_t bytes) : path_(path) {
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat status {};
  const bool good = descriptor_ >= 0 && fstat(descriptor_, &status) == 0;
  bytes_ = good ? std::min(bytes, static_cast<uint64_t>(status.st_size)) : 0;
  if (good && ftruncate(descriptor_, static_cast<off_t>(bytes_)) == 0) return;
  const int reason = errno;
  if (descriptor_ >= 0) close(descriptor_);
  fail("{}: cannot be written ({})", path.string(), std::strerror(reason));
}

RecordFile::~RecordFile() { close(descriptor_); }

void RecordFile::write(std::string_view bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    check(written > 0, "{}: cannot be written ({})", path_.string(), std::strerror(errno));
    done += static_cast<size_t>(written);
  }
  bytes_ += bytes.size();
}

uint64_t RecordFile::sync() {
  check(fsync(descriptor_) == 0, "{}: cannot be written ({})", path_.string(), std::strerror(errno));
  return bytes_;
}

}  // namespace sandglass
