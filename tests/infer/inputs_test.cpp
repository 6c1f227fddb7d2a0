#include "infer/inputs.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(NaturalOrder, CountsNumbersAsNumbers) {
  std::vector<std::string> names{"frame_10.png",
                                 "frame_9.png",
                                 "frame_1.png",
                                 "frame_010.png",
                                 "a2b10",
                                 "a2b9",
                                 "a10b1",
                                 "frame.png",
                                 "",
                                 "1",
                                 "12",
                                 "2"};
  std::sort(names.begin(), names.end(), natural_less);
  EXPECT_THAT(names, ElementsAre("", "1", "2", "12", "a2b9", "a2b10", "a10b1", "frame.png", "frame_1.png",
                                 "frame_9.png", "frame_010.png", "frame_10.png"));
}

TEST(NaturalOrder, TakesNumbersOfAnyLength) {
  EXPECT_TRUE(natural_less("x99999999999999999999998", "x99999999999999999999999"));
  EXPECT_FALSE(natural_less("x99999999999999999999999", "x99999999999999999999998"));
  EXPECT_TRUE(natural_less("0007", "8"));
}

TEST(NaturalOrder, IsAStrictWeakOrder) {
  const std::vector<std::string> names{"",    "0",   "00",   "a", "a0", "a00", "a1",
                                       "a01", "a1b", "a01b", "b", "0a", "10",  "9"};
  for (const auto& a : names) {
    EXPECT_FALSE(natural_less(a, a));
    for (const auto& b : names) {
      EXPECT_EQ(natural_less(a, b) + natural_less(b, a), a == b ? 0 : 1) << a << " and " << b;
      for (const auto& c : names) {
        if (natural_less(a, b) && natural_less(b, c)) {
          EXPECT_TRUE(natural_less(a, c)) << a << ", " << b << ", " << c;
        }
      }
    }
  }
}

TEST(FindInputs, FoldersGiveTheirPicturesInNaturalOrder) {
  const TemporaryFolder folder;
  for (const char* name : {"b/10.JPG", "b/9.jpeg", "a/1.png", "c.bmp", "notes.txt", ".hidden.jpg", ".cache/x.png"})
    folder.write(name, "x");
  const InputList list = find_inputs({folder.path()});
  std::vector<std::string> found;
  for (const Input& input : list.inputs) {
    EXPECT_EQ(input.error, "");
    found.push_back(std::filesystem::relative(input.path, folder.path()).string());
  }
  EXPECT_THAT(found, ElementsAre("a/1.png", "b/9.jpeg", "b/10.JPG", "c.bmp"));
  EXPECT_TRUE(list.remarks.empty());
}

TEST(FindInputs, FilesStayInTheOrderGiven) {
  const TemporaryFolder folder;
  folder.write("2", "x");
  folder.write("1", "x");
  const InputList list = find_inputs({folder / "2", folder / "1", folder / "2"});
  ASSERT_EQ(list.inputs.size(), 3u);
  EXPECT_EQ(list.inputs[0].path, folder / "2");  // an extension is not asked for
  EXPECT_EQ(list.inputs[1].path, folder / "1");
  EXPECT_EQ(list.inputs[2].path, folder / "2");
}

TEST(FindInputs, WhatIsNoPictureBecomesAnError) {
  const TemporaryFolder folder;
  folder.write("film.MP4", "x");
  folder.write("empty/readme.md", "x");
  ASSERT_EQ(mkfifo((folder / "pipe.png").c_str(), 0600), 0);
  const InputList list =
      find_inputs({folder / "absent.png", folder / "film.MP4", folder / "empty", folder / "pipe.png"});
  ASSERT_EQ(list.inputs.size(), 4u);
  for (const Input& input : list.inputs) EXPECT_THAT(input.error, testing::StartsWith(input.path.string()));
  EXPECT_THAT(list.inputs[0].error, HasSubstr("no such file"));
  EXPECT_THAT(list.inputs[1].error, HasSubstr("videos are not read yet"));
  EXPECT_THAT(list.inputs[2].error, HasSubstr("no pictures"));
  EXPECT_THAT(list.inputs[3].error, HasSubstr("neither a file nor a folder"));
}

TEST(FindInputs, VideosInFoldersAreARemark) {
  const TemporaryFolder folder;
  folder.write("film.avi", "x");
  folder.write("1.png", "x");
  const InputList list = find_inputs({folder.path()});
  EXPECT_EQ(list.inputs.size(), 1u);
  ASSERT_EQ(list.remarks.size(), 1u);
  EXPECT_THAT(list.remarks[0], HasSubstr("1 video is left out"));
}

}  // namespace
}  // namespace sandglass
