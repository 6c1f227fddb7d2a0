#include "face/detector.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <future>

#include "engine/error.h"
#include "engine/loop_error.h"
#include "face/box_detector.h"
#include "face/grey_image.h"
#include "face/landmark_model.h"

namespace sandglass {
namespace {

constexpr float kSmallestFace = 40;  // smaller faces have too few pixels for landmarks

std::filesystem::path landmark_model_path(const FaceDetectorOptions& options) {
  if (!options.landmark_model.empty()) return options.landmark_model;
  const char* from_environment = std::getenv("SANDGLASS_LANDMARK_MODEL");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  const std::filesystem::path debian = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
  std::error_code error;
  check(std::filesystem::exists(debian, error),
        "{}: the landmark model is not there; install libdlib-data, set SANDGLASS_LANDMARK_MODEL to the file, or give "
        "landmarks",
        debian.string());
  return debian;
}

/// Landmarks are found from the face's box and from the box moved a little to its four corners, in parts of its side,
/// and averaged. The detector places boxes on a grid, and landmarks depend on where they start: the mean halves how
/// much they shake from one frame of a video to the next (docs/faces.md).
constexpr float kMove = 0.04f;
constexpr std::array<Point, 5> kStarts{{{0, 0}, {kMove, kMove}, {-kMove, -kMove}, {kMove, -kMove}, {-kMove, kMove}}};

Landmarks mean(const std::vector<Landmarks>& found) {
  Landmarks sum{};
  for (const Landmarks& one : found) {
    for (size_t k = 0; k < sum.size(); ++k) sum[k] = {sum[k].x + one[k].x, sum[k].y + one[k].y};
  }
  const float share = 1 / static_cast<float>(found.size());
  for (Point& point : sum) point = {point.x * share, point.y * share};
  return sum;
}

}  // namespace

struct FaceDetector::Models {
  std::unique_ptr<const BoxDetector> boxes;
  LandmarkModel landmarks;
};

FaceDetector::FaceDetector(const FaceDetectorOptions& options) : options_(options) {
  check(options.minimum_face == 0 || (options.minimum_face >= kSmallestFace && std::isfinite(options.minimum_face)),
        "the smallest face to look for is {} pixels, expected at least {} (or 0 for automatic)", options.minimum_face,
        kSmallestFace);
  check(std::isfinite(options.threshold), "the face detector's threshold is {}, expected a number", options.threshold);
  check(options.threads >= 0, "the face detector has {} threads, expected 0 or more", options.threads);
  check(available(),
        "finding faces needs dlib, which this build was made without; install libdlib-dev and build again, or give "
        "landmarks");
  const std::filesystem::path path = landmark_model_path(options);
  auto boxes =
      std::async(std::launch::async, [] { return std::make_unique<const BoxDetector>(); });  // both take a while
  LandmarkModel landmarks(path);
  models_.reset(new Models{boxes.get(), std::move(landmarks)});
}

FaceDetector::~FaceDetector() = default;

bool FaceDetector::available() { return BoxDetector::kAvailable; }

struct FaceDetector::Search {
  GreyImage grey, scaled;  // the picture as it is, for landmarks, and as it is searched
  int threads;
  float scale_x, scale_y;  // of the second

  Search(const Image& image, const FaceDetectorOptions& options)
      : grey(grey_image(image)), threads(options.threads > 0 ? options.threads : omp_get_max_threads()) {
    const float minimum =
        options.minimum_face > 0 ? options.minimum_face : automatic_minimum_face(image.height, image.width);
    const float scale = BoxDetector::kWindow / minimum;
    const auto side = [scale](int side) { return std::max(1, static_cast<int>(std::lround(side * scale))); };
    scaled = resized(grey, side(image.height), side(image.width));
    scale_x = static_cast<float>(scaled.width) / static_cast<float>(image.width);
    scale_y = static_cast<float>(scaled.height) / static_cast<float>(image.height);
  }

  // Pixel centres: place p of the searched picture is (p + 0.5) / scale - 0.5 of the original.
  Face face(const FaceBox& box) const {
    Face made;
    made.left = (box.left + 0.5f) / scale_x - 0.5f;
    made.right = (box.right + 0.5f) / scale_x - 0.5f;
    made.top = (box.top + 0.5f) / scale_y - 0.5f;
    made.bottom = (box.bottom + 0.5f) / scale_y - 0.5f;
    made.confidence = box.score;
    return made;
  }
  FaceBox box(const Face& face) const {
    return {(face.left + 0.5f) * scale_x - 0.5f, (face.top + 0.5f) * scale_y - 0.5f,
            (face.right + 0.5f) * scale_x - 0.5f, (face.bottom + 0.5f) * scale_y - 0.5f, face.confidence};
  }
};

std::vector<Face> FaceDetector::detect(const Image& image) const {
  if (image.height < 1 || image.width < 1) return {};
  const Search search(image, options_);
  return with_landmarks(search, models_->boxes->find(search.scaled, options_.threshold, search.threads));
}

std::vector<Face> FaceDetector::detect_near(const Image& image, std::span<const Face> before) const {
  if (image.height < 1 || image.width < 1 || before.empty()) return {};
  const Search search(image, options_);
  std::vector<FaceBox> boxes;
  for (const Face& face : before) boxes.push_back(search.box(face));
  return with_landmarks(search, models_->boxes->find_near(search.scaled, boxes, options_.threshold, search.threads));
}

std::vector<Face> FaceDetector::with_landmarks(const Search& search, const std::vector<FaceBox>& boxes) const {
  std::vector<Face> faces;
  for (const FaceBox& box : boxes) faces.push_back(search.face(box));
  LoopError error;
#pragma omp parallel for schedule(dynamic, 1) num_threads(search.threads)
  for (Face& face : faces) {
    error.guard([&] {
      std::array<Point, kStarts.size()> moves;
      for (size_t i = 0; i < moves.size(); ++i)
        moves[i] = {kStarts[i].x * (face.right - face.left), kStarts[i].y * (face.bottom - face.top)};
      face.landmarks =
          mean(models_->landmarks.predict(search.grey, face.left, face.top, face.right, face.bottom, moves));
    });
  }
  error.rethrow();
  const auto area = [](const Face& face) { return (face.right - face.left) * (face.bottom - face.top); };
  std::stable_sort(faces.begin(), faces.end(), [&](const Face& a, const Face& b) { return area(a) > area(b); });
  return faces;
}

float FaceDetector::automatic_minimum_face(int height, int width) {
  constexpr float kFewestPixels = 750e3f, kMostPixels = 1500e3f;
  const float pixels = static_cast<float>(height) * static_cast<float>(width);
  const float scale = std::sqrt(std::clamp(pixels, kFewestPixels, kMostPixels) / pixels);
  return std::max(kSmallestFace, BoxDetector::kWindow / scale);
}

}  // namespace sandglass
