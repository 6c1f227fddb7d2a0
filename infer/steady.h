// Steadier numbers for faces that are followed through a video: smoothing over time, and the person's neutral face as
// zero. Both change the heights, and with them the intensities, and nothing else; photographs stay as they are. What
// they do to the scores is in docs/command_line.md.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "infer/prediction.h"

namespace sandglass {

/// Exponential smoothing, which looks back only: h = h + (1 - exp(-dt / seconds)) * (height - h), dt being the time
/// since the same face was seen last. To be given all frames in order.
class Smoothing {
 public:
  /// Throws Error unless seconds > 0.
  explicit Smoothing(double seconds);
  void apply(PicturePrediction& prediction);

 private:
  struct Face {
    double seen = 0;  // seconds
    std::vector<float> heights;
  };
  double seconds_;
  size_t input_ = 0;
  std::map<int, Face> faces_;  // of the input, by id
};

/// Subtracts what each person's neutral face shows: for each Action Unit the quantile `share` of the intensities of
/// that face in that input. It takes two passes: learn() all frames, then apply() to the same frames. Faces that were
/// seen in fewer than kLeastFrames stay as they are: so short a time says nothing about a face at rest.
class NeutralBaseline {
 public:
  static constexpr uint64_t kLeastFrames = 25;
  /// Throws Error unless 0 <= share <= 0.5.
  explicit NeutralBaseline(double share);
  void learn(const PicturePrediction& prediction);
  void apply(PicturePrediction& prediction) const;
  /// How many faces were seen in fewer than kLeastFrames.
  size_t seen_too_seldom() const;

 private:
  using Histogram = std::map<int, uint32_t>;  // how often intensities of so many hundredths were seen
  using Person = std::pair<size_t, int>;      // input and id
  static uint64_t frames_of(const Histogram& histogram);
  float quantile(const Histogram& histogram) const;

  double share_;
  std::map<Person, std::vector<Histogram>> people_;  // a histogram per Action Unit
};

}  // namespace sandglass
