#include "infer/inputs.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>

#include "face/file_kinds.h"
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

// What each input is: its path in the folder, its kind and its frames.
std::vector<std::string> described(const InputList& list, const TemporaryFolder& folder) {
  const auto name = [&](const std::filesystem::path& path) {
    return std::filesystem::relative(path, folder.path()).string();
  };
  std::vector<std::string> lines;
  for (const Input& input : list.inputs) {
    EXPECT_EQ(input.error, "");
    constexpr const char* kKinds[] = {"picture", "video", "sequence"};
    std::string line = fmt::format("{} {}", kKinds[static_cast<int>(input.kind)], name(input.path));
    for (const auto& file : input.files) line += " " + name(file);
    lines.push_back(line);
  }
  return lines;
}

TEST(FindInputs, FoldersGiveTheirPicturesAndVideosInNaturalOrder) {
  const TemporaryFolder folder;
  for (const char* name :
       {"b/10.JPG", "b/9.jpeg", "b/9b.MP4", "a/1.png", "c.bmp", "notes.txt", ".hidden.jpg", ".cache/x.png"})
    folder.write(name, "x");
  const InputList list = find_inputs({folder.path()});
  EXPECT_THAT(described(list, folder), ElementsAre("picture a/1.png", "picture b/9.jpeg", "video b/9b.MP4",
                                                   "picture b/10.JPG", "picture c.bmp"));
  EXPECT_TRUE(list.remarks.empty());
}

TEST(FindInputs, FilesStayInTheOrderGiven) {
  const TemporaryFolder folder;
  for (const char* name : {"2.png", "1.jpg", "film.avi"}) folder.write(name, "x");
  EXPECT_THAT(
      described(find_inputs({folder / "2.png", folder / "film.avi", folder / "1.jpg", folder / "2.png"}), folder),
      ElementsAre("picture 2.png", "video film.avi", "picture 1.jpg", "picture 2.png"));
}

TEST(FindInputs, OfOtherExtensionsWhatBeginsLikeAPictureIsOne) {
  const TemporaryFolder folder;
  folder.write("a", "\xFF\xD8\xFF\xE0 and so on");
  folder.write("b.img", "\x89PNG\r\n");
  folder.write("c.dat", "BM");
  folder.write("d.h264", std::string("\0\0\0\1", 4));
  folder.write("e", "");
  folder.write("f.mjpeg", "\xFF\xD8\xFF\xE0 and so on");
  EXPECT_THAT(described(find_inputs({folder / "?", folder / "?.*"}), folder),
              ElementsAre("picture a", "video e", "picture b.img", "picture c.dat", "video d.h264", "video f.mjpeg"));
}

TEST(FindInputs, StandardInputAndCamerasAreVideos) {
  const InputList list = find_inputs({"-", "/dev/video7"});
  ASSERT_EQ(list.inputs.size(), 2u);
  for (const Input& input : list.inputs) {
    EXPECT_EQ(input.error, "");
    EXPECT_EQ(input.kind, InputKind::video);
  }
  const TemporaryFolder folder;
  folder.write("frames.raw", "x");
  EXPECT_THAT(
      described(find_inputs({folder / "frames.raw", folder / "what a format calls it"}, {.videos = true}), folder),
      ElementsAre("video frames.raw", "video what a format calls it"));
}

TEST(FindInputs, PatternsThatTheShellHasLeft) {
  const TemporaryFolder folder;
  for (const char* name : {"a10.png", "a9.png", "a9.avi", "b/1.jpg", "real[1].png"}) folder.write(name, "x");
  EXPECT_THAT(described(find_inputs({folder / "a*"}), folder),
              ElementsAre("video a9.avi", "picture a9.png", "picture a10.png"));
  EXPECT_THAT(described(find_inputs({folder / "[b]"}), folder), ElementsAre("picture b/1.jpg"));
  EXPECT_THAT(described(find_inputs({folder / "real[1].png"}), folder), ElementsAre("picture real[1].png"));
}

TEST(FindInputs, NumberedNamesAreASequence) {
  const TemporaryFolder folder;
  for (const char* name : {"f_0002.png", "f_0010.png", "f_0001.png", "f_10000.png", "f_3.png", "f_00011.png",
                           "f_0001.png.bak", "f_000x.png", "g9.jpg", "g10.jpg", "g011.jpg", "100%d.png"})
    folder.write(name, "x");
  InputList list = find_inputs({folder / "f_%04d.png"});
  EXPECT_THAT(described(list, folder), ElementsAre("sequence f_%04d.png f_0001.png f_0002.png f_0010.png f_10000.png"));
  ASSERT_EQ(list.remarks.size(), 1u);
  EXPECT_THAT(list.remarks[0], HasSubstr("9996 of the numbers 1 to 10000 are missing"));
  list = find_inputs({folder / "g%d.jpg", folder / "100%d.png"});
  EXPECT_THAT(described(list, folder), ElementsAre("sequence g%d.jpg g9.jpg g10.jpg", "picture 100%d.png"));
  EXPECT_TRUE(list.remarks.empty());
}

TEST(FindInputs, PicturesOfAFolderAsOneVideo) {
  const TemporaryFolder folder;
  for (const char* name : {"a/10.png", "a/9.png", "a/film.mp4", "b/1.jpg", "b/2.jpg"}) folder.write(name, "x");
  EXPECT_THAT(described(find_inputs({folder.path()}, {.sequences = true}), folder),
              ElementsAre("sequence a a/9.png a/10.png", "video a/film.mp4", "sequence b b/1.jpg b/2.jpg"));
  EXPECT_THAT(described(find_inputs({folder / "b/2.jpg", folder / "b/1.jpg"}, {.sequences = true}), folder),
              ElementsAre("sequence b b/2.jpg b/1.jpg"));
}

TEST(FindInputs, WhatCannotBeReadBecomesAnError) {
  const TemporaryFolder folder;
  folder.write("empty/readme.md", "x");
  ASSERT_EQ(mkfifo((folder / "pipe.png").c_str(), 0600), 0);
  std::filesystem::create_symlink("nowhere", folder / "*.jpg");
  const InputList list = find_inputs({folder / "absent.png", folder / "empty", folder / "pipe.png", folder / "*.jpg",
                                      folder / "f_%d.png", folder / "%s"},
                                     {.sequences = true});
  ASSERT_EQ(list.inputs.size(), 6u);
  for (const Input& input : list.inputs) EXPECT_THAT(input.error, testing::StartsWith(input.path.string()));
  EXPECT_THAT(list.inputs[0].error, HasSubstr("no such file"));
  EXPECT_THAT(list.inputs[1].error, HasSubstr("no pictures"));
  EXPECT_THAT(list.inputs[2].error, HasSubstr("neither a file nor a folder"));
  EXPECT_THAT(list.inputs[3].error, HasSubstr("no file has such a name"));
  EXPECT_THAT(list.inputs[4].error, HasSubstr("no file has such a name"));
  EXPECT_THAT(list.inputs[5].error, HasSubstr("no such file"));
}

}  // namespace
}  // namespace sandglass
