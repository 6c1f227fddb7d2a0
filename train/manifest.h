// Manifests: which pictures a data set has, with the intensity of each Action Unit and the 68 landmarks of the face.
//
//   image,subject,AU06,AU12,x_0,...,x_67,y_0,...,y_67
//   F001/T1/2440.jpg,F001,0,3.5,81.20,...,243.75,...
//   F001/T1/2441.jpg,F001,,4,,...              AU06 is not coded; this picture has no landmarks
//
// CSV as in RFC 4180 (fields may be quoted, lines end in LF or CRLF, a byte order mark is skipped); spaces around
// fields do not count. Columns may come in any order and are known by name; others than those below are ignored.
//   image      path, relative to the manifest's folder
//   subject    may be missing
//   AU<nn>     any number of them; 0 to 5, whole or not; empty: not coded
//   x_<i>, y_<i>   all 136 or none; pixels, (0, 0) is the centre of the top left pixel; all empty in a row: none there
// Errors name the file, the row (as an editor numbers lines, the header being row 1) and the column.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// Intensity of an Action Unit that is not coded.
constexpr float kNotCoded = -1;

struct ManifestRow {
  std::string image;               ///< as it is written in the manifest
  std::string subject;             ///< empty if there is none
  std::vector<float> intensities;  ///< of Manifest::aus, 0 to 5 or kNotCoded
  std::optional<Landmarks> landmarks;
  int line = 0;  ///< where the row begins in the file, from 1
};

struct Manifest {
  std::filesystem::path path;
  std::vector<std::string> aus;  ///< names of the AU columns in their order, "AU06"
  std::vector<ManifestRow> rows;

  /// Where a row's picture lies.
  std::filesystem::path image_path(const ManifestRow& row) const { return path.parent_path() / row.image; }
  /// "FILE, row N", for messages.
  std::string place(const ManifestRow& row) const;
  /// For each of `names` its index in `aus`. Throws Error naming one that has no column, and those that have.
  std::vector<int> columns_of(const std::vector<std::string>& names) const;
};

/// Reads and checks a manifest. Throws Error if it is missing, has no rows, lacks the column `image`, or has a row with
/// a field that makes no sense or (`check_images`) whose picture is not there.
Manifest read_manifest(const std::filesystem::path& path, bool check_images = true);
/// The same from text.
Manifest parse_manifest(std::string_view csv, const std::filesystem::path& path, bool check_images);

/// Writes a manifest that read_manifest reads back to the same values, landmark columns only if a row has them.
void write_manifest(const std::filesystem::path& path, const Manifest& manifest);

/// The number that the whole text spells (decimal, no spaces, finite), or nothing.
std::optional<double> parse_number(std::string_view text);

}  // namespace sandglass
