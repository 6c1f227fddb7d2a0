#include "face/video.h"

#include <gmock/gmock.h>

#include <array>

#include "engine/error.h"
#include "engine/random.h"
#include "tests/face/one_line_error.h"
#include "tests/face/video_file.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

struct Case {
  const char* name;
  VideoFormat format;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name << " " << c.format.codec; }

class VideoTest : public testing::TestWithParam<Case> {};

TEST_P(VideoTest, AnyFrameInAnyOrder) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / GetParam().name;
  write_video(path, numbered_images(50), GetParam().format);
  Video video(path);
  EXPECT_EQ(video.frame_count(), 50);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(number_of(video.read(i)), i);
  Random random(1);
  for (int i = 0; i < 40; ++i) {
    const int wanted = static_cast<int>(random.below(50));
    const Image image = video.read(wanted);
    ASSERT_EQ(number_of(image), wanted) << "read number " << i;
    ASSERT_EQ(image.height, 32);
    ASSERT_EQ(image.width, 96);
  }
  ASSERT_EQ(number_of(video.read(7)), 7);
  ASSERT_EQ(number_of(video.read(7)), 7);  // the same again
}

INSTANTIATE_TEST_SUITE_P(Containers, VideoTest,
                         testing::Values(Case{"jpeg.avi", {"mjpeg", 1, 0}}, Case{"keys.avi", {"mpeg4", 12, 0}},
                                         Case{"rare_keys.avi", {"mpeg4", 100, 0}},
                                         Case{"between.mp4", {"mpeg4", 12, 2}}, Case{"between.mkv", {"mpeg4", 12, 2}},
                                         // AVI does not say when frames are shown that are stored out of order.
                                         Case{"between.avi", {"mpeg4", 12, 2}}));

TEST(Video, ColoursAreThoseOfThePicture) {
  const TemporaryFolder folder;
  Image image(32, 32);
  const std::array<int, 3> colour{200, 90, 40};
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(colour[i % 3]);
  for (const char* codec : {"mpeg4", "mjpeg"}) {
    write_video(folder / "v.avi", {image, image}, {codec, 1, 0});
    const Image back = Video(folder / "v.avi").read(1);
    for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(back.at(16, 16)[c], colour[c], 6) << codec << " channel " << c;
  }
}

TEST(Video, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_THAT(one_line_error_of([&] { Video(folder / "none.avi"); }), HasSubstr("none.avi: no such file"));
  EXPECT_THAT(one_line_error_of([&] { Video(folder.write("text.avi", "not a video")); }),
              HasSubstr("text.avi: is not a video"));
  write_video(folder / "v.avi", numbered_images(5));
  Video video(folder / "v.avi");
  EXPECT_THAT(one_line_error_of([&] { video.read(5); }), HasSubstr("v.avi: has no frame 6; it has 5"));
  EXPECT_THAT(one_line_error_of([&] { video.read(-1); }), HasSubstr("no frame 0"));
  EXPECT_EQ(number_of(video.read(4)), 4);  // usable again

  // A truncated file has the frames that are left.
  write_video(folder / "long.avi", numbered_images(40), {"mjpeg", 1, 0});
  std::filesystem::resize_file(folder / "long.avi", std::filesystem::file_size(folder / "long.avi") / 2);
  Video cut(folder / "long.avi");
  const int64_t left = cut.frame_count();
  EXPECT_GT(left, 5);
  EXPECT_LT(left, 40);
  EXPECT_EQ(number_of(cut.read(left / 2)), left / 2);
  EXPECT_THAT(one_line_error_of([&] { cut.read(39); }), HasSubstr("has no frame 40"));
}

}  // namespace
}  // namespace sandglass
