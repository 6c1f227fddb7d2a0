#include "face/video_stream.h"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <thread>

#include "face/jpeg.h"
#include "face/video.h"
#include "tests/face/one_line_error.h"
#include "tests/face/video_file.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<VideoFrame> all_frames(VideoStream& video) {
  std::vector<VideoFrame> frames;
  while (auto frame = video.next()) frames.push_back(std::move(*frame));
  EXPECT_FALSE(video.next());  // the end stays the end
  return frames;
}

std::vector<int64_t> numbers_of(const std::vector<VideoFrame>& frames) {
  std::vector<int64_t> numbers;
  for (const VideoFrame& frame : frames) numbers.push_back(frame.number);
  return numbers;
}

// Whether each frame of a video of numbered images is the one that its number says.
void expect_right_images(const std::vector<VideoFrame>& frames) {
  for (const VideoFrame& frame : frames) EXPECT_EQ(number_of(frame.image), frame.number);
}

struct Case {
  const char* name;
  VideoFormat format;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name << " " << c.format.codec; }

class VideoStreamTest : public testing::TestWithParam<Case> {
 protected:
  VideoStreamTest() : path_((folder_ / GetParam().name).string()) {
    write_video(path_, numbered_images(50), GetParam().format);
  }
  const TemporaryFolder folder_;
  const std::string path_;
};

TEST_P(VideoStreamTest, GivesTheFramesOfVideo) {
  Video reference(path_);
  VideoStream video(path_, {.threads = 2});
  EXPECT_EQ(video.height(), 32);
  EXPECT_EQ(video.width(), 96);
  EXPECT_NEAR(video.rate(), 25, 1e-9);
  EXPECT_NEAR(video.duration(), 2, 0.041);
  EXPECT_NEAR(static_cast<double>(video.frame_count().value()), 50, 1);
  EXPECT_FALSE(video.has_audio());
  const std::vector<VideoFrame> frames = all_frames(video);
  ASSERT_EQ(frames.size(), 50u);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(frames[static_cast<size_t>(i)].number, i);
    EXPECT_NEAR(frames[static_cast<size_t>(i)].seconds, i / 25.0, 1e-3);  // Matroska's times are milliseconds
    ASSERT_EQ(frames[static_cast<size_t>(i)].image.rgb, reference.read(i).rgb);
  }
  EXPECT_EQ(video.missed(), 0);
}

TEST_P(VideoStreamTest, GivesAPartAndEveryNthFrame) {
  VideoStream part(path_, {.start = 0.9, .end = 1.35, .every = 3});
  EXPECT_NEAR(static_cast<double>(part.frame_count().value()), 4, 1);
  const std::vector<VideoFrame> frames = all_frames(part);
  EXPECT_THAT(numbers_of(frames), ElementsAre(23, 26, 29, 32));
  expect_right_images(frames);
  EXPECT_NEAR(frames[0].seconds, 0.92, 1e-3);

  VideoStream at_key_frame(path_, {.start = 0.96, .end = 1});
  EXPECT_THAT(numbers_of(all_frames(at_key_frame)), ElementsAre(24));
  VideoStream late(path_, {.start = 100});
  EXPECT_FALSE(late.next());
}

INSTANTIATE_TEST_SUITE_P(Containers, VideoStreamTest,
                         testing::Values(Case{"jpeg.avi", {"mjpeg", 1, 0}}, Case{"rare_keys.avi", {"mpeg4", 100, 0}},
                                         Case{"between.mp4", {"mpeg4", 12, 2}}, Case{"between.mkv", {"mpeg4", 12, 2}},
                                         Case{"between.ts", {"mpeg2video", 12, 2}},
                                         Case{"between.avi", {"mpeg4", 12, 2}}));

TEST(VideoStream, TimesAreThoseOfTheVideo) {
  const TemporaryFolder folder;
  const std::vector<int64_t> times{0, 1, 2, 10, 11, 40, 41, 42, 60, 61};
  for (const char* name : {"v.mkv", "v.mp4"}) {
    write_video(folder / name, numbered_images(10), {"mpeg4", 4, 2, times});
    VideoStream video((folder / name).string());
    const std::vector<VideoFrame> frames = all_frames(video);
    ASSERT_EQ(frames.size(), times.size());
    for (size_t i = 0; i < times.size(); ++i)
      EXPECT_NEAR(frames[i].seconds, static_cast<double>(times[i]) / 25, 1e-3) << name;
    VideoStream part((folder / name).string(), {.start = 0.3, .end = 1.61});
    const std::vector<VideoFrame> middle = all_frames(part);
    EXPECT_THAT(numbers_of(middle), ElementsAre(3, 4, 5)) << name;
    expect_right_images(middle);
  }
}

TEST(VideoStream, FramesStandUpright) {
  const TemporaryFolder folder;
  write_video(folder / "v.mp4", numbered_images(3), {"mpeg4", 1, 0, {}, 90});
  VideoStream video((folder / "v.mp4").string());
  EXPECT_EQ(video.height(), 96);
  EXPECT_EQ(video.width(), 32);
  const std::vector<VideoFrame> frames = all_frames(video);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[1].image.height, 96);
  EXPECT_GT(frames[1].image.at(8, 16)[0], 200);  // the left bar is on top now
  EXPECT_LT(frames[1].image.at(24, 16)[0], 60);
}

// All eight ways in which the matrix of a video may turn and mirror it, against those of a photograph's Exif number.
TEST(VideoStream, FramesAreTurnedAndMirroredLikePhotographs) {
  const TemporaryFolder folder;
  const Image stored = numbered(11);
  const std::pair<int, bool> ways[] = {{0, false}, {0, true},   {180, false}, {180, true},
                                       {90, true}, {90, false}, {270, true},  {270, false}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const auto [turn, mirrored] = ways[orientation - 1];
    write_video(folder / "v.mp4", {stored}, {.turn = turn, .mirrored = mirrored});
    VideoStream video((folder / "v.mp4").string());
    const Image shown = video.next().value().image, wanted = upright(Image(stored), orientation);
    ASSERT_EQ(shown.width, wanted.width) << orientation;
    int far = 0;
    for (size_t i = 0; i < wanted.rgb.size(); ++i) far += std::abs(shown.rgb[i] - wanted.rgb[i]) > 60;
    EXPECT_LT(far, static_cast<int>(wanted.rgb.size()) / 20) << orientation;
  }
}

TEST(VideoStream, FramesHaveSquarePixels) {
  const TemporaryFolder folder;
  const Image image = numbered(37);
  struct {
    AVRational aspect;
    int turn, height, width;
  } const cases[] = {{{16, 11}, 0, 32, 140}, {{10, 11}, 0, 35, 96}, {{16, 11}, 90, 140, 32}, {{1000, 999}, 0, 32, 96}};
  for (const char* name : {"v.mp4", "v.mkv"}) {
    for (const auto& c : cases) {
      if (c.turn != 0 && name == std::string("v.mkv")) continue;  // it has no matrix
      write_video(folder / name, {image, image}, {.turn = c.turn, .pixel_aspect = c.aspect});
      VideoStream video((folder / name).string());
      EXPECT_EQ(video.height(), c.height) << name;
      EXPECT_EQ(video.width(), c.width) << name;
      const Image shown = video.next().value().image;
      EXPECT_EQ(shown.height, c.height) << name;
      EXPECT_EQ(shown.width, c.width) << name;
      if (c.turn == 0) {  // bars as wide as ever, in proportion
        for (int bit = 0; bit < kNumberBits; ++bit)
          EXPECT_EQ(shown.at(16, (2 * bit + 1) * c.width / (2 * kNumberBits))[1] > 128, 37 >> bit & 1) << name << bit;
      }
    }
  }
}

TEST(VideoStream, SaysThatAVideoBreaksOff) {
  const TemporaryFolder folder;
  for (const Case& c : {Case{"v.mkv", {"mpeg4", 12, 2}}, Case{"v.avi", {"mjpeg", 1, 0}}}) {
    const std::filesystem::path path = folder / c.name;
    write_video(path, numbered_images(60), c.format);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
    VideoStream video(path.string());
    std::vector<VideoFrame> frames;
    const std::string error = one_line_error_of([&] {
      while (auto frame = video.next()) frames.push_back(std::move(*frame));
    });
    EXPECT_GT(frames.size(), 10u);
    EXPECT_LT(frames.size(), 50u);
    expect_right_images(frames);
    EXPECT_THAT(error, HasSubstr(fmt::format("{}: breaks off after {} frames, at ", c.name, frames.size())));
  }
  write_video(folder / "v.mp4", numbered_images(60));
  std::filesystem::resize_file(folder / "v.mp4", std::filesystem::file_size(folder / "v.mp4") / 2);
  EXPECT_THAT(one_line_error_of([&] { VideoStream((folder / "v.mp4").string()); }),
              HasSubstr("v.mp4: is not a video, or damaged"));
}

// What states no length: wherever such a file is cut but just between two frames.
TEST(VideoStream, SaysThatAVideoWithoutALengthBreaksOff) {
  const TemporaryFolder folder;
  for (const Case& c : {Case{"v.ts", {"mpeg2video", 12, 2}}, Case{"v.mjpeg", {"mjpeg", 1, 0}},
                        Case{"fragments.mp4", {.key_frame_every = 12, .fragments = true}}}) {
    const std::filesystem::path whole = folder / c.name;
    write_video(whole, numbered_images(60), c.format);
    VideoStream complete(whole.string());
    EXPECT_EQ(all_frames(complete).size(), 60u) << c.name;
    const std::string bytes = folder.read(c.name);
    for (const size_t percent : {31, 50, 77, 90}) {
      SCOPED_TRACE(fmt::format("{} % of {}", percent, c.name));
      VideoStream video(
          folder.write(fmt::format("cut_{}", c.name), bytes.substr(0, bytes.size() * percent / 100)).string());
      size_t frames = 0;
      const std::string error = one_line_error_of([&] {
        while (video.next()) ++frames;
      });
      EXPECT_GE(frames, 1u);
      EXPECT_LT(frames, 60u);
      EXPECT_THAT(error, HasSubstr(fmt::format("breaks off after {} frames, at ", frames)));
    }
  }
}

// Of an MP4 the box is told that holds the end, whatever comes after the boxes.
TEST(VideoStream, LeavesOtherBytesBehindAVideoAlone) {
  const TemporaryFolder folder;
  write_video(folder / "v.mp4", numbered_images(10));
  const std::string bytes = folder.read("v.mp4");
  for (const std::string& behind :
       {std::string(100, '\0'), std::string("\xFF\xFF\xFF\xFF\x01\x02\x03\x04", 8), std::string("x")}) {
    VideoStream video(folder.write("more.mp4", bytes + behind).string());
    EXPECT_EQ(all_frames(video).size(), 10u);
  }
}

TEST(VideoStream, GoesOnAfterADamagedFrame) {
  const TemporaryFolder folder;
  for (const char* name : {"v.avi", "v.mkv"}) {
    write_video(folder / name, numbered_images(30), {"mjpeg", 1, 0});
    std::string bytes = folder.read(name);
    size_t place = 0;  // of frame 20
    for (int frame = 0; frame <= 20; ++frame) place = bytes.find("\xFF\xD8\xFF", place + 1);
    bytes.replace(place, 200, 200, '\0');
    VideoStream video(folder.write(name, bytes).string());
    const std::vector<VideoFrame> frames = all_frames(video);
    ASSERT_EQ(frames.size(), 29u) << name;
    EXPECT_EQ(frames[19].number, 19);
    EXPECT_EQ(frames[20].number, 21);
    EXPECT_NEAR(frames[20].seconds, 0.84, 1e-3);
    expect_right_images(frames);
    EXPECT_EQ(video.missed(), 1);
  }
}

// A frame that builds on others, lost: all up to the next key frame build on it.
TEST(VideoStream, SaysWhichFramesBuildOnDamage) {
  const TemporaryFolder folder;
  write_video(folder / "v.avi", numbered_images(40), {"mpeg4", 10, 0});
  std::string bytes = folder.read("v.avi");
  size_t place = bytes.find("movi");  // where the frames begin, each with the name of its stream and its size
  for (int frame = 0; frame <= 12; ++frame) place = bytes.find("00dc", place + 1);
  const size_t size = static_cast<uint8_t>(bytes[place + 4]) + 256u * static_cast<uint8_t>(bytes[place + 5]);
  bytes.replace(place + 8, size, size, '\0');
  VideoStream video(folder.write("v.avi", bytes).string());
  std::vector<int64_t> damaged;
  for (const VideoFrame& frame : all_frames(video)) {
    EXPECT_NE(frame.number, 12);
    if (frame.is_damaged) damaged.push_back(frame.number);
  }
  EXPECT_EQ(video.missed(), 1);
  EXPECT_THAT(damaged, ElementsAre(13, 14, 15));  // of frame 16 the encoder makes a key frame: much changes with it
}

// Two streams of JPEGs without a container, of different sizes, one behind the other.
std::string jpegs_of_two_sizes(const TemporaryFolder& folder) {
  write_video(folder / "a.mjpeg", numbered_images(2), {"mjpeg", 1, 0});
  write_video(folder / "b.mjpeg", {Image(64, 48)}, {"mjpeg", 1, 0});
  return folder.read("a.mjpeg") + folder.read("b.mjpeg");
}

TEST(VideoStream, FramesMayChangeTheirSize) {
  const TemporaryFolder folder;
  VideoStream video(folder.write("both.mjpeg", jpegs_of_two_sizes(folder)).string());
  const std::vector<VideoFrame> frames = all_frames(video);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(number_of(frames[1].image), 1);
  EXPECT_EQ(frames[2].image.height, 64);
  EXPECT_EQ(frames[2].image.width, 48);
}

std::string raw_frames(int count) {
  std::string bytes;
  for (const Image& image : numbered_images(count)) bytes.append(image.rgb.begin(), image.rgb.end());
  return bytes;
}

TEST(VideoStream, ReadsRawFrames) {
  const TemporaryFolder folder;
  const std::string path = folder.write("v.raw", raw_frames(10)).string();
  const VideoStreamOptions options{.start = 0.3, .format = "rawvideo", .height = 32, .width = 96, .rate = 10};
  VideoStream video(path, options);
  const std::vector<VideoFrame> frames = all_frames(video);
  EXPECT_THAT(numbers_of(frames), ElementsAre(3, 4, 5, 6, 7, 8, 9));
  expect_right_images(frames);
  EXPECT_EQ(frames[1].image.rgb, numbered(4).rgb);
  EXPECT_DOUBLE_EQ(frames[1].seconds, 0.4);

  VideoStream cut(folder.write("cut.raw", raw_frames(10).substr(0, 32 * 96 * 3 * 9 + 5000)).string(), options);
  EXPECT_THAT(one_line_error_of([&] { all_frames(cut); }), HasSubstr("cut.raw: breaks off after 9 frames, at 0.80 s"));
}

// Standard input is the reading end of a pipe while this lives.
class PipedInput {
 public:
  explicit PipedInput(std::string bytes) : saved_(dup(STDIN_FILENO)) {
    int ends[2];
    check(pipe(ends) == 0, "no pipe");
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    end_ = ends[1];
    if (bytes.empty()) return;
    writer_ = std::thread([this, bytes = std::move(bytes)] {
      size_t written = 0;
      while (written < bytes.size()) {
        const ssize_t count = write(end_, bytes.data() + written, bytes.size() - written);
        if (count <= 0) break;
        written += static_cast<size_t>(count);
      }
      close(end_);
    });
  }
  ~PipedInput() {
    dup2(saved_, STDIN_FILENO);
    close(saved_);
    if (writer_.joinable())
      writer_.join();
    else
      close(end_);
  }

 private:
  int saved_, end_ = -1;
  std::thread writer_;
};

TEST(VideoStream, ReadsStandardInput) {
  const TemporaryFolder folder;
  write_video(folder / "v.mkv", numbered_images(40), {"mpeg4", 12, 2});
  {
    const PipedInput input(folder.read("v.mkv"));
    VideoStream video("-", {.start = 0.6, .every = 10});
    const std::vector<VideoFrame> frames = all_frames(video);
    EXPECT_THAT(numbers_of(frames), ElementsAre(15, 25, 35));
    expect_right_images(frames);
  }
  {
    const PipedInput input(jpegs_of_two_sizes(folder));
    VideoStream video("-");
    EXPECT_EQ(all_frames(video).size(), 3u);
  }
  {
    const PipedInput input(raw_frames(20));
    VideoStream video("-", {.format = "rawvideo", .height = 32, .width = 96, .rate = 5});
    const std::vector<VideoFrame> frames = all_frames(video);
    EXPECT_EQ(frames.size(), 20u);
    expect_right_images(frames);
    EXPECT_DOUBLE_EQ(frames.back().seconds, 3.8);
  }
  const PipedInput input("no video");
  EXPECT_THAT(one_line_error_of([] { VideoStream("-"); }), HasSubstr("standard input: is not a video"));
}

TEST(VideoStream, WaitingForAPipeEnds) {
  const PipedInput input("");
  std::atomic<bool> interrupted = false;
  std::jthread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    interrupted = true;
  });
  EXPECT_EQ(one_line_error_of([&] { VideoStream("-", {.interrupted = &interrupted}); }), "interrupted");
}

TEST(VideoStream, ReadsPicturesAsFrames) {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < 12; ++i) {
    files.push_back(folder / fmt::format("{}.png", i));
    write_image(files.back(), numbered(i));
  }
  folder.write("6.png", "damaged");
  VideoStream video(files, {.start = 0.35, .end = 1, .every = 2, .rate = 10});
  EXPECT_EQ(video.frame_count(), 3);
  const std::vector<VideoFrame> frames = all_frames(video);
  ASSERT_THAT(numbers_of(frames), ElementsAre(4, 6, 8));
  EXPECT_DOUBLE_EQ(frames[2].seconds, 0.8);
  EXPECT_EQ(number_of(frames[0].image), 4);
  EXPECT_EQ(number_of(frames[2].image), 8);
  EXPECT_THAT(frames[1].error, HasSubstr("6.png: is not a JPEG, PNG or BMP picture"));

  VideoStream whole(files);
  EXPECT_EQ(whole.rate(), 30);
  EXPECT_EQ(whole.frame_count(), 12);
  EXPECT_EQ(all_frames(whole).size(), 12u);
}

TEST(VideoStream, ReadsDevices) {
  if (!dlopen("libavdevice.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR), RTLD_NOW))
    GTEST_SKIP() << "libavdevice is not installed";
  VideoStream video("testsrc=size=64x48:rate=10", {.end = 1, .format = "lavfi"});
  EXPECT_EQ(video.height(), 48);
  EXPECT_EQ(all_frames(video).size(), 10u);
  EXPECT_THAT(one_line_error_of([] { VideoStream("/dev/video_none"); }),
              HasSubstr("/dev/video_none: cannot be opened (No such file or directory)"));
  EXPECT_THAT(one_line_error_of([] { VideoStream("testsrc", {.format = "no_format"}); }),
              HasSubstr("FFmpeg has no format 'no_format'"));
  EXPECT_THAT(one_line_error_of([] { VideoStream("testsrc", {.format = "lavfi", .rate = 7}); }),
              HasSubstr("testsrc: the format 'lavfi' has no setting framerate = 7"));
}

TEST(VideoStream, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto error = [](const std::filesystem::path& path, const VideoStreamOptions& options = {}) {
    return one_line_error_of([&] { VideoStream(path.string(), options); });
  };
  EXPECT_THAT(error(folder / "none.mp4"), HasSubstr("none.mp4: no such file"));
  EXPECT_THAT(error(folder.write("empty.mp4", "")), HasSubstr("empty.mp4: is empty"));
  EXPECT_THAT(error(folder.write("text.mp4", "no video")), HasSubstr("text.mp4: is not a video"));
  // Eight samples of sound as a WAV file.
  const std::string wav(
      "RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x8\0data\x8\0\0\0........", 52);
  EXPECT_THAT(error(folder.write("sound.avi", wav)), HasSubstr("sound.avi: has no video, only sound"));
  write_video(folder / "v.avi", numbered_images(3), {"mjpeg", 1, 0});
  std::string bytes = folder.read("v.avi");
  for (size_t at; (at = bytes.find("MJPG")) != bytes.npos;) bytes.replace(at, 4, "ZZZZ");
  EXPECT_THAT(error(folder.write("unknown.avi", bytes)),
              HasSubstr("unknown.avi: its video is of a kind that FFmpeg cannot"));

  const std::filesystem::path good = folder / "v.avi";
  EXPECT_THAT(error(good, {.start = -1}), HasSubstr("from second -1"));
  EXPECT_THAT(error(good, {.start = std::nan("")}), HasSubstr("from second nan"));
  EXPECT_THAT(error(good, {.start = 2, .end = 2}), HasSubstr("the end must be after the start"));
  EXPECT_THAT(error(good, {.every = 0}), HasSubstr("every 0th frame"));
  EXPECT_THAT(error(good, {.format = "rawvideo"}), HasSubstr("raw frames need their size"));
  EXPECT_THAT(error(good, {.threads = 0}), HasSubstr("0 threads"));
}

}  // namespace
}  // namespace sandglass
