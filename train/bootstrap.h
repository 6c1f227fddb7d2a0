// Confidence intervals of the figures of agreement by the percentile bootstrap over subjects.
//
// Pictures of one person are alike, so people are drawn anew and not pictures: each replicate draws as many subjects as
// there are, with replacement, takes all their pictures and computes every figure. The interval lies between the
// percentiles of the replicates (linear between neighbours). Source: Efron and Tibshirani, "An introduction to the
// bootstrap", 1993, chapters 13 and 8 (data of several levels).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "train/manifest.h"
#include "train/metrics.h"

namespace sandglass {

/// What is drawn: the pictures of a manifest as groups of one subject each, or each picture by itself.
struct SampleGroups {
  std::vector<int> of_picture;  ///< [N], 0 to count - 1
  int count = 0;
  bool by_subject = false;  ///< false: a picture has no subject, so that each picture is a group
  std::string remark;       ///< what a reader of the intervals should know; may be empty

  /// "12 subjects" or "300 pictures".
  std::string text() const;
};
SampleGroups sample_groups(const Manifest& manifest);

struct BootstrapOptions {
  int replicates = 1000;  ///< 0: no intervals
  double level = 0.95;    ///< share of the replicates within the interval
  uint64_t seed = 1;
};

struct Interval {
  double low = 0, high = 0;  ///< NaN if no replicate defines the figure
};

/// Of each figure, as kFigures orders them. A figure that a replicate does not define leaves that replicate out.
using FigureIntervals = std::array<Interval, kFigures.size()>;
struct Intervals {
  std::vector<FigureIntervals> aus;
  FigureIntervals mean;
};

/// A function of its arguments alone. Throws Error if there are fewer than two groups or replicates, or the level is
/// not between 0 and 1.
Intervals bootstrap(const std::vector<std::string>& names, std::span<const float> predictions,
                    std::span<const float> labels, double threshold, const SampleGroups& groups,
                    const BootstrapOptions& options);

}  // namespace sandglass
