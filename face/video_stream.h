// The frames of a video one after the other: a file, standard input, a camera, or pictures in files. For any frame of
// a file in any order there is face/video.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "face/image.h"

namespace sandglass {

struct VideoFrame {
  Image image;             ///< upright, in square pixels; its size may change within a video
  int64_t number = 0;      ///< counted from 0 over all frames of the video, also those that are not asked for
  double seconds = 0;      ///< when it is shown, after the video's first frame, as the video says it
  std::string error = "";  ///< why there is no image
  /// As far as the decoder noticed, parts of it could not be decoded, or it builds on such a frame or a missing one:
  /// all up to the next key frame do.
  bool is_damaged = false;
};

struct VideoStreamOptions {
  double start = 0, end = std::numeric_limits<double>::infinity();  ///< seconds: frames with start <= time < end
  int every = 1;                                                    ///< of these the first and each n-th after it
  std::string format = "";  ///< FFmpeg's name of the format where content does not say it: rawvideo, v4l2, lavfi
  /// Of raw frames, which need them; or what to ask a camera for. 0, empty: pixels are rgb24 in raw frames, everything
  /// else as the source has it. `rate`, in frames a second, is also that of pictures in files (0: 30).
  int height = 0, width = 0;
  double rate = 0;
  std::string pixel_format = "";
  int threads = 1;  ///< of the decoder
  /// Set by whoever wants the reading to end early, which it then does with an Error, also where it waits for a camera
  /// or a pipe; may be null.
  const std::atomic<bool>* interrupted = nullptr;
};

/// A video, read once from its beginning to its end. Memory does not grow with its length. Not for several threads at
/// once.
class VideoStream {
 public:
  /// Opens a file; "-": standard input (formats that need no jumps: Matroska, MPEG-TS, MJPEG, or raw frames with
  /// `format` "rawvideo"); /dev/videoN: a camera. Throws Error naming the source if it is missing, empty, not a video
  /// or of a kind that cannot be decoded, if an option is out of range, or if this build has no FFmpeg.
  explicit VideoStream(const std::string& source, const VideoStreamOptions& options = {});
  /// Pictures in files (JPEG, PNG, BMP) as the frames of a video. One that cannot be read is a frame with an error.
  explicit VideoStream(std::vector<std::filesystem::path> pictures, const VideoStreamOptions& options = {});
  ~VideoStream();
  VideoStream(VideoStream&&) noexcept;

  /// The next frame that is asked for; nothing at the end. A damaged frame in the middle is left out, and the numbers
  /// of those after it stay right where the video says when each frame is shown. Throws Error if the video breaks off:
  /// if reading fails, or it ends before it should, as far as the file tells. All frames before that have been given.
  std::optional<VideoFrame> next();

  /// Pixels of the frames by the header, as VideoFrame's; 0: not known before the first frame.
  int height() const;
  int width() const;
  double rate() const;      ///< frames a second by the header, on average; 0: unknown
  double duration() const;  ///< seconds by the header; 0: unknown
  /// How many frames next() will about give, by the header; nothing where it does not say.
  std::optional<int64_t> frame_count() const;
  bool has_audio() const;
  /// Frames so far that could not be decoded, so that next() left them out. What a damaged container has lost
  /// altogether is not known: the seconds of the frames after it stay right, their numbers do not.
  int64_t missed() const;

  struct Reader;  ///< one way to read

 private:
  std::unique_ptr<Reader> reader_;
};

}  // namespace sandglass
