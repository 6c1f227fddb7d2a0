// Manifests: which labelled faces a data set has. In memory what every reader of a data set gives (train/data/), and a
// CSV file of its own:
//
//   image,subject,AU06,AU12,x_0,...,x_67,y_0,...,y_67
//   F001/T1/2440.jpg,F001,0,3.5,81.20,...,243.75,...
//   F001/T1/2441.jpg,F001,,4,,...              AU06 is not coded; this picture has no landmarks
//
// CSV as in train/data/csv.h. Columns may come in any order and are known by name; others than those below are ignored.
//   image      path, relative to the manifest's folder
//   frame      may be missing; where `image` is a video: which frame of it, from 1; empty: `image` is a picture
//   subject    may be missing
//   AU<nn>     any number of them; 0 to 5, whole or not; empty: not coded
//   x_<i>, y_<i>   all 136 or none; pixels, (0, 0) is the centre of the top left pixel; all empty in a row: none there
// Errors name the file, the row (as an editor numbers lines, the header being row 1) and the column.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "face/image.h"
#include "train/data/data_log.h"

namespace sandglass {

class FacePack;

/// Intensity of an Action Unit that is not coded.
constexpr float kNotCoded = -1;

/// A labelled face: one row of a manifest, one frame of a data set.
struct ManifestRow {
  std::string image;               ///< as it is written in the manifest; a picture, or a video if there is a `frame`
  std::string subject;             ///< empty if there is none
  std::vector<float> intensities;  ///< of Manifest::aus, 0 to 5 or kNotCoded
  std::optional<Landmarks> landmarks;
  int line = 0;    ///< where the row begins in the file, from 1
  int frame = -1;  ///< of the video `image`, or of Manifest::pack, from 0; -1: `image` is a picture
  int source = 0;  ///< the file that the row is from, in Manifest::sources
};

struct Manifest {
  std::filesystem::path path;                  ///< the file; of data sets with many files their folder
  std::vector<std::filesystem::path> sources;  ///< the files that the rows are from; empty: `path`
  std::vector<std::string> aus;                ///< names of the AU columns in their order, "AU06"
  std::vector<ManifestRow> rows;
  std::shared_ptr<const FacePack> pack;  ///< holds the pictures of all rows, if there is one

  /// Where a row's picture (or video) lies.
  std::filesystem::path image_path(const ManifestRow& row) const {
    return sources.empty() ? path.parent_path() / row.image : std::filesystem::path(row.image);
  }
  /// The file that a row is from.
  const std::filesystem::path& source_of(const ManifestRow& row) const {
    return sources.empty() ? path : sources[static_cast<size_t>(row.source)];
  }
  /// "FILE, row N", for messages.
  std::string place(const ManifestRow& row) const;
  /// For each of `names` its index in `aus`. Throws Error naming one that has no column, and those that have.
  std::vector<int> columns_of(const std::vector<std::string>& names) const;
  /// The intensities of `names` in all rows, [rows][names]. Throws Error as columns_of does.
  std::vector<float> labels(const std::vector<std::string>& names) const;
};

/// Reads a manifest. A row with a field that makes no sense or (`check_images`) whose picture is not there goes to
/// `log` and is left out. Of the AU columns only those of `aus` (normalised; empty: all) are read. Throws Error if the
/// file is missing, has no rows, or lacks the column `image`.
Manifest read_manifest(const std::filesystem::path& path, DataLog& log, bool check_images = true,
                       const std::vector<std::string>& aus = {});
/// The same from text.
Manifest parse_manifest(std::string_view csv, const std::filesystem::path& path, DataLog& log, bool check_images,
                        const std::vector<std::string>& aus = {});
/// Strictly: what is wrong with a row is thrown.
Manifest read_manifest(const std::filesystem::path& path, bool check_images = true);

/// Leaves out the rows whose picture or video is not there, which go to `log`. Nothing is opened.
void leave_out_missing_pictures(Manifest& manifest, DataLog& log);

/// Writes a manifest that read_manifest reads back to the same values, with columns for frames and landmarks only if a
/// row has them.
void write_manifest(const std::filesystem::path& path, const Manifest& manifest);

}  // namespace sandglass
