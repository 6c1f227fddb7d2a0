#include "infer/overlay_writer.h"

#include "engine/error.h"
#include "infer/overlay.h"

namespace sandglass {

OverlayWriter::OverlayWriter(std::vector<std::filesystem::path> paths, std::span<const Input> inputs,
                             const std::vector<std::string>& aus, bool anonymous, bool with_sound)
    : paths_(std::move(paths)), aus_(aus), anonymous_(anonymous) {
  for (const Input& input : inputs) {
    std::error_code error;
    const bool is_file = with_sound && input.kind == InputKind::video && input.path != "-" &&
                         std::filesystem::is_regular_file(input.path, error);
    sounds_.push_back(is_file ? input.path : "");
  }
}

void OverlayWriter::add(const PicturePrediction& prediction) {
  if (video_ && video_->input != prediction.input) commit();
  if (!prediction.error.empty()) return;
  if (!prediction.frame) {
    write_image(paths_.at(prediction.input), draw_overlay(prediction, aus_, anonymous_));
    return;
  }
  if (failed_ != prediction.input) add_frame(prediction);
}

void OverlayWriter::add_frame(const PicturePrediction& prediction) {
  try {
    if (!video_) begin_video(prediction);
    video_->writer.add(video_->overlay.draw(prediction), prediction.frame->seconds);
  } catch (const Error& error) {
    failures_.push_back(error.what());
    failed_ = prediction.input;
    video_.reset();
  }
}

void OverlayWriter::begin_video(const PicturePrediction& first) {
  FrameOverlay overlay(first.height, first.width, aus_, {.anonymous = anonymous_});
  VideoWriterOptions options{.sound = sounds_.at(first.input)};
  if (first.frame->rate > 0) options.rate = first.frame->rate;
  const int height = overlay.height(), width = overlay.width();
  video_.reset(new Video{first.input, std::move(overlay), VideoWriter(paths_[first.input], height, width, options)});
}

void OverlayWriter::commit() {
  if (!video_) return;
  try {
    video_->writer.commit();
    const std::vector<std::string>& remarks = video_->writer.remarks();
    remarks_.insert(remarks_.end(), remarks.begin(), remarks.end());
  } catch (const Error& error) {
    failures_.push_back(error.what());
  }
  video_.reset();
}

}  // namespace sandglass
