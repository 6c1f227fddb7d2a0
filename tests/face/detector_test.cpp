#include "face/detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "engine/error.h"
#include "engine/random.h"
#include "face/box_detector.h"
#include "face/face_tracker.h"
#include "face/grey_image.h"
#include "face/landmark_files.h"
#include "face/registration.h"
#include "tests/face/drawn_faces.h"
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
  EXPECT_THAT(option_error({.minimum_face = INFINITY}), HasSubstr("at least 40"));
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

// The faces of drawn scenes, moved: find_near() gives find()'s boxes, and a face that moved by half its width or grew
// or shrank by a fifth is among them.
class FindNearTest : public testing::Test {
 protected:
  static GreyImage scene(int height, int width, const std::vector<DrawnFace>& faces) {
    return grey_image(drawn_faces(height, width, faces));
  }
  static std::vector<FaceBox> those_near(const std::vector<FaceBox>& boxes, std::span<const FaceBox> before) {
    std::vector<FaceBox> made;
    const auto is_near = [&](const FaceBox& box) {
      return std::any_of(before.begin(), before.end(), [&](const FaceBox& old) { return BoxDetector::near(box, old); });
    };
    std::copy_if(boxes.begin(), boxes.end(), std::back_inserter(made), is_near);
    return made;
  }
  static void expect_equal(const std::vector<FaceBox>& a, const std::vector<FaceBox>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].left, b[i].left);
      EXPECT_EQ(a[i].top, b[i].top);
      EXPECT_EQ(a[i].right, b[i].right);
      EXPECT_EQ(a[i].bottom, b[i].bottom);
      EXPECT_EQ(a[i].score, b[i].score);
    }
  }
};

TEST_F(FindNearTest, EqualsTheWholeSearchWhereItLooks) {
  if (!BoxDetector::kAvailable) GTEST_SKIP() << "built without dlib";
  const BoxDetector detector;
  struct Scene {
    int height, width;
    float threshold;  // a low one for more boxes; not for faces in one another, of which more than near ones matter
    std::vector<DrawnFace> faces;
  };
  const Scene scenes[] = {{360, 397, -1.3f, {{{110, 110}, 110}, {{290, 150}, 150}, {{60, 290}, 80}, {{150, 300}, 90}}},
                          {230, 411, -1.3f, {{{40, 60}, 100}, {{372, 180}, 110}, {{205, 120}, 75}}},  // at the borders
                          {301, 290, 0, {{{150, 150}, 200}, {{240, 60}, 75}}},
                          {86, 80, -1.3f, {{{40, 44}, 76}}}};
  size_t compared = 0;
  for (const Scene& scene : scenes) {
    const std::vector<FaceBox> before =
        detector.find(FindNearTest::scene(scene.height, scene.width, scene.faces), 0, 2);
    ASSERT_FALSE(before.empty());
    for (const auto& [growth, x, y] : {std::tuple{1.0f, 0.0f, 0.0f},
                                       {1.2f, 0.03f, 0.1f},
                                       {1 / 1.2f, 0.0f, -0.2f},
                                       {1.0f, 0.5f, 0.0f},
                                       {1.0f, -0.3f, 0.4f}}) {
      SCOPED_TRACE(testing::Message() << scene.width << " x " << scene.height << ", " << growth << " " << x << " "
                                      << y);
      std::vector<DrawnFace> faces = scene.faces;
      for (DrawnFace& face : faces) {
        face.centre = {face.centre.x + x * face.side, face.centre.y + y * face.side};
        face.side *= growth;
      }
      const GreyImage next = FindNearTest::scene(scene.height, scene.width, faces);
      for (const float threshold : {0.0f, scene.threshold}) {
        const std::vector<FaceBox> whole = detector.find(next, threshold, 2);
        for (size_t i = 0; i < before.size(); ++i) {  // each alone, and all
          const std::span<const FaceBox> some = i == 0 ? std::span(before) : std::span(&before[i], 1);
          const std::vector<FaceBox> expected = those_near(whole, some);
          expect_equal(detector.find_near(next, some, threshold, 1 + static_cast<int>(i % 2)), expected);
          compared += expected.size();
        }
      }
    }
  }
  EXPECT_GT(compared, 120u);
}

TEST_F(FindNearTest, FindsAFaceThatMovedByHalfItsWidthOrGrewByAFifth) {
  if (!BoxDetector::kAvailable) GTEST_SKIP() << "built without dlib";
  const BoxDetector detector;
  for (const float side : {90.0f, 101.0f, 117.0f}) {
    const DrawnFace face{{190, 180}, side};
    const std::vector<FaceBox> before = detector.find(scene(360, 400, {face}), 0, 2);
    ASSERT_EQ(before.size(), 1u);
    for (const auto& [growth, x, y] : {std::tuple{1.0f, 0.5f, 0.5f},
                                       {1.0f, -0.5f, 0.5f},
                                       {1.0f, 0.5f, -0.5f},
                                       {1.0f, -0.5f, -0.5f},
                                       {1.2f, 0.2f, 0.0f},
                                       {1 / 1.2f, 0.0f, 0.2f}}) {
      const DrawnFace moved{{190 + x * side, 180 + y * side}, side * growth};
      EXPECT_EQ(detector.find_near(scene(360, 400, {moved}), before, 0, 1).size(), 1u)
          << side << ": " << growth << " " << x << " " << y;
    }
    const DrawnFace far{{190 + 1.2f * side, 180}, side};
    EXPECT_TRUE(detector.find_near(scene(360, 400, {far}), before, 0, 1).empty());
  }
}

// As far away as a face may be its box comes from windows at the end of what is searched, where a picture that is cut
// too narrowly would give other bits.
TEST_F(FindNearTest, EqualsTheWholeSearchAtTheEndOfItsReach) {
  if (!BoxDetector::kAvailable) GTEST_SKIP() << "built without dlib";
  const BoxDetector detector;
  const float side = 76;
  const std::vector<FaceBox> before = detector.find(scene(260, 300, {{{130, 130}, side}}), 0, 2);
  ASSERT_EQ(before.size(), 1u);
  size_t compared = 0;
  for (const float x : {-1.0f, 0.0f, 1.0f}) {
    for (const float y : {-1.0f, 0.0f, 1.0f}) {
      for (const float move : {0.56f, 0.6f, 0.64f, 0.68f}) {
        const GreyImage next = scene(260, 300, {{{130 + move * x * side, 130 + move * y * side}, side}});
        const std::vector<FaceBox> expected = those_near(detector.find(next, -0.5f, 2), before);
        SCOPED_TRACE(testing::Message() << x << " " << y << " times " << move);
        expect_equal(detector.find_near(next, before, -0.5f, 1), expected);
        compared += expected.size();
      }
    }
  }
  EXPECT_GT(compared, 20u);
}

TEST_F(FindNearTest, NeedsNoSensiblePlacesAndPictures) {
  if (!BoxDetector::kAvailable) GTEST_SKIP() << "built without dlib";
  const BoxDetector detector;
  const float infinite = INFINITY;
  const FaceBox strange[] = {
      {0, 0, 0, 0, 0},   {-1e30f, -1e30f, 1e30f, 1e30f, 0}, {NAN, NAN, NAN, NAN, 0},  {0, NAN, 72, NAN, 0},
      {72, 72, 0, 0, 0}, {1e9f, 1e9f, 1e9f + 128, 1e9f, 0}, {-500, -500, -428, 0, 0}, {-infinite, 0, infinite, 72, 0}};
  for (const auto& [height, width] : {std::pair{1, 1}, {63, 500}, {64, 64}, {150, 130}}) {
    const GreyImage image = scene(height, width, {{{40, 40}, 60}});
    for (const FaceBox& before : strange) detector.find_near(image, std::span(&before, 1), 0, 1);
    detector.find_near(image, strange, 0, 1);
  }
}

TEST_F(FaceDetectorTest, FacesFoundNearAreThoseOfTheWholeSearch) {
  SKIP_WITHOUT_LANDMARK_MODEL();
  const DrawnFace drawn[] = {{{130, 150}, 120}, {{400, 140}, 80}, {{300, 330}, 150}};
  const DrawnFace moved[] = {{{170, 150}, 120}, {{400, 120}, 95}, {{290, 340}, 140}};
  const std::vector<Face> before = detector().detect(drawn_faces(480, 640, drawn));
  ASSERT_EQ(before.size(), 3u);
  const Image next = drawn_faces(480, 640, moved);
  const std::vector<Face> whole = detector().detect(next);
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_TRUE(same(detector().detect_near(next, before), whole));
  EXPECT_TRUE(same(detector().detect_near(next, std::span(&before[1], 1)), {whole[1]}));
  EXPECT_TRUE(detector().detect_near(next, {}).empty());
  EXPECT_TRUE(detector().detect_near(Image(0, 0), before).empty());
}

TEST_F(FaceDetectorTest, AVideosFramesGiveWhatPhotographsGive) {
  SKIP_WITHOUT_LANDMARK_MODEL();
  FaceTracker tracker(detector(), 10);
  for (int i = 0; i < 8; ++i) {  // one face comes nearer, one passes by
    const float moved = static_cast<float>(i);
    const DrawnFace drawn[] = {{{150, 150}, 90 + 7 * moved}, {{430 - 20 * moved, 110 + 10 * moved}, 70}};
    const Image frame = drawn_faces(360, 500, drawn);
    const std::vector<Face> faces = detector().detect(frame);
    ASSERT_EQ(faces.size(), 2u) << "frame " << i;
    EXPECT_TRUE(same(tracker.next(frame), faces)) << "frame " << i;
  }
  if (!std::filesystem::exists(folder())) return;
  FaceTracker real(detector(), 10);
  for (int number = 1; number <= 24; ++number) {
    const Image frame = read_image(video_frame(number));
    EXPECT_TRUE(same(real.next(frame), detector().detect(frame))) << "frame " << number;
  }
}

}  // namespace
}  // namespace sandglass
