// Landmarks that the user gives, taken instead of face detection.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// One spelling for all paths of a file.
std::filesystem::path picture_key(const std::filesystem::path& picture);

/// Faces by picture. A picture is known by its file, however its path is written.
class GivenLandmarks {
 public:
  /// `source` is what the user named, for messages.
  explicit GivenLandmarks(std::string source) : source_(std::move(source)) {}

  /// Reads the XML of dlib's imglab. Throws Error as read_imglab does, or if a marked face has some of the 68 landmarks
  /// but not all; boxes without any are left out.
  static GivenLandmarks from_imglab(const std::filesystem::path& path);
  /// Takes the landmarks of a picture from the file of the same stem in `folder`: x.pts for x.jpg (300-W's layout).
  /// They are read when they are asked for.
  static GivenLandmarks from_pts_folder(const std::filesystem::path& folder);

  /// Lists a picture; it may have no face.
  void add_picture(const std::filesystem::path& picture);
  /// Adds a face to a picture, after those it has already.
  void add_face(const std::filesystem::path& picture, const Landmarks& landmarks);

  /// The faces of a picture in the order in which they were given. Throws Error if the picture is not listed.
  /// May be called from several threads at once.
  std::vector<Landmarks> find(const std::filesystem::path& picture) const;

 private:
  std::string source_;
  std::filesystem::path pts_folder_;  // empty: the faces are in faces_
  std::map<std::filesystem::path, std::vector<Landmarks>> faces_;
};

}  // namespace sandglass
