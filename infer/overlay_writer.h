// Overlays as results: a picture per picture, a video per video.
#pragma once

#include <memory>
#include <optional>

#include "face/video_writer.h"
#include "infer/frame_overlay.h"
#include "infer/results.h"

namespace sandglass {

/// For pictures what draw_overlay() draws, as JPEG, at once; for videos what FrameOverlay draws, with the video's sound
/// if it is a file. Pictures that could not be read are left out.
class OverlayWriter final : public ResultWriter {
 public:
  /// `paths`: the file of each of `inputs`, .jpg or .mp4. The predictions' images and heatmaps must be kept. A video
  /// that cannot be written, or not to its end, is one of failures(), and the others go on.
  OverlayWriter(std::vector<std::filesystem::path> paths, std::span<const Input> inputs,
                const std::vector<std::string>& aus, bool anonymous, bool with_sound);
  void add(const PicturePrediction& prediction) override;
  void commit() override;
  std::vector<std::string> remarks() const override { return remarks_; }
  std::vector<std::string> failures() const override { return failures_; }

 private:
  // The video that is being written.
  struct Video {
    size_t input;
    FrameOverlay overlay;
    VideoWriter writer;
  };
  void begin_video(const PicturePrediction& first);
  void add_frame(const PicturePrediction& prediction);

  const std::vector<std::filesystem::path> paths_;
  std::vector<std::filesystem::path> sounds_;  // of each input; empty: none
  const std::vector<std::string> aus_;
  const bool anonymous_;
  std::unique_ptr<Video> video_;
  std::optional<size_t> failed_;  // the input whose video has failed
  std::vector<std::string> remarks_, failures_;
};

}  // namespace sandglass
