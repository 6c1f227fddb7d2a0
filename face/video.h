// Frames of video files, by FFmpeg's libraries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "face/image.h"

namespace sandglass {

/// A video file. Frames are numbered from 0 in the order in which they are shown. Not for several threads at once.
class Video {
 public:
  /// Opens the file's first video stream. Throws Error naming the file if it is missing, is not a video or of a kind
  /// that cannot be decoded, or if this build has no FFmpeg.
  explicit Video(const std::filesystem::path& path);
  ~Video();

  /// Version of FFmpeg's libavformat that this build was made with; empty: it was made without, and cannot read videos.
  static std::string library_version();

  /// How many frames the file's header says there are; 0 where it does not say. Costs nothing.
  int64_t stated_frame_count() const;
  /// How many frames there are. The first call reads through the file, without decoding.
  int64_t frame_count();

  /// One frame, turned as the file says it is to be shown, 8-bit RGB. The next frame is quickest; any other is decoded
  /// from the key frame before it. Throws Error naming the file if there is no such frame or it cannot be decoded.
  Image read(int64_t frame);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sandglass
