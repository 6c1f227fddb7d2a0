#include "infer/find_faces.h"

#include "engine/error.h"

namespace sandglass {
std::vector<FacePrediction> detected_faces(std::span<const Face> found) {
  std::vector<FacePrediction> faces;
  for (const Face& one : found) {
    FacePrediction& face = faces.emplace_back();
    face.left = one.left;
    face.top = one.top;
    face.right = one.right;
    face.bottom = one.bottom;
    face.confidence = one.confidence;
    face.landmarks = one.landmarks;
  }
  return faces;
}

std::vector<FacePrediction> given_faces(std::span<const Landmarks> landmarks) {
  std::vector<FacePrediction> faces;
  for (const Landmarks& given : landmarks) {
    FacePrediction& face = faces.emplace_back();
    const Bounds bounds = bounds_of(given);
    face.left = bounds.left;
    face.top = bounds.top;
    face.right = bounds.right;
    face.bottom = bounds.bottom;
    face.landmarks = given;
  }
  return faces;
}

void register_faces(std::vector<FacePrediction>& faces, int max_faces, int size) {
  if (max_faces > 0 && faces.size() > static_cast<size_t>(max_faces)) faces.resize(static_cast<size_t>(max_faces));
  int id = 0;
  for (FacePrediction& face : faces) {
    face.id = id++;
    try {
      face.to_registered = registration(*face.landmarks, size);
    } catch (const Error& error) {
      fail("face {}: {}", face.id, error.what());
    }
  }
}

FacePrediction registered_face(int side, int size) {
  FacePrediction face;
  face.right = face.bottom = static_cast<float>(side - 1);
  face.to_registered = scaling(static_cast<double>(size) / side);
  return face;
}

}  // namespace sandglass
