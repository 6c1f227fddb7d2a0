#include "infer/face_ids.h"

#include <algorithm>
#include <tuple>

namespace sandglass {

void FaceIds::number(std::vector<FacePrediction>& faces, double seconds) {
  constexpr float kLeastOverlap = 0.25f;  // intersection over union; a face that moves by 0.6 of its side has it
  std::erase_if(known_,
                [&](const Known& face) { return !face.in_last_frame && !(seconds - face.seconds <= keep_seconds_); });

  struct Pair {
    size_t known, face;
    float overlap;
  };
  std::vector<Pair> pairs;
  for (size_t i = 0; i < known_.size(); ++i) {
    for (size_t j = 0; j < faces.size(); ++j) {
      const float shared = overlap(known_[i].place, place_of(faces[j]));
      if (shared >= kLeastOverlap) pairs.push_back({i, j, shared});
    }
  }
  const auto order = [&](const Pair& pair) {
    const Known& known = known_[pair.known];
    return std::tuple(!known.in_last_frame, -known.seconds, -pair.overlap, pair.known, pair.face);
  };
  std::sort(pairs.begin(), pairs.end(), [&](const Pair& a, const Pair& b) { return order(a) < order(b); });

  constexpr size_t kNew = SIZE_MAX;
  std::vector<size_t> known_of(faces.size(), kNew);
  for (Known& known : known_) known.in_last_frame = false;
  for (const Pair& pair : pairs) {
    if (known_of[pair.face] != kNew || known_[pair.known].in_last_frame) continue;
    known_of[pair.face] = pair.known;
    known_[pair.known].in_last_frame = true;
  }
  for (size_t j = 0; j < faces.size(); ++j) {
    if (known_of[j] == kNew) {
      known_of[j] = known_.size();
      known_.push_back({next_id_++, {}, 0, true});
    }
    Known& known = known_[known_of[j]];
    known.place = place_of(faces[j]);
    known.seconds = seconds;
    faces[j].id = known.id;
  }
}

Bounds FaceIds::place_of(const FacePrediction& face) {
  return face.landmarks ? bounds_of(*face.landmarks) : Bounds{face.left, face.top, face.right, face.bottom};
}

float FaceIds::overlap(const Bounds& a, const Bounds& b) {
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  if (!(width > 0 && height > 0)) return 0;
  const auto area = [](const Bounds& place) { return (place.right - place.left) * (place.bottom - place.top); };
  return width * height / (area(a) + area(b) - width * height);
}

}  // namespace sandglass
