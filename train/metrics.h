// How well predicted intensities agree with coded ones: ICC(3,1), Pearson correlation, MSE and MAE per Action Unit.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace sandglass {

/// ICC(3,1): two-way mixed effects, consistency, single rater. Shrout & Fleiss, "Intraclass correlations: uses in
/// assessing rater reliability", Psychological Bulletin 86(2), 1979. `ratings`: [targets][raters], at least 2 of each.
/// With the mean squares between targets (BMS) and residual (EMS) of the two-way analysis of variance and k raters:
///   ICC(3,1) = (BMS - EMS) / (BMS + (k - 1) EMS)
/// NaN where that is 0 / 0.
double icc_3_1(std::span<const double> ratings, int raters);

/// Agreement of one AU over the pictures in which it is coded. NaN: not defined (see evaluate_predictions).
struct AuMetrics {
  std::string au;
  int count = 0;  ///< coded pictures
  double icc = 0, pearson = 0, mse = 0, mae = 0;
};

/// A mean over the AUs for which the figure is defined; NaN if there are none.
struct MeanMetric {
  double value = 0;
  int aus = 0;
};

struct Metrics {
  std::vector<AuMetrics> aus;
  MeanMetric icc, pearson, mse, mae;
};

/// Compares predictions [N][K] (clamped to 0-5 here) with labels [N][K] (0-5; below 0: not coded, left out). K = number
/// of names. Not defined are: every figure without a coded picture; ICC where all labels are equal (there is nothing to
/// agree about); Pearson where all labels or all predictions are equal. A prediction that is always the same has ICC 0.
/// Throws Error if the sizes do not fit together or a prediction is NaN.
Metrics evaluate_predictions(const std::vector<std::string>& names, std::span<const float> predictions,
                             std::span<const float> labels);

/// A table for people: a row per AU and one of means, which says where a mean is over fewer AUs.
std::string to_table(const Metrics& metrics);

/// {"aus": {"AU06": {"count", "icc", "pearson", "mse", "mae"}, ...}, "mean": {"icc", ...}, "mean_over": {"icc": 5,
/// ...}}; what is not defined is null.
nlohmann::json to_json(const Metrics& metrics);

}  // namespace sandglass
