#include "face/landmark_files.h"

#include <charconv>
#include <cmath>

#include "engine/error.h"
#include "engine/file.h"

#ifdef SANDGLASS_DLIB
#include <dlib/data_io/image_dataset_metadata.h>
#endif
#ifdef SANDGLASS_MATIO
#include <matio.h>

#include <memory>
#endif

namespace sandglass {
namespace {

/// The lines of a text, cut into words.
class WordLines {
 public:
  WordLines(std::string_view text, std::string name) : rest_(text), name_(std::move(name)) {}

  /// The words of the next line that has any, separated by white space and by the colon of "version: 1".
  std::vector<std::string_view> next(const char* expected) {
    constexpr std::string_view kSeparators = " \t\r\v\f:";
    std::vector<std::string_view> words;
    while (words.empty()) {
      check(!rest_.empty(), "{}: ends after line {}, expected {}", name_, number_, expected);
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++number_;
      for (size_t begin; (begin = line.find_first_not_of(kSeparators)) != line.npos;) {
        line.remove_prefix(begin);
        words.push_back(line.substr(0, line.find_first_of(kSeparators)));
        line.remove_prefix(words.back().size());
      }
    }
    return words;
  }

  std::string where() const { return fmt::format("{}: line {}", name_, number_); }

 private:
  std::string_view rest_;
  std::string name_;
  int number_ = 0;
};

template <typename Number>
Number parse_number(std::string_view word, const std::string& where) {
  Number number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  check(error == std::errc{} && end == word.data() + word.size(), "{}: expected a number, found '{}'", where, word);
  if constexpr (std::is_floating_point_v<Number>) check(std::isfinite(number), "{}: '{}' is not finite", where, word);
  return number;
}

}  // namespace

Landmarks read_pts(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  WordLines lines(text, path.string());
  std::vector<std::string_view> words = lines.next("'version: 1'");
  check(words[0] == "version", "{}: expected 'version: 1', found '{}'; is it a .pts file?", lines.where(), words[0]);
  words = lines.next("'n_points: 68'");
  check(words.size() == 2 && words[0] == "n_points", "{}: expected 'n_points: 68', found '{}'", lines.where(),
        words[0]);
  const int count = parse_number<int>(words[1], lines.where());
  check(count == 68, "{}: has {} points, expected the 68 of the 300-W markup", lines.where(), count);
  words = lines.next("'{'");
  check(words[0] == "{", "{}: expected '{{', found '{}'", lines.where(), words[0]);

  Landmarks landmarks;
  for (Point& point : landmarks) {
    words = lines.next("68 lines 'x y' and '}'");
    check(words.size() == 2, "{}: expected 'x y' (68 times), found {} words beginning with '{}'", lines.where(),
          words.size(), words[0]);
    const std::string where = lines.where();
    point = {parse_number<float>(words[0], where) - 1,
             parse_number<float>(words[1], where) - 1};  // 1-based in the file
    check(std::abs(point.x) <= kLargestCoordinate && std::abs(point.y) <= kLargestCoordinate,
          "{}: '{} {}' is not a place in pixels", where, words[0], words[1]);
  }
  words = lines.next("'}'");
  check(words[0] == "}", "{}: expected '}}' after 68 points, found '{}'", lines.where(), words[0]);
  return landmarks;
}

#ifdef SANDGLASS_DLIB

std::vector<MarkedImage> read_imglab(const std::filesystem::path& path) {
  const bool blank = read_file(path).find_first_not_of(" \t\r\n") == std::string::npos;
  check(!blank, "{}: is not an imglab XML file (it is empty)", path.string());  // dlib would take it
  dlib::image_dataset_metadata::dataset dataset;
  try {
    dlib::image_dataset_metadata::load_image_dataset_metadata(dataset, path.string());
  } catch (const std::exception& error) {
    std::string reason = error.what();
    for (char& character : reason) character = character == '\n' ? ' ' : character;
    fail("{}: is not an imglab XML file ({})", path.string(), reason);
  }

  std::vector<MarkedImage> images;
  for (const auto& image : dataset.images) {
    images.push_back({path.parent_path() / image.filename, {}});
    for (const auto& box : image.boxes) {
      MarkedFace& face = images.back().faces.emplace_back();
      face.left = static_cast<float>(box.rect.left());
      face.top = static_cast<float>(box.rect.top());
      face.width = static_cast<float>(box.rect.width());
      face.height = static_cast<float>(box.rect.height());
      for (const auto& [name, point] : box.parts) {
        size_t index = face.landmarks.size();
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
        if (error != std::errc{} || end != name.data() + name.size() || index >= face.landmarks.size()) continue;
        face.landmarks[index] = {static_cast<float>(point.x()), static_cast<float>(point.y())};
        face.present.set(index);
      }
    }
  }
  return images;
}

#else

std::vector<MarkedImage> read_imglab(const std::filesystem::path& path) {
  fail("{}: reading imglab files needs dlib, which this build was made without; install libdlib-dev and build again",
       path.string());
}

#endif

#ifdef SANDGLASS_MATIO

std::string mat_library_version() {
  int major = 0, minor = 0, release = 0;
  Mat_GetLibraryVersion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

Landmarks read_disfa_mat(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  check(std::filesystem::is_regular_file(path, error), "{}: no such file", name);
  Mat_LogInitFunc(nullptr, [](int, char*) {});  // its remarks on broken files are not for the user
  const std::unique_ptr<mat_t, int (*)(mat_t*)> file(Mat_Open(name.c_str(), MAT_ACC_RDONLY), Mat_Close);
  check(file != nullptr, "{}: is not a .mat file", name);
  const std::unique_ptr<matvar_t, void (*)(matvar_t*)> points(Mat_VarRead(file.get(), "pts"), Mat_VarFree);
  check(points && points->data, "{}: has no matrix 'pts'", name);
  check(points->rank == 2 && (points->dims[0] == 66 || points->dims[0] == 68) && points->dims[1] == 2,
        "{}: 'pts' is {} x {}, expected 66 x 2 or 68 x 2", name, points->dims[0],
        points->rank > 1 ? points->dims[1] : 1);
  check(!points->isComplex && (points->class_type == MAT_C_DOUBLE || points->class_type == MAT_C_SINGLE),
        "{}: 'pts' does not hold real numbers", name);
  const size_t count = points->dims[0];
  const auto at = [&](size_t i) {  // column by column
    return points->class_type == MAT_C_DOUBLE ? static_cast<float>(static_cast<const double*>(points->data)[i])
                                              : static_cast<const float*>(points->data)[i];
  };
  constexpr size_t kInnerRight = 60, kInnerLeft = 64, kOuterRight = 48, kOuterLeft = 54;
  Landmarks landmarks;
  size_t from = 0;
  for (size_t i = 0; i < landmarks.size(); ++i) {
    if (count == 66 && (i == kInnerRight || i == kInnerLeft)) continue;
    landmarks[i] = {at(from), at(count + from)};
    check(std::isfinite(landmarks[i].x) && std::isfinite(landmarks[i].y), "{}: point {} is not finite", name, from + 1);
    ++from;
  }
  if (count == 66) {
    landmarks[kInnerRight] = landmarks[kOuterRight];
    landmarks[kInnerLeft] = landmarks[kOuterLeft];
  }
  return landmarks;
}

#else

std::string mat_library_version() { return ""; }

Landmarks read_disfa_mat(const std::filesystem::path& path) {
  fail(
      "{}: reading .mat files needs matio, which this build was made without; install libmatio-dev and build again, or "
      "set data.landmarks",
      path.string());
}

#endif

}  // namespace sandglass
