// Small videos for tests, written by FFmpeg.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "engine/error.h"
#include "face/image.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libswscale/swscale.h>
}

namespace sandglass {

struct VideoFormat {
  const char* codec = "mpeg4";
  int key_frame_every = 12;
  int b_frames = 0;                 ///< between two others at most: they are stored after the frame that follows them
  std::vector<int64_t> times = {};  ///< when each frame is shown, in 1/25 s; empty: 25 frames a second
  int turn = 0;                     ///< degrees by which the frames are to be turned clockwise when shown
  bool mirrored = false;            ///< after that, left and right are to be exchanged
  AVRational pixel_aspect = {1, 1};
  bool fragments = false;  ///< of an MP4: one from each key frame to the next
};

/// Writes pictures of one size (even sides) as a video; the container follows from the file's name.
inline void write_video(const std::filesystem::path& path, const std::vector<Image>& images,
                        const VideoFormat& wanted = {}) {
  AVFormatContext* format = nullptr;
  check(avformat_alloc_output_context2(&format, nullptr, nullptr, path.c_str()) >= 0, "no such container");
  const AVCodec* encoder = avcodec_find_encoder_by_name(wanted.codec);
  check(encoder, "FFmpeg has no encoder {}", wanted.codec);
  AVStream* stream = avformat_new_stream(format, nullptr);
  AVCodecContext* codec = avcodec_alloc_context3(encoder);
  codec->width = images[0].width;
  codec->height = images[0].height;
  codec->time_base = {1, 25};
  codec->framerate = {25, 1};
  codec->pix_fmt = std::string_view(wanted.codec) == "mjpeg" ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
  codec->gop_size = wanted.key_frame_every;
  codec->max_b_frames = wanted.b_frames;
  codec->bit_rate = 4'000'000;
  codec->thread_count = 1;
  codec->sample_aspect_ratio = wanted.pixel_aspect;
  if (format->oformat->flags & AVFMT_GLOBALHEADER) codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  check(avcodec_open2(codec, encoder, nullptr) >= 0, "the encoder does not open");
  avcodec_parameters_from_context(stream->codecpar, codec);
  stream->time_base = codec->time_base;
  stream->sample_aspect_ratio = wanted.pixel_aspect;
  if (wanted.turn != 0 || wanted.mirrored) {
    uint8_t* matrix = av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t));
    av_display_rotation_set(reinterpret_cast<int32_t*>(matrix), wanted.turn);
    av_display_matrix_flip(reinterpret_cast<int32_t*>(matrix), wanted.mirrored, 0);
  }
  check(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE) >= 0, "{}: cannot be written", path.string());
  AVDictionary* settings = nullptr;
  if (wanted.fragments) av_dict_set(&settings, "movflags", "frag_keyframe+empty_moov", 0);
  check(avformat_write_header(format, &settings) >= 0, "the header cannot be written");
  av_dict_free(&settings);
  SwsContext* scaler = sws_getContext(codec->width, codec->height, AV_PIX_FMT_RGB24, codec->width, codec->height,
                                      codec->pix_fmt, SWS_BILINEAR, nullptr, nullptr, nullptr);
  AVFrame* frame = av_frame_alloc();
  AVPacket* packet = av_packet_alloc();
  const auto write_packets = [&] {
    while (avcodec_receive_packet(codec, packet) >= 0) {
      packet->duration = 1;  // or MP4 ends before its last frame
      av_packet_rescale_ts(packet, codec->time_base, stream->time_base);
      packet->stream_index = 0;
      av_interleaved_write_frame(format, packet);
    }
  };
  for (size_t i = 0; i < images.size(); ++i) {
    frame->format = codec->pix_fmt;
    frame->width = codec->width;
    frame->height = codec->height;
    av_frame_get_buffer(frame, 0);
    const uint8_t* planes[] = {images[i].rgb.data()};
    const int strides[] = {codec->width * 3};
    sws_scale(scaler, planes, strides, 0, codec->height, frame->data, frame->linesize);
    frame->pts = wanted.times.empty() ? static_cast<int64_t>(i) : wanted.times[i];
    avcodec_send_frame(codec, frame);
    av_frame_unref(frame);
    write_packets();
  }
  avcodec_send_frame(codec, nullptr);
  write_packets();
  av_write_trailer(format);
  av_packet_free(&packet);
  av_frame_free(&frame);
  sws_freeContext(scaler);
  avcodec_free_context(&codec);
  avio_closep(&format->pb);
  avformat_free_context(format);
}

constexpr int kNumberBits = 6, kNumberBar = 16;

/// A picture of 96 x 32 pixels that says its number, 0 to 63: six bars, white for a 1.
inline Image numbered(int number) {
  Image image(32, kNumberBits * kNumberBar);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const uint8_t value = number >> (x / kNumberBar) & 1 ? 235 : 20;
      std::fill_n(image.at(y, x), 3, value);
    }
  }
  return image;
}

inline int number_of(const Image& image) {
  int number = 0;
  for (int bit = 0; bit < kNumberBits; ++bit)
    number |= (image.at(16, bit * kNumberBar + kNumberBar / 2)[1] > 128) << bit;
  return number;
}

inline std::vector<Image> numbered_images(int count) {
  std::vector<Image> images;
  for (int i = 0; i < count; ++i) images.push_back(numbered(i));
  return images;
}

}  // namespace sandglass
