// Faces in the frames of a video: the whole frame is searched now and then, between that the places where faces were.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "face/detector.h"

namespace sandglass {

/// Finds the faces of frames that are given in their order. A whole search in the frames 0, detect_every,
/// 2 * detect_every, ...; in the others only what is near a face's last place is searched (FaceDetector::detect_near),
/// for every face seen since the last whole search, so that a face that is missed in a frame stays looked for. The
/// first time between two of these whole searches that a face is not where it was, that frame is searched whole as
/// well: it may have jumped, or the scene changed.
///
/// Every face is one of those that the frame gives as a photograph, with the same bits; what can be missing are faces
/// that appear, or move farther than detect_near reaches, until the next whole search. Nothing is carried over a whole
/// search at a multiple of detect_every: a tracker that starts there finds the same faces as one that came from before.
class FaceTracker {
 public:
  /// The two searches that a tracker needs: as FaceDetector::detect and detect_near.
  struct Search {
    std::function<std::vector<Face>(const Image&)> whole;
    std::function<std::vector<Face>(const Image&, std::span<const Face> before)> near;
  };

  /// Throws Error if `detect_every` is below 1. With 1 each frame is searched as a photograph. `detector` is used as
  /// long as the tracker is.
  FaceTracker(const FaceDetector& detector, int detect_every);
  FaceTracker(Search search, int detect_every);

  /// The faces of the next frame, largest first.
  std::vector<Face> next(const Image& frame);

 private:
  /// Takes over where the followed faces are now; false: one of them is not there.
  bool follow(const std::vector<Face>& found);

  Search search_;
  int detect_every_;
  int frame_ = 0;                   // of detect_every
  bool searched_for_lost_ = false;  // in these frames
  std::vector<Face> followed_;      // each as it was seen last
};

}  // namespace sandglass
