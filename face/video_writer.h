// Videos written by FFmpeg's libraries: H.264 in MP4, with the sound of the video that the frames came from.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "face/image.h"

namespace sandglass {

/// H.264 is what every player and browser knows; its encoder, x264, is under the GPL, and some builds of FFmpeg lack
/// it. MPEG-4 part 2 is in every build, and its files are larger.
enum class VideoCodec { h264, mpeg4 };

struct VideoWriterOptions {
  /// Frames a second, about: the level that the file states and the distance of key frames follow from it. When a frame
  /// is shown does not.
  double rate = 25;
  /// The video whose sound is copied, not encoded anew: the part between the first frame and the end of the last one.
  /// Empty, or a video without sound: silence.
  std::filesystem::path sound;
  VideoCodec codec = VideoCodec::h264;
  int quality = 20;  ///< x264's constant rate factor, 0 (lossless) to 51: smaller is better and larger
};

/// A video under a temporary name, which commit() renames; without commit() nothing remains (engine/output_file.h).
/// Memory does not grow with its length. Errors name `path`. Not for several threads at once; the encoder has its own.
class VideoWriter {
 public:
  /// `height` x `width` pixels, each from 1 to 16384. An odd side is padded by a copy of its last row or column,
  /// because colours are stored for 2 x 2 pixels. Throws Error if the file cannot be written, an option is out of
  /// range, the encoder is missing, `sound` is no video, or this build has no FFmpeg.
  VideoWriter(const std::filesystem::path& path, int height, int width, const VideoWriterOptions& options = {});
  ~VideoWriter();

  /// Appends a frame that is shown from `seconds` on until the next one: counted as VideoFrame::seconds from the
  /// first frame of `sound`. The video itself begins with its first frame. Times must rise, by 1/60000 s at least.
  /// Throws Error, for example when the disk is full.
  void add(const ImageView& frame, double seconds);

  /// Finishes the file; the last frame is shown as long as the one before it. May be called after any frame, for
  /// example when a run is interrupted. Throws Error if there is no frame. Nothing may be added afterwards.
  void commit();

  /// What a user should know: that the sound is left out, and why.
  const std::vector<std::string>& remarks() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sandglass
