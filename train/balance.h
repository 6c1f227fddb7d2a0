// Weights against imbalance: most faces show most Action Units at intensity 0, and few at 5.
//
// All weights are by Action Unit and intensity. What is coded with another than a whole intensity counts as the
// nearest.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "kernels/loss/loss.h"
#include "train/config.h"
#include "train/manifest.h"

namespace sandglass {

/// A number for each of the intensities 0 to 5 of each AU, in the order of the network's.
using LevelCounts = std::vector<std::array<int64_t, kIntensityLevels>>;
using LevelWeights = std::vector<std::array<double, kIntensityLevels>>;

/// How many rows are coded with each intensity; what is not coded is not counted. `columns`: Manifest::columns_of.
LevelCounts count_levels(const Manifest& manifest, const std::vector<int>& columns);

/// 1 / count^power, such that each AU's weights have a mean of 1 over its coded rows; 1 for intensities that do not
/// occur.
LevelWeights balanced_weights(const LevelCounts& counts, double power);

/// The loss's weights as the configuration says, [K][kIntensityLevels]; empty if all are 1.
std::vector<float> loss_weights(const TrainingConfig& config, const LevelCounts& counts);

/// How often each row is to be drawn, in proportion: the mean over its coded AUs of their intensities' weights, 0 for a
/// row in which nothing is coded. Empty: each row as often as any other. Throws Error if no row has a weight above 0.
std::vector<double> row_weights(const TrainingConfig& config, const Manifest& manifest);

/// Lines for people: "AU06   0: 0.25  1: 1.10 ...".
std::string to_text(const std::vector<std::string>& aus, const LevelCounts& counts, const std::vector<float>& weights);

}  // namespace sandglass
