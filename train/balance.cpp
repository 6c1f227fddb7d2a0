#include "train/balance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace sandglass {
namespace {

// The explicit weights in place of others; "all" stands for the AUs that are not named.
void replace(LevelWeights& weights, const std::vector<std::string>& aus, const LevelTable& table) {
  for (size_t k = 0; k < aus.size(); ++k) {
    const auto own = table.find(aus[k]), found = own != table.end() ? own : table.find("all");
    if (found != table.end()) std::copy(found->second.begin(), found->second.end(), weights[k].begin());
  }
}

LevelWeights ones(size_t aus) {
  LevelWeights weights(aus);
  for (auto& levels : weights) levels.fill(1);
  return weights;
}

}  // namespace

LevelCounts count_levels(const Manifest& manifest, const std::vector<int>& columns) {
  LevelCounts counts(columns.size());
  for (const ManifestRow& row : manifest.rows)
    for (size_t k = 0; k < columns.size(); ++k) {
      const float intensity = row.intensities[static_cast<size_t>(columns[k])];
      if (intensity >= 0) ++counts[k][static_cast<size_t>(intensity_level(intensity))];
    }
  return counts;
}

LevelWeights balanced_weights(const LevelCounts& counts, double power) {
  LevelWeights weights = ones(counts.size());
  for (size_t k = 0; k < counts.size(); ++k) {
    double rows = 0, sum = 0;
    for (const int64_t count : counts[k]) {
      rows += static_cast<double>(count);
      if (count > 0) sum += std::pow(static_cast<double>(count), 1 - power);
    }
    for (size_t level = 0; level < kIntensityLevels; ++level)
      if (counts[k][level] > 0)
        weights[k][level] = rows / sum * std::pow(static_cast<double>(counts[k][level]), -power);
  }
  return weights;
}

std::vector<float> loss_weights(const TrainingConfig& config, const LevelCounts& counts) {
  if (config.loss_balance == "none" && config.loss_weights.empty()) return {};
  LevelWeights weights = config.loss_balance == "inverse" ? balanced_weights(counts, 1)
                         : config.loss_balance == "sqrt"  ? balanced_weights(counts, 0.5)
                                                          : ones(counts.size());
  replace(weights, config.aus, config.loss_weights);
  std::vector<float> flat;
  for (const auto& levels : weights) flat.insert(flat.end(), levels.begin(), levels.end());
  return flat;
}

std::vector<double> row_weights(const TrainingConfig& config, const Manifest& manifest) {
  if (config.sampling_balance == "none" && config.sampling_weights.empty()) return {};
  const std::vector<int> columns = manifest.columns_of(config.aus);
  LevelWeights weights = config.sampling_balance == "intensity" ? balanced_weights(count_levels(manifest, columns), 1)
                                                                : ones(columns.size());
  replace(weights, config.aus, config.sampling_weights);
  std::vector<double> result;
  for (const ManifestRow& row : manifest.rows) {
    double sum = 0;
    int coded = 0;
    for (size_t k = 0; k < columns.size(); ++k) {
      const float intensity = row.intensities[static_cast<size_t>(columns[k])];
      if (intensity < 0) continue;
      sum += weights[k][static_cast<size_t>(intensity_level(intensity))];
      ++coded;
    }
    result.push_back(coded > 0 ? sum / coded : 0);
  }
  check(std::any_of(result.begin(), result.end(), [](double weight) { return weight > 0; }),
        "{}: sampling.weights leave no picture to draw: all that are coded have a weight of 0", manifest.path.string());
  return result;
}

std::string to_text(const std::vector<std::string>& aus, const LevelCounts& counts, const std::vector<float>& weights) {
  std::string text;
  for (size_t k = 0; k < aus.size(); ++k) {
    text += fmt::format("{}  {}", text.empty() ? "" : "\n", aus[k]);
    for (size_t level = 0; level < kIntensityLevels; ++level)
      text += fmt::format("  {}: {:.3f} ({})", level, weights[k * kIntensityLevels + level], counts[k][level]);
  }
  return text;
}

}  // namespace sandglass
