#include "face/landmark_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/error.h"
#include "engine/random.h"
#include "face/detector.h"
#include "tests/face/one_line_error.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

class LandmarkFilesTest : public testing::Test {
 protected:
  TemporaryFolder folder_;

  /// A .pts file whose point i is (i + 1.5, 2 i + 1).
  static std::string pts(const std::string& line_end = "\n", int points = 68) {
    std::string text = "version: 1" + line_end + "n_points: " + std::to_string(points) + line_end + "{" + line_end;
    for (int i = 0; i < points; ++i) text += std::to_string(i + 1) + ".5 " + std::to_string(2 * i + 1) + line_end;
    return text + "}" + line_end;
  }
  std::string pts_error(const std::string& text) {
    const auto path = folder_.write("a.pts", text);
    return one_line_error_of([&] { read_pts(path); });
  }
};

TEST_F(LandmarkFilesTest, PtsBecomesZeroBased) {
  for (const char* line_end : {"\n", "\r\n", "  \n", "\n\n"}) {
    const Landmarks landmarks = read_pts(folder_.write("a.pts", pts(line_end)));
    for (int i = 0; i < 68; ++i) {
      EXPECT_FLOAT_EQ(landmarks[static_cast<size_t>(i)].x, static_cast<float>(i) + 0.5f);
      EXPECT_FLOAT_EQ(landmarks[static_cast<size_t>(i)].y, static_cast<float>(2 * i));
    }
  }
  std::string spaced = pts();
  spaced.replace(spaced.find("version: 1"), 10, "version:1 ");
  spaced.replace(spaced.find("n_points: 68"), 12, "  n_points :  68");
  spaced.replace(spaced.find("1.5 1\n"), 6, " \t1.5    1  \n");
  EXPECT_FLOAT_EQ(read_pts(folder_.write("a.pts", spaced))[0].x, 0.5f);
}

TEST_F(LandmarkFilesTest, BrokenPtsIsAnErrorWithItsLine) {
  EXPECT_THAT(one_line_error_of([&] { read_pts(folder_ / "none.pts"); }), HasSubstr("none.pts: no such file"));
  std::string far = pts();
  far.replace(far.find("2.5 "), 4, "2e6 ");
  EXPECT_THAT(pts_error(far), HasSubstr("a.pts: line 5: '2e6 3' is not a place in pixels"));
  EXPECT_THAT(pts_error(""), HasSubstr("a.pts: ends after line 0, expected 'version: 1'"));
  EXPECT_THAT(pts_error("hello"), HasSubstr("a.pts: line 1: expected 'version: 1', found 'hello'"));
  EXPECT_THAT(pts_error(pts("\n", 5)), HasSubstr("line 2: has 5 points, expected the 68"));
  std::string text = pts();
  EXPECT_THAT(pts_error(text.substr(0, text.find("\n9.5"))), HasSubstr("ends after line 11"));
  EXPECT_THAT(pts_error(text.substr(0, text.size() - 2)), HasSubstr("expected '}'"));
  const auto replaced = [&](const std::string& from, const std::string& to) {
    return std::string(text).replace(text.find(from), from.size(), to);
  };
  EXPECT_THAT(pts_error(replaced("\n3.5 5\n", "\n3.5\n")), HasSubstr("line 6: expected 'x y'"));
  EXPECT_THAT(pts_error(replaced("\n3.5 5\n", "\n3,5 5\n")), HasSubstr("line 6: expected a number, found '3,5'"));
  EXPECT_THAT(pts_error(replaced("\n3.5 5\n", "\nnan 5\n")), HasSubstr("not finite"));
  EXPECT_THAT(pts_error(replaced("\n3.5 5\n", "\n1e99 5\n")), HasSubstr("line 6"));
  EXPECT_THAT(pts_error(replaced("{", "[")), HasSubstr("line 3: expected '{'"));
}

TEST_F(LandmarkFilesTest, ImglabBoxesAndParts) {
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
  const auto path = folder_.write("faces.xml", R"(<?xml version='1.0' encoding='ISO-8859-1'?>
<dataset><name>a</name><comment>b</comment><images>
  <image file='one.jpg' width='5' height='6'>
    <box top='1' left="2" width='30' height='40'>
      <part name='00' x='7' y='8'/><part name="67" x='-9' y='10'/><part name='nose' x='1' y='1'/><part name='68' x='1' y='1'/>
    </box>
    <box top='-5' left='6' width='3' height='4'/>
  </image>
  <image file='sub/two.jpg'></image>
</images></dataset>)");
  const std::vector<MarkedImage> images = read_imglab(path);
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].path, folder_ / "one.jpg");
  EXPECT_EQ(images[1].path, folder_ / "sub/two.jpg");
  EXPECT_TRUE(images[1].faces.empty());
  ASSERT_EQ(images[0].faces.size(), 2u);
  const MarkedFace& face = images[0].faces[0];
  EXPECT_EQ(face.left, 2);
  EXPECT_EQ(face.top, 1);
  EXPECT_EQ(face.width, 30);
  EXPECT_EQ(face.height, 40);
  EXPECT_EQ(face.present.count(), 2u);
  EXPECT_TRUE(face.present[0] && face.present[67]);
  EXPECT_EQ(face.landmarks[0].x, 7);
  EXPECT_EQ(face.landmarks[67].x, -9);
  EXPECT_EQ(images[0].faces[1].top, -5);
  EXPECT_TRUE(images[0].faces[1].present.none());
}

TEST_F(LandmarkFilesTest, BrokenImglabIsAnErrorThatNamesTheFile) {
  if (!FaceDetector::available()) {
    EXPECT_THAT(one_line_error_of([&] { read_imglab("a.xml"); }), HasSubstr("a.xml: reading imglab files needs dlib"));
    return;
  }
  EXPECT_THAT(one_line_error_of([&] { read_imglab(folder_ / "none.xml"); }), HasSubstr("none.xml: no such file"));
  EXPECT_THAT(one_line_error_of([&] { read_imglab(folder_.path()); }), HasSubstr("is a folder"));
  const std::string good =
      "<dataset><images><image file='a.jpg'><box top='1' left='2' width='3' height='4'>"
      "<part name='1' x='2' y='3'/></box></image></images></dataset>";
  EXPECT_EQ(read_imglab(folder_.write("a.xml", good)).size(), 1u);
  for (const char* text :
       {"", "text", "<dataset>", "<other></other>", "<dataset><images><image/></images></dataset>"}) {
    const auto path = folder_.write("a.xml", text);
    EXPECT_THAT(one_line_error_of([&] { read_imglab(path); }), HasSubstr("a.xml: is not an imglab XML file")) << text;
  }
  Random random(9);
  for (int trial = 0; trial < 500; ++trial) {
    std::string damaged = good;
    for (int i = 0; i < 2; ++i)
      damaged[random.below(static_cast<uint32_t>(damaged.size()))] = static_cast<char>(random.below(256));
    const auto path = folder_.write("a.xml", damaged.substr(0, damaged.size() - random.below(3)));
    one_line_error_of([&] { read_imglab(path); });
  }
}

}  // namespace
}  // namespace sandglass
