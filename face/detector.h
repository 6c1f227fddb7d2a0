// Faces and their 68 landmarks in photographs and video frames.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "face/image.h"

namespace sandglass {

struct FaceBox;

/// A face in a picture, in the picture's pixels.
struct Face {
  float left = 0, top = 0, right = 0, bottom = 0;  ///< box from the brows to the chin; may reach beyond the picture
  float confidence = 0;  ///< the detector's score: 0 is dlib's own threshold, 1 is a clear face
  Landmarks landmarks{};
};

struct FaceDetectorOptions {
  /// dlib's 68-point landmark model. Empty: the file named by the environment variable SANDGLASS_LANDMARK_MODEL, else
  /// /usr/share/dlib/shape_predictor_68_face_landmarks.dat (Debian's libdlib-data).
  std::filesystem::path landmark_model{};
  /// Side in pixels of the smallest face to look for, at least 40. The picture is searched at 80 / minimum_face of its
  /// size, so time falls with its square. 0: chosen so that the search takes about the same time for every picture
  /// (automatic_minimum_face).
  float minimum_face = 0;
  /// The smallest confidence that counts as a face. Higher: fewer false faces; lower: fewer missed ones.
  float threshold = 0;
  /// Threads that search; 0: as OpenMP is set (OMP_NUM_THREADS or all cores). Does not change the results.
  int threads = 0;
};

/// Finds faces with dlib's frontal detector and places 68 landmarks in each. What is found is a function of the picture
/// alone: a video's frame gives what the same picture gives as a photograph. May be used from several threads at once.
class FaceDetector {
 public:
  /// Loads the detector and the landmark model (about half a second). Throws Error if Sandglass was built without dlib,
  /// an option is out of its range, or the model is missing or broken: it says what to install.
  explicit FaceDetector(const FaceDetectorOptions& options = {});
  ~FaceDetector();

  /// Whether this build can find faces at all (it was made with dlib).
  static bool available();

  /// The faces in `image`, largest first; none is not an error.
  std::vector<Face> detect(const Image& image) const;

  /// Those of detect()'s faces that are near one in `before`, with the same bits and in the same order, for a fraction
  /// of the work: only the places and sizes at which they can be are searched. Near: the box's centre lies at most two
  /// thirds of the old box's side away, along x and along y, and its side is between two thirds and three halves of the
  /// old one (sides to the pixel of the searched picture). `before` may come from any picture; only boxes are looked
  /// at.
  std::vector<Face> detect_near(const Image& image, std::span<const Face> before) const;

  /// What minimum_face = 0 means for a picture: small pictures are searched at up to twice their size so that 0.75
  /// megapixels are searched, large ones are shrunk to 1.5 megapixels. Sides of 40 (up to 0.19 megapixels), 51
  /// (640x480), 80 (0.75 to 1.5 megapixels), 94 (1920x1080), 226 (4000x3000).
  static float automatic_minimum_face(int height, int width);

 private:
  struct Models;
  struct Search;
  std::vector<Face> with_landmarks(const Search& search, const std::vector<FaceBox>& boxes) const;

  FaceDetectorOptions options_;
  std::unique_ptr<const Models> models_;
};

}  // namespace sandglass
