// 68 landmarks in a face's box: evaluates dlib's shape predictor models (Kazemi and Sullivan, "One millisecond face
// alignment with an ensemble of regression trees", CVPR 2014).
//
// Why not dlib's own class: it rounds landmarks to whole pixels, believes whatever a model file says, and takes four
// times as long to load. The results are the same up to that rounding; a test compares them.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "face/grey_image.h"
#include "face/image.h"

namespace sandglass {

class LandmarkModel {
 public:
  /// Reads a model file of dlib's shape_predictor with 68 points. Throws Error naming the file if it is missing,
  /// truncated, not such a file, or has another number of points.
  explicit LandmarkModel(const std::filesystem::path& path);

  /// The landmarks of the face in the box whose outermost pixel centres are left, top, right and bottom. The box must
  /// be placed as dlib's frontal face detector would place it. Never fails; what lies outside the picture counts as
  /// black.
  Landmarks predict(const GreyImage& image, float left, float top, float right, float bottom) const;

  /// The same for the box moved by each of `moves`, in pixels, with the same bits. What costs time is reading the
  /// model, and moves by small parts of the side read mostly the same of its 100 MB.
  std::vector<Landmarks> predict(const GreyImage& image, float left, float top, float right, float bottom,
                                 std::span<const Point> moves) const;

 private:
  struct Offset {  // a place relative to a landmark, both in coordinates that map the box to the unit square
    int landmark;
    Point delta;
  };
  struct Split {  // goes to the left child where pixel `first` is brighter than pixel `second` by more than `threshold`
    int first, second;
    float threshold;
  };
  /// A stage looks at some hundred pixels near the landmarks, then each of its trees moves all landmarks.
  struct Stage {
    std::vector<Offset> pixels;
    size_t trees = 0, splits_per_tree = 0;  // complete binary trees: one leaf more than splits
    std::vector<Split> splits;              // trees x splits_per_tree
    std::vector<float> leaves;              // trees x (splits_per_tree + 1) x 136: x and y of each landmark's move
  };

  /// A search that is under way.
  struct Walk {
    double left, top, width, height;
    std::vector<float> shape, brightness;  // as initial_shape_; of a stage's pixels
    std::vector<const float*> moves;       // of a stage: the leaf that each tree leads to
  };
  void look(const GreyImage& image, const Stage& stage, Walk& walk) const;
  static void choose_leaves(const Stage& stage, Walk& walk);

  std::vector<float> initial_shape_;  // 136: x and y of each landmark, the box being the unit square
  std::vector<Stage> stages_;
};

}  // namespace sandglass
