#include "face/landmark_model.h"

#include <array>
#include <bit>
#include <cmath>
#include <fstream>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr size_t kPoints = std::tuple_size_v<Landmarks>, kCoordinates = 2 * kPoints;

/// Reads dlib's serialisation. An integer is a byte with its sign (bit 7) and size (bits 0-3), then its bytes from the
/// lowest; a float is two integers, mantissa and exponent of 2; an array is its size, then its elements.
/// Streams through a small buffer because the usual model has 100 MB.
class DlibReader {
 public:
  explicit DlibReader(const std::filesystem::path& path) : name_(path.string()), file_(path, std::ios::binary) {
    std::error_code error;
    check(std::filesystem::exists(path, error), "{}: no such file", name_);
    check(!std::filesystem::is_directory(path, error), "{}: is a folder, expected dlib's landmark model", name_);
    check(file_.is_open(), "{}: cannot be read", name_);
  }

  int64_t integer() {
    constexpr size_t kLongest = 9;
    if (buffer_.size() - position_ < kLongest) refill();
    const auto* bytes = reinterpret_cast<const uint8_t*>(buffer_.data()) + position_;
    const size_t available = buffer_.size() - position_;
    const size_t size = available > 0 ? bytes[0] & 0x0F : 0;
    check(available > size, "{}: ends in the middle of the model; the file is truncated", name_);
    check(size >= 1 && size <= 8, "{}: is not a landmark model of dlib (an integer of {} bytes)", name_, size);
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{bytes[1 + i]} << (8 * i);
    position_ += 1 + size;
    return static_cast<int64_t>((bytes[0] & 0x80) != 0 ? -value : value);
  }

  float real() {
    const int64_t mantissa = integer(), exponent = integer();
    check(exponent > -1000 && exponent < 900, "{}: holds a number that is not finite", name_);
    const double power = std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);  // 2^exponent
    const double value = static_cast<double>(mantissa) * power;
    check(std::abs(value) < 1e30, "{}: holds the number {}, which no landmark model needs", name_, value);
    return static_cast<float>(value);
  }

  /// An integer from `minimum` to `maximum`.
  size_t count(const char* what, size_t minimum, size_t maximum) {
    const int64_t value = integer();
    const bool fits = value >= 0 && static_cast<size_t>(value) >= minimum && static_cast<size_t>(value) <= maximum;
    check(fits, "{}: is not a landmark model of dlib ({} is {}, expected {} to {})", name_, what, value, minimum,
          maximum);
    return static_cast<size_t>(value);
  }
  size_t count(const char* what, size_t expected) { return count(what, expected, expected); }

  /// A column of `count` numbers; dlib writes a matrix's rows and columns as negative numbers.
  void column(float* to, size_t count) {
    const int64_t minus_rows = integer(), minus_columns = integer();
    check(minus_rows == -static_cast<int64_t>(count) && minus_columns == -1,
          "{}: is not a landmark model of dlib with 68 points (a matrix is {} x {}, expected {} x 1)", name_,
          minus_rows, minus_columns, count);
    for (size_t i = 0; i < count; ++i) to[i] = real();
  }

 private:
  void refill() {
    constexpr size_t kChunk = size_t{1} << 18;
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(position_));
    const size_t kept = buffer_.size();
    buffer_.resize(kept + kChunk);
    file_.read(buffer_.data() + kept, kChunk);
    buffer_.resize(kept + static_cast<size_t>(file_.gcount()));
    position_ = 0;
  }

  std::string name_;
  std::ifstream file_;
  std::vector<char> buffer_;
  size_t position_ = 0;
};

/// The linear part of the similarity transform (rotation and scale) that brings `from` closest to `to`, both 136
/// numbers. As complex numbers, with the means taken off: sum(conj(from) to) / sum(|from|^2).
std::array<float, 2> similarity(const std::vector<float>& from, const std::vector<float>& to) {
  double from_x = 0, from_y = 0, to_x = 0, to_y = 0;
  for (size_t i = 0; i < kCoordinates; i += 2) {
    from_x += from[i], from_y += from[i + 1], to_x += to[i], to_y += to[i + 1];
  }
  from_x /= kPoints, from_y /= kPoints, to_x /= kPoints, to_y /= kPoints;
  double real = 0, imaginary = 0, square = 0;
  for (size_t i = 0; i < kCoordinates; i += 2) {
    const double a = from[i] - from_x, b = from[i + 1] - from_y, c = to[i] - to_x, d = to[i + 1] - to_y;
    real += a * c + b * d;
    imaginary += a * d - b * c;
    square += a * a + b * b;
  }
  return {static_cast<float>(real / square), static_cast<float>(imaginary / square)};
}

}  // namespace

LandmarkModel::LandmarkModel(const std::filesystem::path& path) {
  // Bounds well beyond the published models (15 stages of 500 trees with 15 splits that look at 500 pixels).
  constexpr size_t kMaximumStages = 100, kMaximumTrees = 2000, kMaximumSplits = 255, kMaximumPixels = 10000;
  DlibReader reader(path);
  reader.count("the version", 1);
  initial_shape_.resize(kCoordinates);
  reader.column(initial_shape_.data(), kCoordinates);

  stages_.resize(reader.count("the number of stages", 1, kMaximumStages));
  for (Stage& stage : stages_) {
    stage.trees = reader.count("a stage's number of trees", 1, kMaximumTrees);
    for (size_t tree = 0; tree < stage.trees; ++tree) {
      if (tree == 0) {
        stage.splits_per_tree = reader.count("a tree's number of splits", 1, kMaximumSplits);
        check(std::has_single_bit(stage.splits_per_tree + 1),
              "{}: a tree has {} splits, expected one less than a power of 2", path.string(), stage.splits_per_tree);
        stage.leaves.reserve(stage.trees * (stage.splits_per_tree + 1) * kCoordinates);
      } else {
        reader.count("a tree's number of splits", stage.splits_per_tree);
      }
      for (size_t i = 0; i < stage.splits_per_tree; ++i) {
        const size_t first = reader.count("a split's pixel", 0, kMaximumPixels);
        const size_t second = reader.count("a split's pixel", 0, kMaximumPixels);
        stage.splits.push_back({static_cast<int>(first), static_cast<int>(second), reader.real()});
      }
      const size_t leaves = reader.count("a tree's number of leaves", stage.splits_per_tree + 1);
      for (size_t i = 0; i < leaves; ++i) {
        stage.leaves.resize(stage.leaves.size() + kCoordinates);
        reader.column(stage.leaves.data() + stage.leaves.size() - kCoordinates, kCoordinates);
      }
    }
  }

  reader.count("the number of lists of landmarks", stages_.size());
  for (Stage& stage : stages_) {
    stage.pixels.resize(reader.count("a stage's number of pixels", 1, kMaximumPixels));
    for (Offset& pixel : stage.pixels) pixel.landmark = static_cast<int>(reader.count("a landmark", 0, kPoints - 1));
    for (const Split& split : stage.splits) {
      const size_t largest = static_cast<size_t>(std::max(split.first, split.second));
      check(largest < stage.pixels.size(), "{}: a tree looks at pixel {} of {}", path.string(), largest,
            stage.pixels.size());
    }
  }
  reader.count("the number of lists of pixels", stages_.size());
  for (Stage& stage : stages_) {
    reader.count("a stage's number of pixels", stage.pixels.size());
    for (Offset& pixel : stage.pixels) {
      pixel.delta.x = reader.real();
      pixel.delta.y = reader.real();
    }
  }
}

Landmarks LandmarkModel::predict(const GreyImage& image, float left, float top, float right, float bottom) const {
  const Point stay;
  return predict(image, left, top, right, bottom, std::span(&stay, 1))[0];
}

std::vector<Landmarks> LandmarkModel::predict(const GreyImage& image, float left, float top, float right, float bottom,
                                              std::span<const Point> moves) const {
  std::vector<Walk> walks;
  for (const Point move : moves) {
    const float first_x = left + move.x, first_y = top + move.y, last_x = right + move.x, last_y = bottom + move.y;
    walks.push_back({first_x, first_y, last_x - first_x, last_y - first_y, initial_shape_, {}, {}});
  }
  for (const Stage& stage : stages_) {
    for (Walk& walk : walks) {
      look(image, stage, walk);
      choose_leaves(stage, walk);
    }
    for (size_t tree = 0; tree < stage.trees; ++tree) {
      for (Walk& walk : walks) {
        const float* move = walk.moves[tree];
        for (size_t i = 0; i < kCoordinates; ++i) walk.shape[i] += move[i];
      }
    }
  }
  std::vector<Landmarks> landmarks(walks.size());
  for (size_t w = 0; w < walks.size(); ++w) {
    const Walk& walk = walks[w];
    for (size_t i = 0; i < kPoints; ++i) {
      landmarks[w][i] = {static_cast<float>(walk.left + walk.width * walk.shape[2 * i]),
                         static_cast<float>(walk.top + walk.height * walk.shape[2 * i + 1])};
    }
  }
  return landmarks;
}

void LandmarkModel::look(const GreyImage& image, const Stage& stage, Walk& walk) const {
  const auto [real, imaginary] = similarity(initial_shape_, walk.shape);
  walk.brightness.assign(stage.pixels.size(), 0);
  for (size_t i = 0; i < stage.pixels.size(); ++i) {
    const auto& [landmark, delta] = stage.pixels[i];
    const size_t at = 2 * static_cast<size_t>(landmark);
    const double x = walk.left + walk.width * (walk.shape[at] + real * delta.x - imaginary * delta.y);
    const double y = walk.top + walk.height * (walk.shape[at + 1] + imaginary * delta.x + real * delta.y);
    const double column = std::floor(x + 0.5), row = std::floor(y + 0.5);
    if (!(column >= 0 && column < image.width && row >= 0 && row < image.height)) continue;  // also not-a-number
    walk.brightness[i] =
        image.pixels[static_cast<size_t>(row) * static_cast<size_t>(image.width) + static_cast<size_t>(column)];
  }
}

void LandmarkModel::choose_leaves(const Stage& stage, Walk& walk) {
  walk.moves.resize(stage.trees);
  for (size_t tree = 0; tree < stage.trees; ++tree) {
    const Split* splits = &stage.splits[tree * stage.splits_per_tree];
    size_t node = 0;
    while (node < stage.splits_per_tree) {
      const auto& [first, second, threshold] = splits[node];
      const bool goes_left =
          walk.brightness[static_cast<size_t>(first)] - walk.brightness[static_cast<size_t>(second)] > threshold;
      node = 2 * node + 2 - static_cast<size_t>(goes_left);  // no branch: it could not be predicted
    }
    const size_t leaf = tree * (stage.splits_per_tree + 1) + node - stage.splits_per_tree;
    walk.moves[tree] = &stage.leaves[leaf * kCoordinates];
    __builtin_prefetch(walk.moves[tree]);  // its beginning; the processor goes on by itself
  }
}

}  // namespace sandglass
