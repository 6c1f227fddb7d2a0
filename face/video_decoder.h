// An opened video and its decoder: what Video and VideoStream share. Only for builds with FFmpeg.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "face/ffmpeg.h"
#include "face/image.h"

namespace sandglass {

/// What FFmpeg says about an error's code.
std::string ffmpeg_reason(int code);

/// Calls one of FFmpeg's functions that free an object and clear its pointer.
template <auto FFmpeg::*kFree>
struct FreeByFFmpeg {
  template <typename Object>
  void operator()(Object* object) const {
    (ffmpeg().*kFree)(&object);
  }
};
using PacketPointer = std::unique_ptr<AVPacket, FreeByFFmpeg<&FFmpeg::av_packet_free>>;

/// What to open, and how.
struct VideoSource {
  std::string name;    ///< a file; "-": standard input; with a `format`, whatever that format calls its source
  std::string format;  ///< FFmpeg's name of the format; empty: by content
  std::vector<std::pair<const char*, std::string>> settings = {};  ///< of the format, under FFmpeg's names
  int threads = 1;
  const std::atomic<bool>* interrupted = nullptr;  ///< ends all waiting; may be null
};

class VideoDecoder {
 public:
  /// Opens the source's first video stream; the others are read, too. Throws Error naming the source if it is missing,
  /// is not a video or of a kind that cannot be decoded.
  explicit VideoDecoder(const VideoSource& source);
  ~VideoDecoder();

  const AVStream& stream() const { return *format->streams[stream_index]; }
  /// Whether height and width are exchanged when the frames are shown.
  bool is_turned() const { return orientation_ >= 5; }
  /// `frame`, turned as the file says it is to be shown; `number`, from 0, is for errors.
  Image convert(int64_t number);

 private:
  struct StandardInput;
  struct FreeScaler {
    void operator()(SwsContext* context) const { ffmpeg().sws_freeContext(context); }
  };

  void open(const VideoSource& source);
  void choose_stream();
  void open_decoder(int threads);

  const std::string name_;
  const AVCodec* kind_ = nullptr;
  int orientation_ = 1;
  std::unique_ptr<StandardInput> input_;  // before `format`, which reads from it
  std::unique_ptr<SwsContext, FreeScaler> scaler_;
  std::vector<uint8_t> rows_;  // of the frame that is converted

 public:
  int stream_index = -1;
  std::unique_ptr<AVFormatContext, FreeByFFmpeg<&FFmpeg::avformat_close_input>> format;
  std::unique_ptr<AVCodecContext, FreeByFFmpeg<&FFmpeg::avcodec_free_context>> codec;
  std::unique_ptr<AVFrame, FreeByFFmpeg<&FFmpeg::av_frame_free>> frame;
};

}  // namespace sandglass
