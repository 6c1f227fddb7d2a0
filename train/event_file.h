// TensorBoard's event files, so that `tensorboard --logdir RUN_DIR` shows a run while it trains.
//
// A file is a sequence of records: length (8 bytes, little-endian), its masked CRC-32C (4), the data, their masked
// CRC-32C (4). Masked: rotated right by 15 bits, plus 0xa282ead8. Each record is a protocol buffer `Event`. Sources:
// tensorflow/core/lib/io/record_writer.h, tensorboard/compat/proto/{event,summary,tensor}.proto, RFC 3720 appendix B.4
// for the CRC.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "train/run_folder.h"

namespace sandglass {

/// CRC-32C (Castagnoli) of the bytes.
uint32_t crc32c(std::string_view bytes);
/// As it is stored in a record.
uint32_t masked_crc32c(std::string_view bytes);

struct EventScalar {
  std::string tag;  ///< "/" makes groups of plots
  double value = 0;
};

struct EventImage {
  std::string tag;
  int height = 0, width = 0;
  std::string file;  ///< a PNG or JPEG file
};

/// One event file. Each event reaches the disk's cache at once.
class EventFile {
 public:
  /// Makes a new file "events.out.tfevents.<seconds>.<host>.<process>.<number>" in `folder`. `first_step` above 0: a
  /// run goes on, and what earlier files of the folder say of later steps is not to be shown.
  EventFile(const std::filesystem::path& folder, int64_t first_step);

  /// Values that are not finite are left out.
  void scalars(int64_t step, const std::vector<EventScalar>& scalars);
  void image(int64_t step, const EventImage& image);
  /// Markdown, UTF-8.
  void text(int64_t step, const std::string& tag, const std::string& text);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(std::string_view event);

  std::filesystem::path path_;
  RecordFile file_;
};

}  // namespace sandglass
