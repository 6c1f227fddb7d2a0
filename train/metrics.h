// How well predicted intensities agree with coded ones: figures per Action Unit, and their means.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "train/agreement.h"

namespace sandglass {

/// From this intensity on an AU counts as present for F1, as is usual for DISFA (Zhao, Chu and Zhang, "Deep region and
/// multi-label learning for facial Action Unit detection", CVPR 2016).
constexpr double kDefaultThreshold = 2;

/// Agreement of one AU over the pictures in which it is coded. NaN: not defined (see train/agreement.h).
struct AuMetrics {
  std::string au;
  int count = 0;  ///< coded pictures
  double icc = 0, mse = 0, mae = 0, pearson = 0, f1 = 0;
};

/// A mean over the AUs for which the figure is defined; NaN if there are none.
struct MeanMetric {
  double value = 0;
  int aus = 0;
};

struct Metrics {
  std::vector<AuMetrics> aus;
  MeanMetric icc, mse, mae, pearson, f1;
};

/// The figures in the order in which they are shown.
struct Figure {
  const char* key;    ///< in JSON and CSV
  const char* title;  ///< in tables
  double AuMetrics::*of_au;
  MeanMetric Metrics::*of_mean;
  double (Agreement::*computed)() const;
};
inline constexpr std::array<Figure, 5> kFigures{{
    {"icc", "ICC(3,1)", &AuMetrics::icc, &Metrics::icc, &Agreement::icc},
    {"mse", "MSE", &AuMetrics::mse, &Metrics::mse, &Agreement::mse},
    {"mae", "MAE", &AuMetrics::mae, &Metrics::mae, &Agreement::mae},
    {"pearson", "Pearson", &AuMetrics::pearson, &Metrics::pearson, &Agreement::pearson},
    {"f1", "F1", &AuMetrics::f1, &Metrics::f1, &Agreement::f1},
}};

/// Sums the agreement of predictions [N][K] (clamped to 0-5 here) with labels [N][K] (0-5; below 0: not coded, left
/// out) for each group of pictures and each AU: the result is [groups][K]. `group_of` [N]: 0 to groups - 1; empty: all
/// pictures are group 0. K = number of names. Throws Error if the sizes do not fit together or a prediction is NaN.
std::vector<Agreement> sum_agreement(const std::vector<std::string>& names, std::span<const float> predictions,
                                     std::span<const float> labels, double threshold,
                                     std::span<const int> group_of = {}, int groups = 1);

/// The figures that follow from one sum per AU.
Metrics metrics_of(const std::vector<std::string>& names, std::span<const Agreement> sums);

/// Both, for all pictures together.
Metrics evaluate_predictions(const std::vector<std::string>& names, std::span<const float> predictions,
                             std::span<const float> labels, double threshold = kDefaultThreshold);

/// {"aus": {"AU06": {"count", "icc", "mse", "mae", "pearson", "f1"}, ...}, "mean": {"icc", ...}, "mean_over": {"icc":
/// 5,
/// ...}}; what is not defined is null.
nlohmann::json to_json(const Metrics& metrics);

/// `value`, or null where it is NaN, which JSON does not have.
nlohmann::json json_number(double value);

}  // namespace sandglass
