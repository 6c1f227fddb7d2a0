// Numbers that stay with the faces of a video.
#pragma once

#include <vector>

#include "infer/prediction.h"

namespace sandglass {

/// Numbers faces in frames that are given in their order: a function of where the faces are and of the frames' times
/// alone.
///
/// A face is where its landmarks are (their bounds; the detector's boxes jump by its grid), or its box without
/// landmarks. It keeps its number as long as it overlaps where it was in the frame before, and if it comes back where
/// it vanished (for at most `keep_seconds`). Of several possible pairs those seen last, then those that overlap most,
/// are taken. Numbers count from 0 in order of appearance, and within a frame in the faces' order; none is given twice.
///
/// Where two faces cross, the one in front keeps its number, because it moves from where it was in small steps; the
/// hidden one has its number back if it comes out where it vanished, else a new one. Two numbers are exchanged only if
/// both faces, always seen, move farther from one frame to the next than they are apart.
class FaceIds {
 public:
  explicit FaceIds(double keep_seconds = 1) : keep_seconds_(keep_seconds) {}

  /// Sets each face's id. `seconds`: when the frame is shown.
  void number(std::vector<FacePrediction>& faces, double seconds);

 private:
  struct Known {
    int id;
    Bounds place;
    double seconds;
    bool in_last_frame;
  };
  static Bounds place_of(const FacePrediction& face);
  static float overlap(const Bounds& a, const Bounds& b);

  double keep_seconds_;
  int next_id_ = 0;
  std::vector<Known> known_;
};

}  // namespace sandglass
