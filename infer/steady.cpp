#include "infer/steady.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace sandglass {

Smoothing::Smoothing(double seconds) : seconds_(seconds) {
  check(std::isfinite(seconds) && seconds > 0, "smoothing over {} seconds, expected more than 0", seconds);
}

void Smoothing::apply(PicturePrediction& prediction) {
  if (!prediction.frame) return;
  if (prediction.input != input_) faces_.clear();
  input_ = prediction.input;
  const double now = prediction.frame->seconds;
  for (FacePrediction& prediction_face : prediction.faces) {
    auto [known, is_new] = faces_.try_emplace(prediction_face.id);
    Face& face = known->second;
    const double passed = std::max(now - face.seen, 0.0);
    const float share = is_new ? 1 : static_cast<float>(1 - std::exp(-passed / seconds_));
    face.heights.resize(prediction_face.aus.size());
    face.seen = now;
    for (size_t k = 0; k < face.heights.size(); ++k) {
      float& height = prediction_face.aus[k].height;
      height = face.heights[k] += share * (height - face.heights[k]);
    }
  }
}

NeutralBaseline::NeutralBaseline(double share) : share_(share) {
  check(share >= 0 && share <= 0.5, "the share of neutral frames is {}, expected 0 to 0.5", share);
}

void NeutralBaseline::learn(const PicturePrediction& prediction) {
  if (!prediction.frame) return;
  for (const FacePrediction& face : prediction.faces) {
    std::vector<Histogram>& histograms = people_[{prediction.input, face.id}];
    histograms.resize(face.aus.size());
    for (size_t k = 0; k < face.aus.size(); ++k)
      ++histograms[k][static_cast<int>(std::lround(face.aus[k].intensity() * 100))];
  }
}

void NeutralBaseline::apply(PicturePrediction& prediction) const {
  if (!prediction.frame) return;
  for (FacePrediction& face : prediction.faces) {
    const auto person = people_.find({prediction.input, face.id});
    if (person == people_.end()) continue;
    for (size_t k = 0; k < face.aus.size(); ++k) face.aus[k].height -= quantile(person->second[k]);
  }
}

size_t NeutralBaseline::seen_too_seldom() const {
  return static_cast<size_t>(std::count_if(people_.begin(), people_.end(), [](const auto& person) {
    return person.second.empty() || frames_of(person.second[0]) < kLeastFrames;
  }));
}

uint64_t NeutralBaseline::frames_of(const Histogram& histogram) {
  uint64_t frames = 0;
  for (const auto& [hundredths, entries] : histogram) frames += entries;
  return frames;
}

// The lowest intensity with more than `share` of all entries up to it; 0 for a face that was seen too seldom.
float NeutralBaseline::quantile(const Histogram& histogram) const {
  const uint64_t all = frames_of(histogram);
  if (all < kLeastFrames) return 0;
  uint64_t below = 0;
  for (const auto& [hundredths, entries] : histogram) {
    below += entries;
    if (static_cast<double>(below) > share_ * static_cast<double>(all)) return static_cast<float>(hundredths) / 100;
  }
  return 0;
}

}  // namespace sandglass
