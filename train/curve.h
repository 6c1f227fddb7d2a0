// The training curve: loss over steps and validation ICC(3,1) over epochs, drawn from metrics.jsonl as an SVG picture.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace sandglass {

/// What metrics.jsonl says (its lines are described in docs/training.md).
struct TrainingCurve {
  struct Loss {
    double step = 0, loss = 0;
  };
  struct Validation {
    double epoch = 0;
    double mean_icc = std::numeric_limits<double>::quiet_NaN();  ///< NaN: not defined
    std::map<std::string, double> icc;                           ///< of the AUs for which it is defined
  };
  std::vector<Loss> losses;
  std::vector<Validation> validations;
};

/// Reads metrics.jsonl. A last line without its end is left out (a run may be writing it). Throws Error naming file and
/// line if another line is not such a record.
TrainingCurve read_curve(const std::filesystem::path& metrics_jsonl);

/// The picture: left the loss (logarithmic) as it was written and smoothed, right the ICC of each AU and their mean.
/// A panel without data says so.
std::string to_svg(const TrainingCurve& curve);

}  // namespace sandglass
