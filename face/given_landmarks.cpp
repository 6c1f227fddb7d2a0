#include "face/given_landmarks.h"

#include "engine/error.h"
#include "face/landmark_files.h"

namespace sandglass {

std::filesystem::path picture_key(const std::filesystem::path& picture) {
  std::error_code error;
  std::filesystem::path key = std::filesystem::weakly_canonical(picture, error);
  return error ? picture.lexically_normal() : key;
}

GivenLandmarks GivenLandmarks::from_imglab(const std::filesystem::path& path) {
  GivenLandmarks given(path.string());
  for (const MarkedImage& image : read_imglab(path)) {
    given.add_picture(image.path);
    for (const MarkedFace& face : image.faces) {
      if (face.present.none()) continue;
      check(face.present.all(), "{}: a face of {} has {} of the 68 landmarks; mark the others or remove its box",
            path.string(), image.path.string(), face.present.count());
      given.add_face(image.path, face.landmarks);
    }
  }
  return given;
}

GivenLandmarks GivenLandmarks::from_pts_folder(const std::filesystem::path& folder) {
  GivenLandmarks given(folder.string());
  given.pts_folder_ = folder;
  return given;
}

void GivenLandmarks::add_picture(const std::filesystem::path& picture) { faces_[picture_key(picture)]; }

void GivenLandmarks::add_face(const std::filesystem::path& picture, const Landmarks& landmarks) {
  faces_[picture_key(picture)].push_back(landmarks);
}

std::vector<Landmarks> GivenLandmarks::find(const std::filesystem::path& picture) const {
  if (!pts_folder_.empty()) {
    const std::filesystem::path file = pts_folder_ / picture.stem().concat(".pts");
    std::error_code error;
    check(std::filesystem::exists(file, error), "{}: has no landmarks: {} does not exist", picture.string(),
          file.string());
    return {read_pts(file)};
  }
  const auto found = faces_.find(picture_key(picture));
  check(found != faces_.end(), "{}: has no landmarks in {}", picture.string(), source_);
  return found->second;
}

}  // namespace sandglass
