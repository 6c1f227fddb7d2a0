// An opened video and its decoder: what Video and VideoStream share. Only for builds with FFmpeg.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "face/ffmpeg.h"
#include "face/image.h"

namespace sandglass {

/// What to add to an error of standard input.
inline constexpr const char* kNoJumps =
    "; only formats that need no jumps can come through a pipe: Matroska, MPEG-TS, MJPEG, raw frames";

/// What to open, and how.
struct VideoSource {
  std::string name;    ///< a file; "-": standard input; with a `format`, whatever that format calls its source
  std::string format;  ///< FFmpeg's name of the format; empty: by content
  std::vector<std::pair<const char*, std::string>> settings = {};  ///< of the format, under FFmpeg's names
  int threads = 1;
  const std::atomic<bool>* interrupted = nullptr;  ///< ends all waiting; may be null
};

struct FrameSize {
  int height = 0, width = 0;
};

class VideoDecoder {
 public:
  /// Opens the source's first video stream; the others are read, too. Throws Error naming the source if it is missing,
  /// is not a video or of a kind that cannot be decoded.
  explicit VideoDecoder(const VideoSource& source);
  ~VideoDecoder();

  const std::string& name() const { return name_; }  ///< for errors
  bool is_pipe() const { return input_ != nullptr; }
  const AVStream& stream() const { return *format->streams[stream_index]; }
  /// Whether this is one of FFmpeg's names of the source's format.
  bool is_format(std::string_view name) const;
  /// Of the frames by the header, as they are shown.
  FrameSize size() const;
  /// `frame` as the file says it is to be shown: turned or mirrored, in square pixels. `number`, from 0, is for errors.
  Image convert(int64_t number);

 private:
  struct StandardInput;

  void open(const VideoSource& source);
  void choose_stream();
  void open_decoder(int threads);
  AVRational pixel_aspect(AVFrame* of) const;

  const std::string name_;
  const AVCodec* kind_ = nullptr;
  int orientation_ = 1;                   // Exif's number
  std::unique_ptr<StandardInput> input_;  // before `format`, which reads from it
  ScalerPointer scaler_;
  std::vector<uint8_t> rows_;  // of the frame that is converted

 public:
  int stream_index = -1;
  InputPointer format;
  CodecPointer codec;
  FramePointer frame;
};

}  // namespace sandglass
