#include "face/landmark_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/error.h"
#include "engine/random.h"
#include "tests/face/one_line_error.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

/// Writes dlib's serialisation, byte for byte as its documentation of the format says.
class ModelWriter {
 public:
  ModelWriter& integer(int64_t value) {
    const bool negative = value < 0;
    uint64_t rest = static_cast<uint64_t>(negative ? -value : value);
    std::string digits;
    do {
      digits += static_cast<char>(rest & 0xFF);
      rest >>= 8;
    } while (rest != 0);
    bytes += static_cast<char>(digits.size() | (negative ? 0x80 : 0));
    bytes += digits;
    return *this;
  }
  /// value in multiples of 1/256.
  ModelWriter& real(double value) { return integer(static_cast<int64_t>(value * 256)).integer(-8); }
  /// The same point `points` times, as a column.
  ModelWriter& column(double x, double y, int points = 68) {
    integer(-2 * points).integer(-1);
    for (int i = 0; i < points; ++i) real(x).real(y);
    return *this;
  }

  std::string bytes;
};

/// A model of one stage with one tree and one split: if the pixel 0.25 to the left of the box's middle is brighter than
/// the one 0.25 to the right by more than 10, all landmarks move from the middle by (0.125, 0), else by (0, -0.25). All
/// landmarks start in the middle but 0 and 1, which start 0.5 apart so that rotation and scale are defined.
std::string small_model(int points = 68) {
  ModelWriter writer;
  writer.integer(1);
  writer.integer(-2 * points).integer(-1);
  for (int i = 0; i < points; ++i) writer.real(i == 0 ? 0.25 : i == 1 ? 0.75 : 0.5).real(0.5);
  writer.integer(1).integer(1);                                         // stages, trees
  writer.integer(1).integer(0).integer(1).real(10);                     // one split
  writer.integer(2).column(0.125, 0, points).column(0, -0.25, points);  // two leaves
  writer.integer(1).integer(2).integer(5).integer(5);                   // anchors of the two pixels: landmark 5
  writer.integer(1).integer(2).real(-0.25).real(0).real(0.25).real(0);
  return writer.bytes;
}

class LandmarkModelTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string load_error(const std::string& content) {
    const auto path = folder_.write("model.dat", content);
    return one_line_error_of([&] { LandmarkModel model(path); });
  }
};

TEST_F(LandmarkModelTest, WalksTheTreeAndMovesTheLandmarks) {
  const LandmarkModel model(folder_.write("model.dat", small_model()));
  GreyImage image{100, 200, std::vector<uint8_t>(100 * 200, 0)};
  const float left = 40, top = 20, right = 120,
              bottom = 60;  // middle (80, 40); pixels looked at: (60, 40) and (100, 40)
  Landmarks landmarks = model.predict(image, left, top, right, bottom);
  EXPECT_FLOAT_EQ(landmarks[5].x, 80);
  EXPECT_FLOAT_EQ(landmarks[5].y, 40 - 0.25f * 40);
  EXPECT_FLOAT_EQ(landmarks[0].x, 60);

  image.pixels[40 * 200 + 60] = 11;
  landmarks = model.predict(image, left, top, right, bottom);
  EXPECT_FLOAT_EQ(landmarks[5].x, 80 + 0.125f * 80);
  EXPECT_FLOAT_EQ(landmarks[5].y, 40);
  EXPECT_FLOAT_EQ(landmarks[1].x, 100 + 0.125f * 80);
  image.pixels[40 * 200 + 60] = 10;  // not more than the threshold
  EXPECT_FLOAT_EQ(model.predict(image, left, top, right, bottom)[5].x, 80);
}

TEST_F(LandmarkModelTest, BoxesBeyondThePictureAreAllowed) {
  const LandmarkModel model(folder_.write("model.dat", small_model()));
  const GreyImage image{4, 4, std::vector<uint8_t>(16, 200)};
  EXPECT_FLOAT_EQ(model.predict(image, -500, -500, -400, -400)[5].x, -450);
  EXPECT_FLOAT_EQ(model.predict(image, 2e9f, 2e9f, 3e9f, 3e9f)[5].x, 2.5e9f);
  EXPECT_FLOAT_EQ(model.predict(image, 1, 1, 1, 1)[5].x, 1);
}

TEST_F(LandmarkModelTest, WrongFilesAreErrors) {
  EXPECT_THAT(one_line_error_of([&] { LandmarkModel model(folder_ / "none.dat"); }),
              HasSubstr("none.dat: no such file"));
  EXPECT_THAT(one_line_error_of([&] { LandmarkModel model(folder_.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(load_error(""), HasSubstr("model.dat: ends in the middle"));
  EXPECT_THAT(load_error("this is a text, no model"), HasSubstr("is not a landmark model of dlib"));
  EXPECT_THAT(load_error(small_model(5)), HasSubstr("with 68 points"));
  EXPECT_EQ(load_error(small_model()), "");
}

TEST_F(LandmarkModelTest, DamagedFilesAreErrorsOrModelsAndNeverCrash) {
  const std::string whole = small_model();
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_NE(load_error(whole.substr(0, length)), "") << length;
  Random random(13);
  const GreyImage image{30, 30, std::vector<uint8_t>(900, 77)};
  for (int trial = 0; trial < 1000; ++trial) {
    std::string damaged = whole;
    for (int i = 0; i < 2; ++i)
      damaged[random.below(static_cast<uint32_t>(damaged.size()))] = static_cast<char>(random.below(256));
    const auto path = folder_.write("model.dat", damaged);
    try {
      LandmarkModel(path).predict(image, 5, 5, 20, 20);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace sandglass
