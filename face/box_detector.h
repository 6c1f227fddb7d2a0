// Boxes around the faces of a grey picture: dlib's frontal face detector (Dalal and Triggs, "Histograms of oriented
// gradients for human detection", CVPR 2005; Felzenszwalb et al., PAMI 2010), spread over threads.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "face/grey_image.h"

namespace sandglass {

/// The outermost pixel centres of a face and the detector's score, 0 being dlib's own threshold.
struct FaceBox {
  float left, top, right, bottom, score;
};

class BoxDetector {
 public:
  /// The side of the smallest face that is found, in pixels.
  static constexpr int kWindow = 80;

  /// Whether Sandglass was built with dlib. Without it the constructor throws Error.
  static const bool kAvailable;

  BoxDetector();
  ~BoxDetector();

  /// The faces with a score of at least `threshold`, best first. Five filters (frontal, turned and tilted faces) see
  /// the picture at sizes that shrink by 5/6; of overlapping boxes the best remains. Equals dlib's own result; the
  /// number of threads does not change it. May be called from several threads at once.
  std::vector<FaceBox> find(const GreyImage& image, float threshold, int threads) const;

  /// Whether `box` may be the face that was at `before` a moment ago: its centre lies at most two thirds of the old
  /// side away, along x and along y, and its side is between two thirds and three halves of the old one.
  static bool near(const FaceBox& box, const FaceBox& before);

  /// Those of find()'s boxes that are near one in `before`, best first and with the same bits, for less work: only the
  /// sizes and places are searched at which they, or better boxes of about their size that overlap them, can be. What
  /// is left out: find() also drops a box that lies in a better one (or around it) of less than two thirds or more than
  /// three halves its side; here such a box stays unless the better one is near `before`, too.
  std::vector<FaceBox> find_near(const GreyImage& image, std::span<const FaceBox> before, float threshold,
                                 int threads) const;

 private:
  struct Filters;
  std::unique_ptr<const Filters> filters_;
};

}  // namespace sandglass
