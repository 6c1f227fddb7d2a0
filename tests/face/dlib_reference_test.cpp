// Compares the detector's parts with dlib's own classes on the same pictures.
#include <dlib/image_processing.h>
#include <dlib/image_processing/frontal_face_detector.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "face/box_detector.h"
#include "face/grey_image.h"
#include "face/image.h"
#include "face/landmark_model.h"
#include "tests/face/real_faces.h"

namespace sandglass {
namespace {

class DlibReferenceTest : public RealFacesTest {
 protected:
  static std::vector<std::filesystem::path> pictures() {
    std::vector<std::filesystem::path> paths{video_frame(1), video_frame(20)};
    for (const char* name : {"2008_001322.jpg", "2008_002506.jpg", "2009_004587.jpg", "bald_guys.jpg", "dogs.jpg"}) {
      paths.push_back(photo(name));
    }
    return paths;
  }
  static dlib::array2d<unsigned char> array(const GreyImage& image) {
    dlib::array2d<unsigned char> pixels(image.height, image.width);
    std::copy(image.pixels.begin(), image.pixels.end(), &pixels[0][0]);
    return pixels;
  }
};

TEST_F(DlibReferenceTest, BoxesEqualDlibs) {
  SKIP_WITHOUT_REAL_FACES();
  const BoxDetector boxes;
  dlib::frontal_face_detector reference = dlib::get_frontal_face_detector();
  for (const auto& path : pictures()) {
    for (const float threshold : {0.0f, -0.4f}) {
      const GreyImage image = grey_image(read_image(path));
      std::vector<dlib::rect_detection> expected;
      reference(array(image), expected, threshold);
      const std::vector<FaceBox> found = boxes.find(image, threshold, 2);
      ASSERT_EQ(found.size(), expected.size()) << path;
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].left, expected[i].rect.left()) << path;
        EXPECT_EQ(found[i].top, expected[i].rect.top());
        EXPECT_EQ(found[i].right, expected[i].rect.right());
        EXPECT_EQ(found[i].bottom, expected[i].rect.bottom());
        EXPECT_NEAR(found[i].score, expected[i].detection_confidence, 1e-5);
      }
    }
  }
}

TEST_F(DlibReferenceTest, LandmarksEqualDlibsUpToItsRounding) {
  SKIP_WITHOUT_REAL_FACES();
  dlib::shape_predictor reference;
  dlib::deserialize(landmark_model()) >> reference;
  const LandmarkModel model(landmark_model());
  const BoxDetector boxes;
  int compared = 0, beyond_rounding = 0;
  for (const auto& path : pictures()) {
    const GreyImage image = grey_image(read_image(path));
    const auto pixels = array(image);
    for (const FaceBox& box : boxes.find(image, 0, 2)) {
      const dlib::rectangle rect(std::lround(box.left), std::lround(box.top), std::lround(box.right),
                                 std::lround(box.bottom));
      const dlib::full_object_detection expected = reference(pixels, rect);
      const Landmarks found = model.predict(image, box.left, box.top, box.right, box.bottom);
      for (unsigned long i = 0; i < 68; ++i) {
        const double x = std::abs(found[i].x - static_cast<double>(expected.part(i).x()));
        const double y = std::abs(found[i].y - static_cast<double>(expected.part(i).y()));
        ++compared;
        if (std::max(x, y) > 0.501) ++beyond_rounding;
        EXPECT_LT(std::max(x, y), 0.02 * (box.right - box.left)) << path << " landmark " << i;
      }
    }
  }
  EXPECT_GT(compared, 68 * 25);
  // A pixel read beside the one that dlib reads, because a coordinate rounds the other way, can turn a tree the other
  // way.
  EXPECT_LE(beyond_rounding, compared / 50);
}

}  // namespace
}  // namespace sandglass
