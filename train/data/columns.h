// What the CSV files of labelled faces have in common: columns known by name, intensities, and the 68 landmarks in
// columns x_0 ... y_67.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "face/image.h"
#include "train/data/csv.h"
#include "train/data/data_log.h"

namespace sandglass {

/// Kinds of DataProblem that several readers find.
inline constexpr const char* kBadRow = "rows that cannot be read";
inline constexpr const char* kBadLabel = "labels that are not an intensity from 0 to 5";
inline constexpr const char* kBadLandmarks = "landmarks that cannot be used";
inline constexpr const char* kNoPicture = "frames without a picture";
inline constexpr const char* kNoLabels = "subjects or sequences without labels";
inline constexpr const char* kBadFile = "files that cannot be used";
inline constexpr const char* kBadPicture = "pictures that cannot be read";

/// The names in a CSV's first record.
class Columns {
 public:
  /// Throws Error if a name occurs twice. Columns without a name are passed over.
  Columns(const CsvRecord& header, std::string source);

  /// Index of a column; -1 if there is none of this name.
  int find(std::string_view name) const;
  const std::map<std::string, int, std::less<>>& all() const { return index_; }
  const std::string& source() const { return source_; }

  /// Reads the next record that has as many fields as the header; false at the end. One that has not, or whose quotes
  /// make no sense, goes to `log`, and reading goes on with the line after its first.
  bool next(CsvReader& reader, CsvRecord& record, DataLog& log) const;

 private:
  std::string source_;
  size_t count_;
  std::map<std::string, int, std::less<>> index_;
};

/// Columns x_0 ... x_67 and y_0 ... y_67.
class LandmarkColumns {
 public:
  /// Throws Error if some of them are there and others not.
  explicit LandmarkColumns(const Columns& columns);
  bool present() const { return present_; }
  /// The landmarks of a record; nothing if all its fields are empty. Throws DataProblem naming row and column if one is
  /// not a finite number, or too large to be a place.
  std::optional<Landmarks> read(const CsvRecord& record, const std::string& source) const;

 private:
  std::array<int, 68> x_{}, y_{};
  bool present_ = false;
};

/// "x_12".
std::string landmark_column(char axis, size_t i);

/// "AU6", "au06"; not "AU06_c", "AU00" or "author".
bool is_au_column(std::string_view name);

/// The intensity that a field spells; kNotCoded where it is empty. Throws DataProblem naming row and column if it is
/// not a number from 0 to 5.
float read_intensity(std::string_view text, const std::string& source, int line, std::string_view column);

}  // namespace sandglass
