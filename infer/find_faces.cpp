#include "infer/find_faces.h"

namespace sandglass {
namespace {

void set_box(FacePrediction& face, const Landmarks& landmarks) {
  const auto [left, right] =
      std::minmax_element(landmarks.begin(), landmarks.end(), [](Point a, Point b) { return a.x < b.x; });
  const auto [top, bottom] =
      std::minmax_element(landmarks.begin(), landmarks.end(), [](Point a, Point b) { return a.y < b.y; });
  face.left = left->x;
  face.top = top->y;
  face.right = right->x;
  face.bottom = bottom->y;
}

// The map from a registered face of `side` pixels to the same face of `size` pixels.
Affine scaling(int side, int size) {
  const double scale = static_cast<double>(size) / side;
  return {{{{scale, 0, 0.5 * scale - 0.5}, {0, scale, 0.5 * scale - 0.5}}}};
}

}  // namespace

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
    set_box(face, given);
    face.landmarks = given;
  }
  return faces;
}

void register_faces(std::vector<FacePrediction>& faces, int max_faces, int size) {
  if (max_faces > 0 && faces.size() > static_cast<size_t>(max_faces)) faces.resize(static_cast<size_t>(max_faces));
  int id = 0;
  for (FacePrediction& face : faces) {
    face.id = id++;
    face.to_registered = registration(*face.landmarks, size);
  }
}

FacePrediction registered_face(int side, int size) {
  FacePrediction face;
  face.right = face.bottom = static_cast<float>(side - 1);
  face.to_registered = scaling(side, size);
  return face;
}

}  // namespace sandglass
