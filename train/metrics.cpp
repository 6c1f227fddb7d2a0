#include "train/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr double kNotDefined = std::numeric_limits<double>::quiet_NaN();
constexpr double kMaxIntensity = 5;

bool all_equal(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [&](double value) { return value == values[0]; });
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  if (all_equal(a) || all_equal(b)) return kNotDefined;
  const double mean_a = mean(a), mean_b = mean(b);
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
    ab += (a[i] - mean_a) * (b[i] - mean_b);
  }
  return ab / std::sqrt(aa * bb);
}

double icc(const std::vector<double>& predictions, const std::vector<double>& labels) {
  if (all_equal(labels)) return kNotDefined;
  if (all_equal(predictions)) return 0;  // exactly, where the formula may leave a rounding error
  std::vector<double> ratings;
  for (size_t i = 0; i < labels.size(); ++i) ratings.insert(ratings.end(), {predictions[i], labels[i]});
  return icc_3_1(ratings, 2);
}

AuMetrics evaluate_au(const std::string& au, const std::vector<double>& predictions,
                      const std::vector<double>& labels) {
  AuMetrics metrics{au, static_cast<int>(labels.size()), kNotDefined, kNotDefined, kNotDefined, kNotDefined};
  if (labels.empty()) return metrics;
  metrics.icc = icc(predictions, labels);
  metrics.pearson = pearson(predictions, labels);
  metrics.mse = metrics.mae = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double error = predictions[i] - labels[i];
    metrics.mse += error * error / static_cast<double>(labels.size());
    metrics.mae += std::abs(error) / static_cast<double>(labels.size());
  }
  return metrics;
}

MeanMetric mean_of(const std::vector<AuMetrics>& aus, double AuMetrics::*figure) {
  std::vector<double> defined;
  for (const AuMetrics& au : aus) {
    if (!std::isnan(au.*figure)) defined.push_back(au.*figure);
  }
  if (defined.empty()) return {kNotDefined, 0};
  return {mean(defined), static_cast<int>(defined.size())};
}

std::string cell(double value) { return std::isnan(value) ? fmt::format("{:>9}", "-") : fmt::format("{:9.3f}", value); }

nlohmann::json json_number(double value) { return std::isnan(value) ? nlohmann::json() : nlohmann::json(value); }

}  // namespace

double icc_3_1(std::span<const double> ratings, int raters) {
  const size_t k = static_cast<size_t>(std::max(raters, 1)), n = ratings.size() / k;
  check(raters >= 2 && n >= 2 && n * k == ratings.size(),
        "ICC(3,1) of {} ratings by {} raters: expected at least 2 x 2", ratings.size(), raters);
  std::vector<double> target_means(n, 0), rater_means(k, 0);
  double grand_mean = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < k; ++j) {
      const double rating = ratings[i * k + j];
      target_means[i] += rating / static_cast<double>(k);
      rater_means[j] += rating / static_cast<double>(n);
      grand_mean += rating / static_cast<double>(n * k);
    }
  }
  double between = 0, residual = 0;  // sums of squares
  for (size_t i = 0; i < n; ++i) {
    between += static_cast<double>(k) * (target_means[i] - grand_mean) * (target_means[i] - grand_mean);
    for (size_t j = 0; j < k; ++j) {
      const double error = ratings[i * k + j] - target_means[i] - rater_means[j] + grand_mean;
      residual += error * error;
    }
  }
  const double bms = between / static_cast<double>(n - 1);
  const double ems = residual / static_cast<double>((n - 1) * (k - 1));
  return (bms - ems) / (bms + static_cast<double>(k - 1) * ems);
}

Metrics evaluate_predictions(const std::vector<std::string>& names, std::span<const float> predictions,
                             std::span<const float> labels) {
  const size_t k_count = names.size();
  check(k_count > 0 && predictions.size() == labels.size() && labels.size() % k_count == 0,
        "metrics: {} predictions and {} labels for {} Action Units", predictions.size(), labels.size(), k_count);
  Metrics metrics;
  for (size_t k = 0; k < k_count; ++k) {
    std::vector<double> predicted, coded;
    for (size_t i = k; i < labels.size(); i += k_count) {
      if (labels[i] < 0) continue;
      check(!std::isnan(predictions[i]), "metrics: the prediction of {} for picture {} is not a number", names[k],
            i / k_count);
      predicted.push_back(std::clamp(static_cast<double>(predictions[i]), 0.0, kMaxIntensity));
      coded.push_back(labels[i]);
    }
    metrics.aus.push_back(evaluate_au(names[k], predicted, coded));
  }
  metrics.icc = mean_of(metrics.aus, &AuMetrics::icc);
  metrics.pearson = mean_of(metrics.aus, &AuMetrics::pearson);
  metrics.mse = mean_of(metrics.aus, &AuMetrics::mse);
  metrics.mae = mean_of(metrics.aus, &AuMetrics::mae);
  return metrics;
}

std::string to_table(const Metrics& metrics) {
  std::string out =
      fmt::format("{:<6}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "AU", "pictures", "ICC(3,1)", "Pearson", "MSE", "MAE");
  for (const AuMetrics& au : metrics.aus) {
    out += fmt::format("{:<6}{:>9}{}{}{}{}\n", au.au, au.count, cell(au.icc), cell(au.pearson), cell(au.mse),
                       cell(au.mae));
  }
  out += fmt::format("{:<6}{:>9}{}{}{}{}\n", "mean", "", cell(metrics.icc.value), cell(metrics.pearson.value),
                     cell(metrics.mse.value), cell(metrics.mae.value));
  const int all = static_cast<int>(metrics.aus.size());
  const auto note = [&](const char* name, const MeanMetric& figure) {
    if (figure.aus < all)
      out += fmt::format("{}: not defined for {} of {} AUs, which its mean leaves out\n", name, all - figure.aus, all);
  };
  note("ICC(3,1)", metrics.icc);
  note("Pearson", metrics.pearson);
  note("MSE, MAE", metrics.mse);
  return out;
}

nlohmann::json to_json(const Metrics& metrics) {
  nlohmann::json json;
  for (const AuMetrics& au : metrics.aus) {
    json["aus"][au.au] = {{"count", au.count},
                          {"icc", json_number(au.icc)},
                          {"pearson", json_number(au.pearson)},
                          {"mse", json_number(au.mse)},
                          {"mae", json_number(au.mae)}};
  }
  const auto means = {std::pair{"icc", metrics.icc}, std::pair{"pearson", metrics.pearson},
                      std::pair{"mse", metrics.mse}, std::pair{"mae", metrics.mae}};
  for (const auto& [name, figure] : means) {
    json["mean"][name] = json_number(figure.value);
    json["mean_over"][name] = figure.aus;
  }
  return json;
}

}  // namespace sandglass
