// From inputs to pieces of work that threads can share: a picture file to decode, or some consecutive frames of a
// video.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "face/video_stream.h"
#include "infer/inputs.h"

namespace sandglass {

struct Work {
  size_t input = 0;                ///< its number in the list
  std::vector<VideoFrame> frames;  ///< of a video; none for a picture, which is still to be read
  double end = 0, rate = 0;        ///< of a video, as FrameTime has them
  std::string video_error;         ///< why the video ends after these frames; empty: it does not, or it is complete
};

class InputReader {
 public:
  /// `inputs` must outlive the reader. Videos come in pieces of `frames` frames; the last one is shorter, and so are
  /// those of frames so large that they would be much more than kMostBytes together.
  static constexpr size_t kMostBytes = size_t{256} << 20;
  InputReader(std::span<const Input> inputs, const VideoStreamOptions& video, int frames);

  /// The next piece of work, in order; nothing after the last. Decodes a piece's frames. A video that cannot be read is
  /// a piece with `video_error`.
  std::optional<Work> next();

  /// What the user should know of the videos that have been read, a line each: damaged frames.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  void end_video();

  const std::span<const Input> inputs_;
  const VideoStreamOptions options_;
  const size_t frames_;
  size_t input_ = 0;
  std::optional<VideoStream> video_;  // of inputs_[input_]
  bool any_frame_ = false;            // of it
  int64_t damaged_ = 0;               // frames of it that are
  double first_damaged_ = 0;          // seconds
  std::vector<std::string> remarks_;
};

}  // namespace sandglass
