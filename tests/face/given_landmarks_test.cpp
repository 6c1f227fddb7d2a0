#include "face/given_landmarks.h"

#include <gmock/gmock.h>

#include "face/detector.h"
#include "tests/face/one_line_error.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

Landmarks filled_with(float value) {
  Landmarks landmarks;
  landmarks.fill({value, value + 0.5f});
  return landmarks;
}

TEST(GivenLandmarks, KnowAPictureByItsFile) {
  const TemporaryFolder folder;
  folder.write("a/1.png", "x");
  std::filesystem::create_symlink(folder / "a", folder / "link");
  GivenLandmarks given("list.csv");
  given.add_face(folder / "a/../a/1.png", filled_with(1));
  given.add_face(folder / "link/1.png", filled_with(2));
  given.add_picture(folder / "2.png");
  const std::vector<Landmarks> faces = given.find(folder / "a/./1.png");
  ASSERT_EQ(faces.size(), 2u);
  EXPECT_EQ(faces[0][5].x, 1);
  EXPECT_EQ(faces[1][5].y, 2.5f);
  EXPECT_TRUE(given.find(folder / "2.png").empty());
  EXPECT_THAT(one_line_error_of([&] { given.find(folder / "3.png"); }),
              HasSubstr("3.png: has no landmarks in list.csv"));
}

std::string pts(float offset) {
  std::string text = "version: 1\nn_points: 68\n{\n";
  for (int i = 0; i < 68; ++i) text += fmt::format("{} {}\n", i + offset, 2 * i + offset);
  return text + "}\n";
}

TEST(GivenLandmarks, FolderOfPtsFiles) {
  const TemporaryFolder folder;
  folder.write("pts/1.pts", pts(1));
  folder.write("pts/2.pts", "version: 1\nn_points: 5\n");
  const GivenLandmarks given = GivenLandmarks::from_pts_folder(folder / "pts");
  const std::vector<Landmarks> faces = given.find("somewhere/1.jpg");
  ASSERT_EQ(faces.size(), 1u);
  EXPECT_EQ(faces[0][10].x, 10);  // 1-based in the file
  EXPECT_EQ(faces[0][10].y, 20);
  EXPECT_THAT(one_line_error_of([&] { given.find("2.jpg"); }), HasSubstr("has 5 points"));
  EXPECT_THAT(one_line_error_of([&] { given.find("3.jpg"); }), HasSubstr("3.pts does not exist"));
}

std::string parts(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("<part name='{:02}' x='{}' y='{}'/>", i, 10 + i, 20 + i);
  return text;
}

TEST(GivenLandmarks, Imglab) {
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
  const TemporaryFolder folder;
  const auto xml = [&](const std::string& boxes) {
    folder.write("faces.xml", "<?xml version='1.0'?><dataset><images><image file='1.jpg'>" + boxes +
                                  "</image><image file='2.jpg'></image></images></dataset>");
    return folder / "faces.xml";
  };
  const std::string box = "<box top='1' left='2' width='3' height='4'>", end = "</box>";
  const GivenLandmarks given =
      GivenLandmarks::from_imglab(xml(box + parts(68) + end + box + end + box + parts(68) + end));
  ASSERT_EQ(given.find(folder / "1.jpg").size(), 2u);  // the box without parts is not a face
  EXPECT_EQ(given.find(folder / "1.jpg")[1][7].x, 17);
  EXPECT_TRUE(given.find(folder / "2.jpg").empty());
  EXPECT_THAT(one_line_error_of([&] { GivenLandmarks::from_imglab(xml(box + parts(67) + end)); }),
              HasSubstr("has 67 of the 68 landmarks"));
}

}  // namespace
}  // namespace sandglass
