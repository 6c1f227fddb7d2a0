// Files that are written piece by piece and appear at once: for results that are too long to hold in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace sandglass {

/// Throws Error if a file is there and `force`, a flag of all commands that write files, is not given.
void check_not_there(const std::filesystem::path& path, bool force);

/// A file under a temporary name in the folder of `path`. commit() gives it its name; until then `path` keeps whatever
/// it held. Without commit() nothing remains. Errors name `path`. The path "-" is standard output: all that is appended
/// goes there at once. A link stays one: the file that it leads to is written.
class OutputFile {
 public:
  enum class Content {
    whole,  ///< of use if it is complete
    lines   ///< the first lines are of use by themselves
  };
  /// Throws Error if the folder is missing or cannot be written to.
  explicit OutputFile(std::filesystem::path path, Content content = Content::whole);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Appends bytes. Throws Error, for example when the disk is full.
  void append(std::string_view bytes);
  /// Appends all that `other` holds so far.
  void append(OutputFile& other);
  uint64_t size() const { return size_; }

  /// Flushes to the disk and renames. Nothing may be appended afterwards. Throws Error, also if append() did before; of
  /// lines then those remain that could be written, where `path` held nothing.
  void commit();

  const std::filesystem::path& path() const { return path_; }
  /// Where the content lies until commit(): for a library that writes the file by itself, instead of append().
  const std::string& temporary() const { return temporary_; }

 private:
  bool is_standard_output() const { return path_ == "-"; }
  void flush();
  void write_all(std::string_view bytes);
  void rename();
  bool keep_lines();
  [[noreturn]] void fail_with(int reason) const;

  std::filesystem::path path_;
  Content content_;
  std::string temporary_;
  std::string buffer_;
  int descriptor_ = -1;
  uint64_t size_ = 0, written_ = 0;  // with what is in the buffer, and without
  int error_ = 0;                    // why something could not be written
};

}  // namespace sandglass
