// Landmark files of the field: 300-W's .pts, the XML of dlib's imglab, DISFA's .mat.
#pragma once

#include <bitset>
#include <filesystem>
#include <string>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// In pixels, to either side of 0. Beyond this a landmark is a mistake, and arithmetic on it would lose the pixel.
inline constexpr float kLargestCoordinate = 1e6f;

/// The 68 landmarks in a .pts file, whose 1-based coordinates become 0-based. Throws Error naming the file and the line
/// if it is not such a file, has other than 68 points, or a number is missing or beyond kLargestCoordinate.
/// Source: ibug.doc.ic.ac.uk/resources/300-W.
Landmarks read_pts(const std::filesystem::path& path);

/// One face marked in an imglab file, in pixels.
struct MarkedFace {
  float left = 0, top = 0, width = 0, height = 0;
  Landmarks landmarks{};    ///< parts named 0 to 67 (or 00 to 67)
  std::bitset<68> present;  ///< which of them the file has; the others are (0, 0)
};

/// One picture of an imglab file with the faces marked in it, possibly none.
struct MarkedImage {
  std::filesystem::path path;  ///< as written in the file, relative paths taken from the file's folder
  std::vector<MarkedFace> faces;
};

/// Reads the XML of dlib's imglab tool with dlib's reader. Parts with other names than 0 to 67 are left out. Throws
/// Error naming the file if it is missing or not such a file, or if Sandglass was built without dlib.
std::vector<MarkedImage> read_imglab(const std::filesystem::path& path);

/// The landmarks in one of DISFA's .mat files: a matrix `pts` of 66 x 2 numbers, the 68 points without 60 and 64, the
/// mouth's inner corners, which get the places of its outer corners 48 and 54 (no AU of the built-in table asks for
/// them). A matrix of 68 x 2 is taken, too. Coordinates are taken as they are. Throws Error naming the file if it is
/// not such a file, a number is not finite, or this build has no matio.
Landmarks read_disfa_mat(const std::filesystem::path& path);
/// Version of matio; empty: this build was made without.
std::string mat_library_version();

}  // namespace sandglass
