#include "face/detector.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <future>

#include "engine/error.h"
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

Landmarks mean(const Landmarks* first, size_t count) {
  Landmarks sum{};
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = 0; k < sum.size(); ++k) sum[k] = {sum[k].x + first[i][k].x, sum[k].y + first[i][k].y};
  }
  const float share = 1 / static_cast<float>(count);
  for (Point& point : sum) point = {point.x * share, point.y * share};
  return sum;
}

}  // namespace

struct FaceDetector::Models {
  std::unique_ptr<const BoxDetector> boxes;
  LandmarkModel landmarks;
};

FaceDetector::FaceDetector(const FaceDetectorOptions& options) : options_(options) {
  check(options.minimum_face == 0 || options.minimum_face >= kSmallestFace,
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

std::vector<Face> FaceDetector::detect(const Image& image) const {
  if (image.height < 1 || image.width < 1) return {};
  const GreyImage grey = grey_image(image);
  const float minimum =
      options_.minimum_face > 0 ? options_.minimum_face : automatic_minimum_face(image.height, image.width);
  const float scale = BoxDetector::kWindow / minimum;
  const auto scaled = [scale](int side) { return std::max(1, static_cast<int>(std::lround(side * scale))); };
  const int height = scaled(image.height), width = scaled(image.width);
  const bool as_it_is = height == image.height && width == image.width;
  const int threads = options_.threads > 0 ? options_.threads : omp_get_max_threads();
  const std::vector<FaceBox> boxes =
      models_->boxes->find(as_it_is ? grey : resized(grey, height, width), options_.threshold, threads);

  // Pixel centres: place p of the searched picture is (p + 0.5) / scale - 0.5 of the original.
  const float scale_x = static_cast<float>(width) / static_cast<float>(image.width);
  const float scale_y = static_cast<float>(height) / static_cast<float>(image.height);
  std::vector<Face> faces;
  for (const FaceBox& box : boxes) {
    Face& face = faces.emplace_back();
    face.left = (box.left + 0.5f) / scale_x - 0.5f;
    face.right = (box.right + 0.5f) / scale_x - 0.5f;
    face.top = (box.top + 0.5f) / scale_y - 0.5f;
    face.bottom = (box.bottom + 0.5f) / scale_y - 0.5f;
    face.confidence = box.score;
  }
  std::vector<Landmarks> found(faces.size() * kStarts.size());
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (size_t i = 0; i < found.size(); ++i) {
    const Face& face = faces[i / kStarts.size()];
    const Point start = kStarts[i % kStarts.size()];
    const float x = start.x * (face.right - face.left), y = start.y * (face.bottom - face.top);
    found[i] = models_->landmarks.predict(grey, face.left + x, face.top + y, face.right + x, face.bottom + y);
  }
  for (size_t i = 0; i < faces.size(); ++i) faces[i].landmarks = mean(&found[i * kStarts.size()], kStarts.size());
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
