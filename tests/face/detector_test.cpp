#include "face/detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "engine/error.h"
#include "engine/random.h"
#include "face/landmark_files.h"
#include "face/registration.h"
#include "tests/face/one_line_error.h"
#include "tests/face/real_faces.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

/// Distance of the outer eye corners.
float eye_distance(const Landmarks& landmarks) {
  return std::hypot(landmarks[36].x - landmarks[45].x, landmarks[36].y - landmarks[45].y);
}

/// The mean distance of two faces' landmarks over the first one's eye distance.
float landmark_error(const Landmarks& truth, const Landmarks& found) {
  float sum = 0;
  for (size_t i = 0; i < truth.size(); ++i) sum += std::hypot(truth[i].x - found[i].x, truth[i].y - found[i].y);
  return sum / static_cast<float>(truth.size()) / eye_distance(truth);
}

float median(std::vector<float> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

bool same(const std::vector<Face>& a, const std::vector<Face>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Face& one, const Face& other) {
    return one.left == other.left && one.bottom == other.bottom && one.confidence == other.confidence &&
           std::equal(one.landmarks.begin(), one.landmarks.end(), other.landmarks.begin(),
                      [](Point p, Point q) { return p.x == q.x && p.y == q.y; });
  });
}

TEST(FaceDetectorOptions, WrongOnesAreErrors) {
  if (!FaceDetector::available()) {
    EXPECT_THAT(one_line_error_of([] { FaceDetector detector; }), HasSubstr("libdlib-dev"));
    return;
  }
  const auto option_error = [](const FaceDetectorOptions& options) {
    return one_line_error_of([&] { FaceDetector detector(options); });
  };
  EXPECT_THAT(option_error({.landmark_model = "no_such_model.dat"}), HasSubstr("no_such_model.dat: no such file"));
  EXPECT_THAT(option_error({.landmark_model = "LICENSE"}), HasSubstr("LICENSE: is not a landmark model"));
  EXPECT_THAT(option_error({.minimum_face = 20}), HasSubstr("at least 40"));
  EXPECT_THAT(option_error({.threshold = NAN}), HasSubstr("threshold"));
  EXPECT_THAT(option_error({.threads = -1}), HasSubstr("threads"));
  setenv("SANDGLASS_LANDMARK_MODEL", "model_of_the_environment.dat", 1);
  EXPECT_THAT(option_error({}), HasSubstr("model_of_the_environment.dat: no such file"));
  unsetenv("SANDGLASS_LANDMARK_MODEL");
}

TEST(FaceDetectorOptions, AutomaticSmallestFaceKeepsTheSearchedPictureBounded) {
  for (const auto& [height, width] :
       {std::pair{64, 64}, {375, 500}, {480, 640}, {1080, 1920}, {3000, 4000}, {1, 100000}}) {
    const float scale = 80 / FaceDetector::automatic_minimum_face(height, width);
    const float searched = scale * scale * static_cast<float>(height) * static_cast<float>(width);
    EXPECT_LE(searched, 1.501e6f);
    EXPECT_LE(scale, 2.0001f);
    EXPECT_TRUE(searched >= 0.749e6f || scale > 1.99f);
  }
}

class FaceDetectorTest : public RealFacesTest {};

TEST_F(FaceDetectorTest, FindsOneFaceInEveryVideoFrame) {
  SKIP_WITHOUT_REAL_FACES();
  Landmarks previous{};
  std::vector<float> steps;
  for (int number = 1; number <= 24; ++number) {
    const std::vector<Face> faces = detector().detect(read_image(video_frame(number)));
    ASSERT_EQ(faces.size(), 1u) << "frame " << number;
    const Face& face = faces[0];
    EXPECT_GT(face.confidence, 0.5f) << "frame " << number;
    for (const Point point : face.landmarks) {
      EXPECT_TRUE(point.x > 0 && point.x < 639 && point.y > 0 && point.y < 479);
    }
    EXPECT_LT(face.landmarks[36].x, face.landmarks[45].x);  // eyes from left to right, above the nose, above the chin
    EXPECT_LT(face.landmarks[36].y, face.landmarks[33].y);
    EXPECT_LT(face.landmarks[33].y, face.landmarks[8].y);
    EXPECT_EQ(one_line_error_of([&] { registration(face.landmarks); }), "");
    if (number > 1) steps.push_back(landmark_error(previous, face.landmarks));
    previous = face.landmarks;
  }
  std::printf("from frame to frame landmarks move by a median of %.4f eye distances\n", median(steps));
  EXPECT_LT(median(steps), 0.015f);  // 0.021 from the detector's box alone
}

// The marks of these photographs were made with dlib's detector on pictures of twice the size and its landmark model,
// so this tells whether everything is found where it should be, not how good the landmarks are.
TEST_F(FaceDetectorTest, FindsTheMarkedFacesOfPhotographs) {
  SKIP_WITHOUT_REAL_FACES();
  int marked = 0, false_faces = 0;
  std::vector<float> errors;
  for (const char* list : {"testing_with_face_landmarks.xml", "training_with_face_landmarks.xml"}) {
    for (const MarkedImage& image : read_imglab(photo(list))) {
      const std::vector<Face> faces = detector().detect(read_image(image.path));
      std::vector<bool> taken(faces.size());
      for (const MarkedFace& mark : image.faces) {
        ASSERT_TRUE(mark.present.all());
        ++marked;
        for (size_t i = 0; i < faces.size(); ++i) {
          const float x = (faces[i].left + faces[i].right) / 2, y = (faces[i].top + faces[i].bottom) / 2;
          const bool inside = std::abs(x - mark.left - mark.width / 2) < mark.width / 3 &&
                              std::abs(y - mark.top - mark.height / 2) < mark.height / 3;
          if (!inside || taken[i]) continue;
          taken[i] = true;
          errors.push_back(landmark_error(mark.landmarks, faces[i].landmarks));
          break;
        }
      }
      false_faces += static_cast<int>(std::count(taken.begin(), taken.end(), false));
    }
  }
  RecordProperty("marked", marked);
  RecordProperty("found", static_cast<int>(errors.size()));
  std::printf(
      "%d marked faces, %zu found, %d false; landmarks differ by a median of %.3f, at most %.3f eye distances\n",
      marked, errors.size(), false_faces, median(errors), *std::max_element(errors.begin(), errors.end()));
  EXPECT_EQ(marked, 43);
  EXPECT_GE(errors.size(), 42u);
  EXPECT_LE(false_faces, 1);
  EXPECT_LT(median(errors), 0.04f);
}

TEST_F(FaceDetectorTest, OrderAndThresholdAndSmallestFace) {
  SKIP_WITHOUT_REAL_FACES();
  const Image image = read_image(photo("bald_guys.jpg"));
  const auto width = [](const Face& face) { return face.right - face.left; };
  const std::vector<Face> faces = detector().detect(image);
  EXPECT_GE(faces.size(), 20u);
  const auto larger = [&](const Face& a, const Face& b) {
    return width(a) * (a.bottom - a.top) > width(b) * (b.bottom - b.top);
  };
  EXPECT_TRUE(std::is_sorted(faces.begin(), faces.end(), larger));

  const std::vector<Face> sure = FaceDetector({.threshold = 1.5f}).detect(image);
  EXPECT_LT(sure.size(), faces.size());
  for (const Face& face : sure) EXPECT_GE(face.confidence, 1.5f);
  EXPECT_EQ(static_cast<size_t>(
                std::count_if(faces.begin(), faces.end(), [](const Face& f) { return f.confidence >= 1.5f; })),
            sure.size());

  const std::vector<Face> large = FaceDetector({.minimum_face = 200}).detect(image);
  EXPECT_LT(large.size(), faces.size());
  EXPECT_FALSE(large.empty());
  for (const Face& face : large) EXPECT_GT(width(face), 150);
}

TEST_F(FaceDetectorTest, SameResultEveryTimeAndWithAnyThreads) {
  SKIP_WITHOUT_REAL_FACES();
  const Image image = read_image(photo("2008_002506.jpg")), other = read_image(video_frame(1));
  const std::vector<Face> faces = detector().detect(image);
  ASSERT_EQ(faces.size(), 3u);
  detector().detect(other);  // leaves no trace
  EXPECT_TRUE(same(faces, detector().detect(image)));
  for (const int threads : {1, 2, 5})
    EXPECT_TRUE(same(faces, FaceDetector({.threads = threads}).detect(image))) << threads;
}

TEST_F(FaceDetectorTest, LandmarksFollowThePictureToAnySize) {
  SKIP_WITHOUT_REAL_FACES();
  const Image frame = read_image(video_frame(10));
  const std::vector<Face> faces = detector().detect(frame);
  ASSERT_EQ(faces.size(), 1u);
  for (const double scale : {0.4, 0.7, 2.0, 6.0}) {  // 256 x 192 to 3840 x 2880
    const Affine larger{{{{scale, 0, (scale - 1) / 2}, {0, scale, (scale - 1) / 2}}}};
    const Image scaled = warp_image(frame, larger, static_cast<int>(480 * scale), static_cast<int>(640 * scale));
    const std::vector<Face> found = detector().detect(scaled);
    ASSERT_EQ(found.size(), 1u) << scale;
    EXPECT_LT(landmark_error(larger.apply(faces[0].landmarks), found[0].landmarks), 0.05f) << scale;
  }
}

TEST_F(FaceDetectorTest, NoFaceIsNoError) {
  SKIP_WITHOUT_LANDMARK_MODEL();
  for (const auto& [height, width] :
       {std::pair{0, 0}, {1, 1}, {31, 31}, {33, 33}, {63, 200}, {64, 64}, {1, 3000}, {3000, 1}, {2, 40000}}) {
    EXPECT_TRUE(detector().detect(Image(height, width)).empty()) << height << " x " << width;
  }
  Image noise(200, 300);
  Random random(5);
  for (uint8_t& value : noise.rgb) value = static_cast<uint8_t>(random.below(256));
  EXPECT_TRUE(detector().detect(noise).empty());
}

}  // namespace
}  // namespace sandglass
