// Packs: the registered faces of a data set in one file that is mapped into memory, so that training decodes, registers
// and searches nothing. The format is described in docs/formats.md.
//
// A packed face is the registered face with a margin on all sides: augmentation turns, scales and shifts it inside what
// is there, so that the network's input never shows the crop's edge. pack_margin() says how much that takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/output_file.h"
#include "face/image.h"
#include "train/config.h"
#include "train/data/pictures.h"
#include "train/manifest.h"

namespace sandglass {

/// What a pack's header says.
struct PackInfo {
  std::vector<std::string> aus;
  int size = 256;   ///< side of the registered face in pixels
  int margin = 0;   ///< pixels on each side of it
  int quality = 0;  ///< of JPEG, 1 to 100; 0: the pixels are stored as they are
  int side() const { return size + 2 * margin; }
};

/// Pixels on each side of a registered face of `size` pixels that augmentation may look at: the farthest corner under
/// the largest rotation, scale and shift together, and landmark jitter of three standard deviations on top.
int pack_margin(const AugmentationConfig& augmentation, int size);

/// The registered face of `info.size` pixels with its margin, and its landmarks there. Throws Error if it cannot be
/// registered.
Image pack_face(const ImageView& picture, Landmarks& landmarks, const PackInfo& info);

/// Writes a pack; it appears when it is complete, and memory does not grow with the number of faces.
class PackWriter {
 public:
  PackWriter(const std::filesystem::path& path, const PackInfo& info);
  ~PackWriter();

  /// Appends one face. `face` and `landmarks` are pack_face's, `source` is the file that the row is from.
  void add(const Image& face, const Landmarks& landmarks, const ManifestRow& row, const std::string& source);
  /// Throws Error if no face was added or the disk is full.
  void commit();

  int64_t count() const { return count_; }
  int64_t subjects() const { return static_cast<int64_t>(subjects_.size()); }
  uint64_t bytes() const { return data_.size(); }

 private:
  struct Checksum;
  void append_to_index(std::string_view bytes);

  PackInfo info_;
  OutputFile data_, index_;
  std::unique_ptr<Checksum> index_checksum_;
  std::vector<std::string> subjects_, sources_;
  int64_t count_ = 0;
};

/// A pack that is open for reading, by any number of threads.
class FacePack {
 public:
  /// Maps the file and checks its header and index. Throws Error naming the file if it is missing, no pack, of a later
  /// version, truncated or damaged: it says what to do.
  explicit FacePack(const std::filesystem::path& path);
  ~FacePack();
  FacePack(const FacePack&) = delete;
  FacePack& operator=(const FacePack&) = delete;

  /// Whether a file begins as packs do. False also if it cannot be read.
  static bool is_pack(const std::filesystem::path& path);

  const PackInfo& info() const { return info_; }
  int count() const { return static_cast<int>(records_.size()); }

  /// A face's pixels: those of the mapped file, or decoded from JPEG. They are compared with their checksum when they
  /// are first asked for. Throws Error naming file and face if they differ.
  Picture picture(int face) const;

  /// Takes a face's pixels out of this process' memory, so that it does not grow with what has been read; they stay in
  /// the system's file cache. Reading them again brings them back.
  void release(int face) const;

  /// Throws Error unless the margin is wide enough for this augmentation.
  void check_margin(const AugmentationConfig& augmentation) const;

 private:
  friend Manifest read_pack(const std::filesystem::path& path);
  struct Record {
    uint64_t offset, checksum;
    uint32_t bytes;
  };

  std::string_view bytes(uint64_t offset, uint64_t count) const;
  void read_header();
  void read_index();

  std::filesystem::path path_;
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
  uint64_t records_begin_ = 0;
  PackInfo info_;
  std::vector<Record> records_;
  std::vector<ManifestRow> rows_;
  std::vector<std::filesystem::path> sources_;
  mutable std::vector<std::atomic<bool>> verified_;
};

/// The faces of a pack as a Manifest that holds the pack. Throws Error as FacePack does.
Manifest read_pack(const std::filesystem::path& path);

/// A CSV manifest or a pack, by the file's content; strictly, as read_manifest.
Manifest read_faces(const std::filesystem::path& path);

}  // namespace sandglass
