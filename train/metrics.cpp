#include "train/metrics.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr double kMaxIntensity = 5;

MeanMetric mean_of(const std::vector<AuMetrics>& aus, double AuMetrics::*figure) {
  MeanMetric mean{std::numeric_limits<double>::quiet_NaN(), 0};
  double sum = 0;
  for (const AuMetrics& au : aus) {
    if (std::isnan(au.*figure)) continue;
    sum += au.*figure;
    mean.value = sum / ++mean.aus;
  }
  return mean;
}

}  // namespace

std::vector<Agreement> sum_agreement(const std::vector<std::string>& names, std::span<const float> predictions,
                                     std::span<const float> labels, double threshold, std::span<const int> group_of,
                                     int groups) {
  const size_t k_count = names.size(), pictures = k_count > 0 ? labels.size() / k_count : 0;
  check(k_count > 0 && predictions.size() == labels.size() && labels.size() % k_count == 0,
        "metrics: {} predictions and {} labels for {} Action Units", predictions.size(), labels.size(), k_count);
  check(group_of.empty() || group_of.size() == pictures, "metrics: groups of {} pictures for {} pictures",
        group_of.size(), pictures);
  std::vector<Agreement> sums(static_cast<size_t>(groups) * k_count);
  for (size_t n = 0; n < pictures; ++n) {
    const size_t group = group_of.empty() ? 0 : static_cast<size_t>(group_of[n]);
    for (size_t k = 0; k < k_count; ++k) {
      const float prediction = predictions[n * k_count + k], label = labels[n * k_count + k];
      if (label < 0) continue;
      check(!std::isnan(prediction), "metrics: the prediction of {} for picture {} is not a number", names[k], n);
      sums[group * k_count + k].add(std::clamp(static_cast<double>(prediction), 0.0, kMaxIntensity), label, threshold);
    }
  }
  return sums;
}

Metrics metrics_of(const std::vector<std::string>& names, std::span<const Agreement> sums) {
  Metrics metrics;
  for (size_t k = 0; k < names.size(); ++k) {
    AuMetrics& au = metrics.aus.emplace_back(AuMetrics{names[k], static_cast<int>(sums[k].count())});
    for (const Figure& figure : kFigures) au.*figure.of_au = (sums[k].*figure.computed)();
  }
  for (const Figure& figure : kFigures) metrics.*figure.of_mean = mean_of(metrics.aus, figure.of_au);
  return metrics;
}

Metrics evaluate_predictions(const std::vector<std::string>& names, std::span<const float> predictions,
                             std::span<const float> labels, double threshold) {
  return metrics_of(names, sum_agreement(names, predictions, labels, threshold));
}

nlohmann::json json_number(double value) { return std::isnan(value) ? nlohmann::json() : nlohmann::json(value); }

nlohmann::json to_json(const Metrics& metrics) {
  nlohmann::json json;
  for (const AuMetrics& au : metrics.aus) {
    nlohmann::json& entry = json["aus"][au.au];
    entry["count"] = au.count;
    for (const Figure& figure : kFigures) entry[figure.key] = json_number(au.*figure.of_au);
  }
  for (const Figure& figure : kFigures) {
    json["mean"][figure.key] = json_number((metrics.*figure.of_mean).value);
    json["mean_over"][figure.key] = (metrics.*figure.of_mean).aus;
  }
  return json;
}

}  // namespace sandglass
