#include "face/face_tracker.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "face/box_detector.h"

namespace sandglass {
namespace {

FaceBox box(const Face& face) { return {face.left, face.top, face.right, face.bottom, face.confidence}; }

/// The square of how far the face's centre is from where it was.
float distance(const Face& face, const Face& before) {
  const float x = face.left + face.right - before.left - before.right;
  const float y = face.top + face.bottom - before.top - before.bottom;
  return (x * x + y * y) / 4;
}

}  // namespace

FaceTracker::FaceTracker(const FaceDetector& detector, int detect_every)
    : FaceTracker({[&detector](const Image& image) { return detector.detect(image); },
                   [&detector](const Image& image, std::span<const Face> before) {
                     return detector.detect_near(image, before);
                   }},
                  detect_every) {}

FaceTracker::FaceTracker(Search search, int detect_every) : search_(std::move(search)), detect_every_(detect_every) {
  check(detect_every >= 1, "faces are searched for in every {}th frame, expected 1 or more", detect_every);
}

std::vector<Face> FaceTracker::next(const Image& frame) {
  const bool whole = frame_ == 0;
  frame_ = (frame_ + 1) % detect_every_;
  if (whole) {
    searched_for_lost_ = false;
    followed_.clear();
  }
  std::vector<Face> found = whole ? search_.whole(frame) : search_.near(frame, followed_);
  const bool all_there = follow(found);
  if (all_there || searched_for_lost_) return found;
  searched_for_lost_ = true;
  found = search_.whole(frame);
  follow(found);
  return found;
}

bool FaceTracker::follow(const std::vector<Face>& found) {
  std::vector<bool> seen(followed_.size());
  for (const Face& face : found) {
    size_t nearest = seen.size();
    for (size_t i = 0; i < seen.size(); ++i) {
      if (seen[i] || !BoxDetector::near(box(face), box(followed_[i]))) continue;
      if (nearest == seen.size() || distance(face, followed_[i]) < distance(face, followed_[nearest])) nearest = i;
    }
    if (nearest == seen.size()) {
      followed_.push_back(face);
    } else {
      followed_[nearest] = face;
      seen[nearest] = true;
    }
  }
  return std::find(seen.begin(), seen.end(), false) == seen.end();
}

}  // namespace sandglass
