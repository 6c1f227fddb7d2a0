// RUN_DIR: the files of one training run, and the lock that keeps a second process out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace sandglass {

class RunFolder {
 public:
  /// Makes the folder if it is not there, locks it, and removes what a killed run left half-written. Throws Error if it
  /// cannot be made or another process trains in it.
  explicit RunFolder(const std::filesystem::path& path);
  /// Removes the folder again if it was made here and nothing was written into it.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Whether there is something that a run has trained: a checkpoint or weights. A start that failed leaves none.
  bool holds_run() const;

  std::filesystem::path config() const { return path_ / "config.toml"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path checkpoint() const { return path_ / "checkpoint.safetensors"; }
  std::filesystem::path last() const { return path_ / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  std::filesystem::path description() const { return path_ / "run.json"; }
  std::filesystem::path evaluation() const { return path_ / "evaluation.json"; }
  std::filesystem::path report() const { return path_ / "report.html"; }
  /// The training set with the landmarks that were found, where it came without.
  std::filesystem::path completed_manifest() const { return path_ / "train.csv"; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool made_ = false;
  int lock_ = -1;
};

/// A file that grows, and can be cut back to where a checkpoint saw it.
class RecordFile {
 public:
  /// Opens `path` and cuts it to its first `bytes` bytes (or what it has, if that is less).
  RecordFile(const std::filesystem::path& path, uint64_t bytes);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  /// Appends bytes, which other processes see at once. Throws Error if the disk is full.
  void write(std::string_view bytes);
  /// Flushes to the disk and returns the length in bytes.
  uint64_t sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

}  // namespace sandglass
