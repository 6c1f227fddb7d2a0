#include "face/box_detector.h"

#include "engine/error.h"

#ifdef SANDGLASS_DLIB

#include <dlib/image_processing/frontal_face_detector.h>

#include <algorithm>

namespace sandglass {
namespace {

using Scanner = dlib::frontal_face_detector::image_scanner_type;
using GreyArray = dlib::array2d<unsigned char>;

/// The picture and its copies shrunk by 5/6 each, down to the detector's smallest. Empty for pictures below that.
std::vector<GreyArray> pyramid(const GreyImage& image, const Scanner& configuration) {
  const auto large_enough = [&](long height, long width) {
    return height >= static_cast<long>(configuration.get_min_pyramid_layer_height()) &&
           width >= static_cast<long>(configuration.get_min_pyramid_layer_width());
  };
  std::vector<GreyArray> levels;
  if (!large_enough(image.height, image.width)) return levels;
  levels.emplace_back(image.height, image.width);
  std::copy(image.pixels.begin(), image.pixels.end(), &levels[0][0][0]);
  const Scanner::pyramid_type shrink;
  for (;;) {
    GreyArray smaller;
    shrink(levels.back(), smaller);
    if (!large_enough(smaller.nr(), smaller.nc())) return levels;
    levels.push_back(std::move(smaller));
  }
}

}  // namespace

const bool BoxDetector::kAvailable = true;

struct BoxDetector::Filters {
  dlib::frontal_face_detector detector = dlib::get_frontal_face_detector();
};

BoxDetector::BoxDetector() : filters_(std::make_unique<const Filters>()) {}
BoxDetector::~BoxDetector() = default;

std::vector<FaceBox> BoxDetector::find(const GreyImage& image, float threshold, int threads) const {
  const auto& detector = filters_->detector;
  const Scanner& configuration = detector.get_scanner();
  const std::vector<GreyArray> levels = pyramid(image, configuration);

  std::vector<std::vector<dlib::rect_detection>> found(levels.size());
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (size_t level = 0; level < levels.size(); ++level) {
    Scanner scanner;
    scanner.copy_configuration(configuration);
    scanner.set_max_pyramid_levels(1);
    scanner.load(levels[level]);
    std::vector<std::pair<double, dlib::rectangle>> boxes;
    for (unsigned long filter = 0; filter < detector.num_detectors(); ++filter) {
      const double bias = detector.get_w(filter)(configuration.get_num_dimensions());
      scanner.detect(detector.get_processed_w(filter).get_detect_argument(), boxes, bias + threshold);
      for (const auto& [score, box] : boxes) {
        const dlib::rectangle in_image = Scanner::pyramid_type().rect_up(box, static_cast<unsigned int>(level));
        found[level].push_back({score - bias, filter, in_image});
      }
    }
  }

  std::vector<dlib::rect_detection> candidates;
  for (const auto& of_level : found) candidates.insert(candidates.end(), of_level.begin(), of_level.end());
  std::stable_sort(candidates.rbegin(), candidates.rend());
  std::vector<dlib::rectangle> kept;
  std::vector<FaceBox> faces;
  for (const auto& [score, filter, box] : candidates) {
    const auto overlaps = [&, &box = box](const dlib::rectangle& better) {
      return detector.get_overlap_tester()(better, box);
    };
    if (std::any_of(kept.begin(), kept.end(), overlaps)) continue;
    kept.push_back(box);
    faces.push_back({static_cast<float>(box.left()), static_cast<float>(box.top()), static_cast<float>(box.right()),
                     static_cast<float>(box.bottom()), static_cast<float>(score)});
  }
  return faces;
}

}  // namespace sandglass

#else

namespace sandglass {

const bool BoxDetector::kAvailable = false;

struct BoxDetector::Filters {};

BoxDetector::BoxDetector() { fail("Sandglass was built without dlib, which finds the faces"); }
BoxDetector::~BoxDetector() = default;

std::vector<FaceBox> BoxDetector::find(const GreyImage&, float, int) const { return {}; }

}  // namespace sandglass

#endif
