#include "face/video_writer.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <numbers>

#include "face/video_stream.h"
#include "tests/face/one_line_error.h"
#include "tests/face/video_file.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kRate = 48000, kLength = 75;        // samples a second; frames, 25 a second
constexpr double kFlash = 2.0, kFlashEnd = 2.12;  // s: white pictures, and a tone

bool flashes(double seconds) { return seconds >= kFlash - 1e-6 && seconds < kFlashEnd - 1e-6; }

Image plain(int height, int width, uint8_t value) {
  Image image(height, width);
  std::fill(image.rgb.begin(), image.rgb.end(), value);
  return image;
}

// The video `from` with a sound of `kLength` frames, silent but for the flash.
void add_sound(const std::filesystem::path& from, const std::filesystem::path& to, const char* encoder_name) {
  AVFormatContext *in = nullptr, *out = nullptr;
  check(avformat_open_input(&in, from.c_str(), nullptr, nullptr) >= 0 && avformat_find_stream_info(in, nullptr) >= 0,
        "the video does not open");
  check(avformat_alloc_output_context2(&out, nullptr, nullptr, to.c_str()) >= 0, "no such container");
  AVStream* pictures = avformat_new_stream(out, nullptr);
  avcodec_parameters_copy(pictures->codecpar, in->streams[0]->codecpar);
  pictures->codecpar->codec_tag = 0;
  const AVCodec* encoder = avcodec_find_encoder_by_name(encoder_name);
  AVCodecContext* codec = avcodec_alloc_context3(encoder);
  codec->sample_rate = kRate;
  codec->ch_layout = AV_CHANNEL_LAYOUT_MONO;
  codec->sample_fmt = encoder->sample_fmts[0];
  codec->time_base = {1, kRate};
  if (out->oformat->flags & AVFMT_GLOBALHEADER) codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  check(avcodec_open2(codec, encoder, nullptr) >= 0, "the encoder of sound does not open");
  AVStream* sound = avformat_new_stream(out, nullptr);
  avcodec_parameters_from_context(sound->codecpar, codec);
  sound->time_base = codec->time_base;
  check(avio_open(&out->pb, to.c_str(), AVIO_FLAG_WRITE) >= 0 && avformat_write_header(out, nullptr) >= 0,
        "the header cannot be written");
  AVPacket* packet = av_packet_alloc();
  while (av_read_frame(in, packet) >= 0) {
    av_packet_rescale_ts(packet, in->streams[0]->time_base, pictures->time_base);
    av_interleaved_write_frame(out, packet);
  }
  AVFrame* frame = av_frame_alloc();
  const int piece = codec->frame_size > 0 ? codec->frame_size : 1024, samples = kLength * kRate / 25;
  for (int first = 0; first <= samples; first += piece) {
    frame->nb_samples = piece;
    frame->format = codec->sample_fmt;
    frame->ch_layout = codec->ch_layout;
    frame->pts = first;
    av_frame_get_buffer(frame, 0);
    for (int i = 0; i < piece; ++i) {
      const double seconds = static_cast<double>(first + i) / kRate;
      const double value = flashes(seconds) ? 0.8 * std::sin(2 * std::numbers::pi * 1000 * seconds) : 0;
      if (codec->sample_fmt == AV_SAMPLE_FMT_S16) {
        reinterpret_cast<int16_t*>(frame->data[0])[i] = static_cast<int16_t>(value * 32767);
      } else {
        reinterpret_cast<float*>(frame->data[0])[i] = static_cast<float>(value);
      }
    }
    avcodec_send_frame(codec, first + piece <= samples ? frame : nullptr);
    av_frame_unref(frame);
    while (avcodec_receive_packet(codec, packet) >= 0) {
      packet->stream_index = 1;
      av_packet_rescale_ts(packet, codec->time_base, sound->time_base);
      av_interleaved_write_frame(out, packet);
    }
  }
  av_write_trailer(out);
  av_packet_free(&packet);
  av_frame_free(&frame);
  avcodec_free_context(&codec);
  avio_closep(&out->pb);
  avformat_free_context(out);
  avformat_close_input(&in);
}

// A video of `kLength` black frames, white in the flash, with sound.
void write_flash(const std::filesystem::path& path, const char* encoder) {
  std::vector<Image> images;
  for (int i = 0; i < kLength; ++i) images.push_back(plain(32, 32, flashes(i / 25.0) ? 255 : 0));
  const std::filesystem::path silent = path.parent_path() / "silent.mp4";  // its times begin at 0
  write_video(silent, images, {"mpeg2video", 12, 2});
  add_sound(silent, path, encoder);
}

// What a player makes of a file.
struct Played {
  std::string codecs;                                                 // "h264 aac"
  int height = 0, width = 0;                                          // of the last picture
  double duration = 0;                                                // s
  std::vector<double> times;                                          // of the pictures, s
  std::vector<int> brightnesses;                                      // luma in the middle of the pictures
  double tone = -1, tone_end = -1, sound_begin = -1, sound_end = -1;  // s; -1: none
};

Played play(const std::filesystem::path& path) {
  Played played;
  AVFormatContext* format = nullptr;
  check(avformat_open_input(&format, path.c_str(), nullptr, nullptr) >= 0 &&
            avformat_find_stream_info(format, nullptr) >= 0,
        "{}: does not open", path.string());
  played.duration = static_cast<double>(format->duration) / AV_TIME_BASE;
  std::vector<AVCodecContext*> codecs;
  for (unsigned i = 0; i < format->nb_streams; ++i) {
    const AVCodec* decoder = avcodec_find_decoder(format->streams[i]->codecpar->codec_id);
    AVCodecContext* codec = codecs.emplace_back(avcodec_alloc_context3(decoder));
    avcodec_parameters_to_context(codec, format->streams[i]->codecpar);
    codec->pkt_timebase = format->streams[i]->time_base;
    avcodec_open2(codec, decoder, nullptr);
    played.codecs += (i > 0 ? " " : "") + std::string(decoder->name);
  }
  AVPacket* packet = av_packet_alloc();
  AVFrame* frame = av_frame_alloc();
  const auto take_frames = [&](size_t stream) {
    while (avcodec_receive_frame(codecs[stream], frame) >= 0) {
      const double time = static_cast<double>(frame->best_effort_timestamp) * av_q2d(codecs[stream]->pkt_timebase);
      if (frame->nb_samples == 0) {
        played.height = frame->height;
        played.width = frame->width;
        played.times.push_back(time);
        played.brightnesses.push_back(frame->data[0][frame->height / 2 * frame->linesize[0] + frame->width / 2]);
        continue;
      }
      if (played.sound_begin < 0) played.sound_begin = time;
      played.sound_end = time + static_cast<double>(frame->nb_samples) / kRate;
      for (int i = 0; i < frame->nb_samples; ++i) {
        if (std::abs(reinterpret_cast<const float*>(frame->data[0])[i]) < 0.2) continue;
        played.tone_end = time + static_cast<double>(i) / kRate;
        if (played.tone < 0) played.tone = played.tone_end;
      }
    }
  };
  while (av_read_frame(format, packet) >= 0) {
    const auto stream = static_cast<size_t>(packet->stream_index);
    avcodec_send_packet(codecs[stream], packet);
    av_packet_unref(packet);
    take_frames(stream);
  }
  for (size_t stream = 0; stream < codecs.size(); ++stream) {
    avcodec_send_packet(codecs[stream], nullptr);
    take_frames(stream);
    avcodec_free_context(&codecs[stream]);
  }
  av_packet_free(&packet);
  av_frame_free(&frame);
  avformat_close_input(&format);
  return played;
}

double time_of_flash(const Played& played) {
  for (size_t i = 0; i < played.times.size(); ++i) {
    if (played.brightnesses[i] > 180) return played.times[i];
  }
  return -1;
}

TEST(VideoWriter, FramesHaveTheirTimesSizeAndColours) {
  const TemporaryFolder folder;
  const std::vector<double> seconds{3.0, 3.04, 3.05, 3.3, 3.7};
  for (const VideoCodec codec : {VideoCodec::h264, VideoCodec::mpeg4}) {
    VideoWriterOptions options;
    options.codec = codec;
    VideoWriter writer(folder / "v.mp4", 35, 47, options);
    for (const double time : seconds) {
      Image image = plain(35, 47, 40);
      for (int x = 0; x < 47; ++x) image.at(34, x)[0] = 250;  // the last row is red
      writer.add(image, time);
    }
    writer.commit();
    const Played played = play(folder / "v.mp4");
    EXPECT_EQ(played.codecs, codec == VideoCodec::h264 ? "h264" : "mpeg4");
    EXPECT_EQ(played.height, 36);
    EXPECT_EQ(played.width, 48);
    ASSERT_EQ(played.times.size(), seconds.size());
    for (size_t i = 0; i < seconds.size(); ++i) EXPECT_NEAR(played.times[i], seconds[i] - 3, 1e-4);
    EXPECT_NEAR(played.duration, 0.7 + 0.4, 0.01);  // the last frame stays as long as the one before it
    EXPECT_NEAR(played.brightnesses[4], 16 + 40 * 219 / 255, 3);
    // The table of frames lies before them.
    const std::string bytes = folder.read("v.mp4");
    EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
  }
  EXPECT_THAT(folder.files(), ElementsAre("v.mp4"));
}

TEST(VideoWriter, SoundIsCopiedAndInTime) {
  const TemporaryFolder folder;
  for (const auto& [name, encoder] : {std::pair("s.mp4", "aac"), {"s.mkv", "aac"}, {"s.ts", "aac"}}) {
    write_flash(folder / name, encoder);
    // The whole, a part that begins between two packets of sound, and a part in which every second frame was drawn.
    for (const auto& [first, end, step] : {std::array{0, kLength, 1}, {27, 65, 1}, {30, 70, 2}}) {
      VideoWriterOptions options;
      options.sound = folder / name;
      VideoWriter writer(folder / "out.mp4", 32, 32, options);
      for (int i = first; i < end; i += step) writer.add(plain(32, 32, flashes(i / 25.0) ? 255 : 0), i / 25.0);
      writer.commit();
      EXPECT_THAT(writer.remarks(), IsEmpty());
      const Played played = play(folder / "out.mp4");
      const std::string what = fmt::format("{} {}-{}", name, first, end);
      EXPECT_EQ(played.codecs, "h264 aac") << what;
      EXPECT_EQ(played.times.size(), static_cast<size_t>((end - first + step - 1) / step)) << what;
      EXPECT_NEAR(time_of_flash(played), kFlash - first / 25.0, 1e-3) << what;
      EXPECT_NEAR(played.tone, kFlash - first / 25.0, 0.004) << what;
      EXPECT_NEAR(played.tone_end, kFlashEnd - first / 25.0, 0.004) << what;
      EXPECT_NEAR(played.sound_begin, 0, 0.022) << what;
      EXPECT_NEAR(played.sound_end, (end - first) / 25.0, 0.045) << what;
    }
  }
}

TEST(VideoWriter, SoundIsInTimeWhereTheRecordingBeginsBetweenKeyFrames) {
  const TemporaryFolder folder;
  write_flash(folder / "whole.ts", "aac");
  const std::string whole = folder.read("whole.ts");
  folder.write("cut.ts", whole.substr(whole.size() / 188 / 4 * 188));
  VideoWriterOptions options;
  options.sound = folder / "cut.ts";
  VideoWriter writer(folder / "out.mp4", 32, 32, options);
  VideoStream stream(folder / "cut.ts");
  while (const std::optional<VideoFrame> frame = stream.next()) writer.add(frame->image, frame->seconds);
  writer.commit();
  const Played played = play(folder / "out.mp4");
  EXPECT_GT(time_of_flash(played), 0.5);
  EXPECT_LT(time_of_flash(played), 1.8);
  EXPECT_NEAR(played.tone, time_of_flash(played), 0.004);
}

TEST(VideoWriter, SaysWhatSoundMp4CannotHold) {
  const TemporaryFolder folder;
  write_flash(folder / "s.avi", "pcm_s16le");
  VideoWriterOptions options;
  options.sound = folder / "s.avi";
  VideoWriter writer(folder / "out.mp4", 16, 16, options);
  writer.add(plain(16, 16, 9), 0);
  writer.commit();
  EXPECT_THAT(writer.remarks(), ElementsAre(HasSubstr("without sound: MP4 cannot hold pcm_s16le")));
  EXPECT_EQ(play(folder / "out.mp4").codecs, "h264");
}

TEST(VideoWriter, AVideoWithoutSoundIsSilent) {
  const TemporaryFolder folder;
  write_video(folder / "s.avi", {plain(32, 32, 0)});
  VideoWriterOptions options;
  options.sound = folder / "s.avi";
  VideoWriter writer(folder / "out.mp4", 16, 16, options);
  writer.add(plain(16, 16, 9), 0);
  writer.commit();  // after one frame, as a run that is interrupted
  EXPECT_THAT(writer.remarks(), IsEmpty());
  const Played played = play(folder / "out.mp4");
  EXPECT_EQ(played.codecs, "h264");
  EXPECT_EQ(played.times.size(), 1U);
  EXPECT_NEAR(played.duration, 0.04, 0.001);
}

TEST(VideoWriter, NothingRemainsWithoutCommit) {
  const TemporaryFolder folder;
  folder.write("v.mp4", "what was there");
  {
    VideoWriter writer(folder / "v.mp4", 16, 16);
    writer.add(plain(16, 16, 9), 0);
  }
  EXPECT_THAT(folder.files(), ElementsAre("v.mp4"));
  EXPECT_EQ(folder.read("v.mp4"), "what was there");
}

TEST(VideoWriter, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "v.mp4";
  EXPECT_THAT(one_line_error_of([&] { VideoWriter(folder / "none/v.mp4", 16, 16); }),
              HasSubstr("none/v.mp4: cannot be written (No such file or directory)"));
  EXPECT_THAT(one_line_error_of([&] { VideoWriter(path, 0, 16); }), HasSubstr("v.mp4: a video of 16 x 0 pixels"));
  EXPECT_THAT(one_line_error_of([&] { VideoWriter(path, 16, 16, {NAN, ""}); }), HasSubstr("frames a second"));
  EXPECT_THAT(one_line_error_of([&] {
                VideoWriter(path, 16, 16, {25, "", VideoCodec::h264, 52});
              }),
              HasSubstr("quality 52"));
  EXPECT_THAT(one_line_error_of([&] {
                VideoWriter(path, 16, 16, {25, folder.write("text.mp4", "no video")});
              }),
              HasSubstr("text.mp4: is not a video whose sound could be copied"));
  VideoWriter writer(path, 16, 16);
  EXPECT_THAT(one_line_error_of([&] { writer.commit(); }), HasSubstr("v.mp4: a video without a frame"));
  EXPECT_THAT(one_line_error_of([&] { writer.add(plain(16, 18, 0), 0); }), HasSubstr("a frame of 18 x 16 pixels"));
  writer.add(plain(16, 16, 0), 1);
  EXPECT_THAT(one_line_error_of([&] { writer.add(plain(16, 16, 0), 1); }), HasSubstr("times must rise"));
}

TEST(VideoWriter, SaysThatTheDiskIsFull) {
  const TemporaryFolder folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{20'000, before.rlim_max};  // a file size limit is what a full disk looks like
  const std::string error = one_line_error_of([&] {
    VideoWriter writer(folder / "v.mp4", 64, 64, {25, "", VideoCodec::h264, 0});
    setrlimit(RLIMIT_FSIZE, &limit);
    Image noise(64, 64);
    for (int i = 0; i < 60; ++i) {
      for (size_t p = 0; p < noise.rgb.size(); ++p)
        noise.rgb[p] = static_cast<uint8_t>((p + 7) * (p + i) * 2654435761U >> 13);
      writer.add(noise, i);
    }
    writer.commit();
  });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(error, HasSubstr("v.mp4: cannot be written (File too large)"));
  EXPECT_THAT(folder.files(), IsEmpty());
}

}  // namespace
}  // namespace sandglass
