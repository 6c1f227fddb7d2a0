// Which points of the face belong to which Action Unit: a table that users edit (configs/au_points.txt), and the mirror
// image of the 68 landmarks.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// An AU's name as everything in Sandglass writes it: "6", "AU6", "au06" and " AU06 " become "AU06". Throws Error
/// unless the name is "AU" (any case, may be missing) and a number from 1 to 99.
std::string normalise_au_name(std::string_view name);

/// One AU: its normalised name and, for each place at which its heatmap peaks, the landmarks whose mean that place is.
struct AuDefinition {
  std::string name;
  std::vector<std::vector<int>> places;  ///< at least one place, each of at least one landmark from 0 to 67

  bool operator==(const AuDefinition&) const = default;
};

/// The AUs of one file, in its order.
struct AuTable {
  std::string source;  ///< where it came from, for messages
  std::vector<AuDefinition> definitions;

  /// The definition of an AU by any spelling of its name. Throws Error that names the table and the AUs it has.
  const AuDefinition& find(std::string_view name) const;
  /// Whether an AU of this normalised name is defined.
  bool has(std::string_view name) const;
};

/// Reads a table from text; `source` (a file's name) and the line number begin every Error. The form of the text is
/// described at the top of configs/au_points.txt. An AU may be defined once.
AuTable parse_au_table(std::string_view text, const std::string& source);
AuTable read_au_table(const std::filesystem::path& path);

/// The table in configs/au_points.txt as it was when Sandglass was built: the paper's five AUs and DISFA's others.
const AuTable& default_au_table();

/// The places of an AU in the coordinates of `landmarks`.
std::vector<Point> au_points(const AuDefinition& au, const Landmarks& landmarks);

/// kMirroredLandmark[i] is the landmark that i becomes when the picture is mirrored left to right.
inline constexpr std::array<int, 68> kMirroredLandmark{16, 15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,
                                                       4,  3,  2,  1,  0,                               // jaw
                                                       26, 25, 24, 23, 22, 21, 20, 19, 18, 17,          // brows
                                                       27, 28, 29, 30,                                  // nose bridge
                                                       35, 34, 33, 32, 31,                              // nostrils
                                                       45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  // eyes
                                                       54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,  // outer lips
                                                       64, 63, 62, 61, 60, 67, 66, 65};                 // inner lips

/// The landmarks of the mirrored picture, which is `width` pixels wide: x becomes width - 1 - x, left and right
/// exchanged.
Landmarks mirror(const Landmarks& landmarks, int width);

}  // namespace sandglass
