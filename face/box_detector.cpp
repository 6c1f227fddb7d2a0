#include "face/box_detector.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/loop_error.h"

namespace sandglass {
namespace {

constexpr double kMostMove = 2.0 / 3, kMostGrowth = 1.5;  // BoxDetector::near

}  // namespace
}  // namespace sandglass

#ifdef SANDGLASS_DLIB

#include <dlib/image_processing/frontal_face_detector.h>

#include <tuple>

namespace sandglass {
namespace {

using Scanner = dlib::frontal_face_detector::image_scanner_type;
using GreyArray = dlib::array2d<unsigned char>;
using Rect = dlib::rectangle;  // whole numbers, all four sides inclusive

constexpr long kCell = 8;          // pixels; a window is 10 x 10 cells
constexpr double kStep = 6.0 / 5;  // from one level of the pyramid to the next
// Boxes of one size whose centres are farther apart, in sides, do not exclude each other.
constexpr double kMostOverlap = 0.5;

/// One step of dlib's pyramid, for any part of the picture: the pixels equal those that dlib's resize_image gives for
/// the whole picture, which is why its arithmetic is repeated here as it is.
class Shrink {
 public:
  Shrink(long height, long width) : rows_(static_cast<size_t>(height * 5 / 6)) {
    const long columns = width * 5 / 6;
    const double row_step = step(height, this->height()), column_step = step(width, columns);
    double y = -row_step;
    for (Between& row : rows_) row = between(y += row_step, height);
    // Four columns at a time in float, as long as the fourth has a right neighbour; the others in double.
    const float four_columns = static_cast<float>(4 * column_step);
    float x[4];
    for (int i = 0; i < 4; ++i) x[i] = static_cast<float>(-4 * column_step + i * column_step);
    for (; this->width() + 4 <= columns; rounded_ += 4) {
      for (float& place : x) place += four_columns;
      if (static_cast<long>(x[3]) + 1 >= width) break;
      for (const float place : x) add_column(between(place, width));
    }
    double rest = -column_step + static_cast<double>(rounded_) * column_step;
    while (this->width() < columns) add_column(between(rest += column_step, width));
  }

  long height() const { return static_cast<long>(rows_.size()); }
  long width() const { return static_cast<long>(shares_.size()); }

  /// The part of the larger picture that a part of the smaller one is made of.
  Rect source(const Rect& part) const {
    return Rect(lefts_[static_cast<size_t>(part.left())], rows_[static_cast<size_t>(part.top())].first,
                rights_[static_cast<size_t>(part.right())], rows_[static_cast<size_t>(part.bottom())].second);
  }

  void run(const GreyImage& from, const Rect& part, GreyImage& to) const {
    const size_t begin = static_cast<size_t>(part.left()), end = static_cast<size_t>(part.right()) + 1;
    const size_t middle = std::clamp(rounded_, begin, end);
    // Most source rows serve two rows of the output: below one and above the next.
    Neighbours upper(shares_.size()), lower(shares_.size());
    long gathered = -1;  // the source row in `lower`
    for (size_t y = static_cast<size_t>(part.top()); y <= static_cast<size_t>(part.bottom()); ++y) {
      const Between& row = rows_[y];
      if (row.first == gathered) {
        std::swap(upper, lower);
      } else {
        gather(from, row.first, begin, end, upper);
      }
      gather(from, row.second, begin, end, lower);
      gathered = row.second;
      uint8_t* output = &to.pixels[y * shares_.size()];
      blend_rounded(upper, lower, row.share, begin, middle, output);
      blend_cut(upper, lower, row.share, middle, end, output);
    }
  }

 private:
  struct Between {  // a place between two rows or columns, and how near the second one
    long first, second;
    double share;
  };
  static Between between(double place, long count) {
    const long first = static_cast<long>(place);
    return {first, std::min(first + 1, count - 1), place - static_cast<double>(first)};
  }
  static double step(long from, long to) {
    return static_cast<double>(from - 1) / static_cast<double>(std::max(to - 1, 1L));
  }
  void add_column(const Between& column) {
    lefts_.push_back(static_cast<int>(column.first));
    rights_.push_back(static_cast<int>(column.second));
    shares_.push_back(static_cast<float>(column.share));
  }

  struct Neighbours {  // of each column in one row
    std::vector<uint8_t> left, right;
    explicit Neighbours(size_t columns) : left(columns), right(columns) {}
  };
  void gather(const GreyImage& from, long row, size_t begin, size_t end, Neighbours& to) const {
    const uint8_t* pixels = &from.pixels[static_cast<size_t>(row) * static_cast<size_t>(from.width)];
    uint8_t *left = to.left.data(), *right = to.right.data();
    const int *lefts = lefts_.data(), *rights = rights_.data();
    for (size_t x = begin; x < end; ++x) {
      left[x] = pixels[lefts[x]];
      right[x] = pixels[rights[x]];
    }
  }
  void blend_rounded(const Neighbours& upper, const Neighbours& lower, double share, size_t begin, size_t end,
                     uint8_t* output) const {
    const float down = static_cast<float>(share), up = static_cast<float>(1 - share);
    const uint8_t *upper_left = upper.left.data(), *upper_right = upper.right.data();
    const uint8_t *lower_left = lower.left.data(), *lower_right = lower.right.data();
    const float* shares = shares_.data();
    for (size_t x = begin; x < end; ++x) {
      const float right = shares[x], left = 1 - right;
      const float value = up * left * upper_left[x] + up * right * upper_right[x] + down * left * lower_left[x] +
                          down * right * lower_right[x];
      const int whole = static_cast<int>(value);
      output[x] = static_cast<uint8_t>(whole + (value - static_cast<float>(whole) >= 0.5f));
    }
  }
  void blend_cut(const Neighbours& upper, const Neighbours& lower, double share, size_t begin, size_t end,
                 uint8_t* output) const {
    for (size_t x = begin; x < end; ++x) {
      const float right = shares_[x], left = 1 - right;
      const float above = left * upper.left[x] + right * upper.right[x];
      const float below = left * lower.left[x] + right * lower.right[x];
      output[x] = static_cast<uint8_t>(static_cast<float>((1 - share) * above + share * below));
    }
  }

  std::vector<Between> rows_;
  std::vector<int> lefts_, rights_;  // of each column as Between, apart because gather() is what takes time
  std::vector<float> shares_;
  size_t rounded_ = 0;  // as many columns are rounded, the others cut
};

/// A picture and its copies shrunk by 5/6 each, down to the detector's smallest; no levels for pictures below that.
/// Only what is asked for is computed.
class Pyramid {
 public:
  Pyramid(const GreyImage& image, const Scanner& configuration) : image_(image) {
    const auto large_enough = [&](long height, long width) {
      return height >= static_cast<long>(configuration.get_min_pyramid_layer_height()) &&
             width >= static_cast<long>(configuration.get_min_pyramid_layer_width());
    };
    if (!large_enough(image.height, image.width)) return;
    levels_ = 1;
    for (long height = image.height, width = image.width;; ++levels_) {
      const Shrink shrink(height, width);
      height = shrink.height(), width = shrink.width();
      if (!large_enough(height, width)) return;
      shrinks_.push_back(shrink);
      GreyImage& smaller = smaller_.emplace_back();
      smaller.height = static_cast<int>(height), smaller.width = static_cast<int>(width);
      smaller.pixels.resize(static_cast<size_t>(height * width));
    }
  }

  size_t levels() const { return levels_; }
  const GreyImage& level(size_t level) const { return level == 0 ? image_ : smaller_[level - 1]; }

  /// Computes the pixels of `parts`, one a level (empty: none).
  void fill(std::vector<Rect> parts) {
    for (size_t level = levels_; level-- > 1;) {
      if (!parts[level].is_empty()) parts[level - 1] += shrinks_[level - 1].source(parts[level]);
    }
    for (size_t level = 1; level < levels_; ++level) {
      if (!parts[level].is_empty()) shrinks_[level - 1].run(this->level(level - 1), parts[level], smaller_[level - 1]);
    }
  }

 private:
  const GreyImage& image_;
  std::vector<Shrink> shrinks_;
  std::vector<GreyImage> smaller_;
  size_t levels_ = 0;
};

/// Some of a level's windows. Window (x, y) begins four cells left of and above cell (x + 1, y + 1) and may reach
/// beyond the level, which has two windows fewer than cells a side.
struct Part {
  size_t level;
  Rect windows;
};

long cells(long pixels) { return static_cast<long>(static_cast<float>(pixels) / kCell + 0.5f); }

Rect all_windows(const GreyImage& level) { return Rect(0, 0, cells(level.width) - 3, cells(level.height) - 3); }

/// The pixels of a level from which the scores of `windows` come out with the same bits as from the whole level. Along
/// a side: dlib's features of cell c need the pixels of cells c - 1 to c + 1 and half a cell more, and the window at w
/// the cells w - 3 to w + 6. At a cut picture's right end the last 7 columns of pixels and the last 7 windows are
/// summed in another order (dlib's vectors of 8): so three cells more, and where the level itself ends, its cut must
/// begin at a multiple of 8 windows to have the same rest.
Rect pixels_of(const Rect& windows, const GreyImage& level) {
  constexpr long kBefore = 5, kAfter = 10, kVector = 8;
  const auto begin = [](long first) { return std::max(first - kBefore, 0L); };
  const auto end = [](long last, long pixels) {
    return last + kAfter >= cells(pixels) ? pixels : (last + kAfter) * kCell;
  };
  const long right = end(windows.right(), level.width), bottom = end(windows.bottom(), level.height);
  long left = begin(windows.left());
  if (right == level.width) left -= left % kVector;
  return Rect(left * kCell, begin(windows.top()) * kCell, right - 1, bottom - 1);
}

GreyArray cut(const GreyImage& image, const Rect& part) {
  GreyArray pixels(static_cast<long>(part.height()), static_cast<long>(part.width()));
  for (long y = 0; y < pixels.nr(); ++y) {
    const uint8_t* row = &image.pixels[static_cast<size_t>((part.top() + y) * image.width + part.left())];
    std::copy(row, row + pixels.nc(), &pixels[y][0]);
  }
  return pixels;
}

/// A window whose score reaches the threshold.
struct Candidate {
  double score;
  size_t level;
  unsigned long filter;
  Rect in_level, in_picture;

  /// The best first; the other members make the order independent of how the picture was cut into parts.
  auto order() const { return std::tuple(-score, level, filter, in_level.top(), in_level.left()); }
};

void search(const dlib::frontal_face_detector& detector, const GreyImage& level, const Part& part, float threshold,
            std::vector<Candidate>& found) {
  const Rect pixels = pixels_of(part.windows, level);
  Scanner scanner;
  scanner.copy_configuration(detector.get_scanner());
  scanner.set_max_pyramid_levels(1);
  scanner.load(cut(level, pixels));
  std::vector<std::pair<double, Rect>> boxes;
  for (unsigned long filter = 0; filter < detector.num_detectors(); ++filter) {
    const double bias = detector.get_w(filter)(scanner.get_num_dimensions());
    scanner.detect(detector.get_processed_w(filter).get_detect_argument(), boxes, bias + threshold);
    for (const auto& [score, box] : boxes) {
      const Rect in_level = dlib::translate_rect(box, pixels.tl_corner());
      // The box ends in the middle of the window's last cell, one pixel on (dlib's fhog_to_image).
      constexpr long kLastCell = 6;
      const dlib::point window(in_level.right() / kCell - kLastCell, in_level.bottom() / kCell - kLastCell);
      if (!part.windows.contains(window)) continue;
      const Rect in_picture = Scanner::pyramid_type().rect_up(in_level, static_cast<unsigned int>(part.level));
      found.push_back({score - bias, part.level, filter, in_level, in_picture});
    }
  }
}

/// Adds the candidates of `parts` to `candidates`, which are in order and without twins before and after.
void search(const dlib::frontal_face_detector& detector, Pyramid& pyramid, const std::vector<Part>& parts,
            float threshold, int threads, std::vector<Candidate>& candidates) {
  std::vector<Rect> pixels(pyramid.levels());
  for (const Part& part : parts) pixels[part.level] += pixels_of(part.windows, pyramid.level(part.level));
  pyramid.fill(pixels);
  std::vector<std::vector<Candidate>> found(parts.size());
  LoopError error;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (size_t i = 0; i < parts.size(); ++i)
    error.guard([&] { search(detector, pyramid.level(parts[i].level), parts[i], threshold, found[i]); });
  error.rethrow();
  for (const auto& of_part : found) candidates.insert(candidates.end(), of_part.begin(), of_part.end());
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.order() < b.order(); });
  const auto same = [](const auto& a, const auto& b) { return a.order() == b.order(); };
  candidates.erase(std::unique(candidates.begin(), candidates.end(), same), candidates.end());
}

/// Of overlapping candidates the best.
std::vector<Candidate> best(const dlib::frontal_face_detector& detector, const std::vector<Candidate>& candidates) {
  std::vector<Candidate> kept;
  for (const Candidate& candidate : candidates) {
    const auto overlaps = [&](const Candidate& better) {
      return detector.get_overlap_tester()(better.in_picture, candidate.in_picture);
    };
    if (std::none_of(kept.begin(), kept.end(), overlaps)) kept.push_back(candidate);
  }
  return kept;
}

FaceBox face_box(const Candidate& candidate) {
  const Rect& box = candidate.in_picture;
  return {static_cast<float>(box.left()), static_cast<float>(box.top()), static_cast<float>(box.right()),
          static_cast<float>(box.bottom()), static_cast<float>(candidate.score)};
}

/// Adds the windows of about the size of `box` whose centres lie at most `reach` of its side away.
void add_around(const FaceBox& box, double reach, const Pyramid& pyramid, std::vector<Part>& parts) {
  // A window's box has 73 pixels. Its centre is 17 pixels right of the window's first, or 13 where the box begins at a
  // negative place.
  constexpr double kSide = 72, kCentre = 17, kLeastCentre = 13;
  const double side = box.right - box.left, x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
  for (size_t level = 0; level < pyramid.levels(); ++level) {
    constexpr double kRounded = 1.05;  // boxes end at whole pixels
    const double growth = kSide * std::pow(kStep, level) / side;
    if (!(growth <= kMostGrowth * kRounded && growth * kMostGrowth * kRounded >= 1)) continue;
    const auto in_level = [&](double sign) {
      return Scanner::pyramid_type().point_down(dlib::dpoint(x + sign * reach * side, y + sign * reach * side),
                                                static_cast<unsigned int>(level));
    };
    const dlib::dpoint first = in_level(-1), last = in_level(1);
    const Rect all = all_windows(pyramid.level(level));
    const auto between = [](double least, double window, double most) {  // not-a-number: the least
      return static_cast<long>(std::min(std::max(least, window), most));
    };
    const double last_x = static_cast<double>(all.right()), last_y = static_cast<double>(all.bottom());
    const Rect windows(between(0, std::floor((first.x() - kCentre) / kCell), last_x + 1),
                       between(0, std::floor((first.y() - kCentre) / kCell), last_y + 1),
                       between(-1, std::ceil((last.x() - kLeastCentre) / kCell), last_x),
                       between(-1, std::ceil((last.y() - kLeastCentre) / kCell), last_y));
    if (!windows.is_empty()) parts.push_back({level, windows});
  }
}

/// Joins parts of one level where searching them as one is less work.
void join(std::vector<Part>& parts, const Pyramid& pyramid) {
  const auto work = [&](const Part& part) { return pixels_of(part.windows, pyramid.level(part.level)).area(); };
  for (size_t i = 0; i < parts.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Part both{parts[i].level, parts[i].windows + parts[j].windows};
      if (parts[j].level != parts[i].level || work(both) > work(parts[i]) + work(parts[j])) continue;
      parts[i] = both;
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(j));
      i = 0;  // the larger part may now be near others
      break;
    }
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
  Pyramid pyramid(image, filters_->detector.get_scanner());
  std::vector<Part> parts;
  for (size_t level = 0; level < pyramid.levels(); ++level) parts.push_back({level, all_windows(pyramid.level(level))});
  std::vector<Candidate> candidates;
  search(filters_->detector, pyramid, parts, threshold, threads, candidates);
  std::vector<FaceBox> faces;
  for (const Candidate& candidate : best(filters_->detector, candidates)) faces.push_back(face_box(candidate));
  return faces;
}

std::vector<FaceBox> BoxDetector::find_near(const GreyImage& image, std::span<const FaceBox> before, float threshold,
                                            int threads) const {
  Pyramid pyramid(image, filters_->detector.get_scanner());
  std::vector<Part> parts, searched;
  for (const FaceBox& box : before) add_around(box, kMostMove, pyramid, parts);
  join(parts, pyramid);
  std::vector<Candidate> candidates;
  std::vector<FaceBox> faces;
  while (!parts.empty()) {
    search(filters_->detector, pyramid, parts, threshold, threads, candidates);
    searched.insert(searched.end(), parts.begin(), parts.end());
    // A better box that overlaps a face must be seen, too: what is around each face is searched until nothing is left.
    faces.clear();
    parts.clear();
    for (const Candidate& candidate : best(filters_->detector, candidates)) {
      const FaceBox face = face_box(candidate);
      if (std::none_of(before.begin(), before.end(), [&](const FaceBox& old) { return near(face, old); })) continue;
      faces.push_back(face);
      add_around(face, kMostOverlap, pyramid, parts);
    }
    std::erase_if(parts, [&](const Part& part) {
      return std::any_of(searched.begin(), searched.end(), [&](const Part& old) {
        return old.level == part.level && old.windows.contains(part.windows);
      });
    });
    join(parts, pyramid);
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
std::vector<FaceBox> BoxDetector::find_near(const GreyImage&, std::span<const FaceBox>, float, int) const { return {}; }

}  // namespace sandglass

#endif

namespace sandglass {

bool BoxDetector::near(const FaceBox& box, const FaceBox& before) {
  const float side = before.right - before.left, growth = (box.right - box.left) / side;
  const auto moved = [](float first, float last, float old_first, float old_last) {
    return std::abs(first + last - old_first - old_last) / 2;
  };
  return growth <= kMostGrowth && growth * kMostGrowth >= 1 &&
         moved(box.left, box.right, before.left, before.right) <= kMostMove * side &&
         moved(box.top, box.bottom, before.top, before.bottom) <= kMostMove * side;
}

}  // namespace sandglass
