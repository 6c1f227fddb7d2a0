#include "infer/input_reader.h"

#include <algorithm>

#include "engine/error.h"

namespace sandglass {
namespace {

VideoStream open_video(const Input& input, const VideoStreamOptions& options) {
  if (input.kind == InputKind::sequence) return VideoStream(input.files, options);
  return VideoStream(input.path.string(), options);
}

}  // namespace

InputReader::InputReader(std::span<const Input> inputs, const VideoStreamOptions& video, int frames)
    : inputs_(inputs), options_(video), frames_(static_cast<size_t>(frames)) {}

std::optional<Work> InputReader::next() {
  while (input_ < inputs_.size()) {
    const Input& input = inputs_[input_];
    Work work;
    work.input = input_;
    bool is_end = false;
    if (input.kind == InputKind::picture || !input.error.empty()) {
      ++input_;
      return work;
    }
    try {
      if (!video_) video_.emplace(open_video(input, options_));
      work.end = std::min(video_->duration(), options_.end);
      work.rate = video_->rate() / options_.every;
      size_t bytes = 0;
      while (work.frames.size() < frames_ && bytes < kMostBytes) {
        std::optional<VideoFrame> frame = video_->next();
        if (!frame) {
          is_end = true;
          break;
        }
        bytes += frame->image.rgb.size();
        if (frame->is_damaged && damaged_++ == 0) first_damaged_ = frame->seconds;
        work.frames.push_back(std::move(*frame));
        any_frame_ = true;
      }
      check(any_frame_, "{}: has no frame in the part that is to be read", input.path.string());
    } catch (const std::exception& problem) {
      work.video_error = problem.what();
    }
    if (is_end || !work.video_error.empty()) end_video();
    if (!work.frames.empty() || !work.video_error.empty()) return work;
  }
  return {};
}

void InputReader::end_video() {
  const std::string name = inputs_[input_].path.string();
  if (video_ && video_->missed() > 0)
    remarks_.push_back(
        fmt::format("{}: frames that are damaged and missing in the results: {}", name, video_->missed()));
  if (damaged_ > 0)
    remarks_.push_back(
        fmt::format("{}: frames that are damaged or build on damaged ones, of which the results may be wrong: {}, the "
                    "first at {:.3f} s",
                    name, damaged_, first_damaged_));
  video_.reset();
  any_frame_ = false;
  damaged_ = 0;
  ++input_;
}

}  // namespace sandglass
