// What a run's folder says about the run, as a report needs it.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace sandglass {

/// A record of metrics.jsonl about training steps, and one about a validation; docs/training.md describes them.
struct StepRecord {
  double step = 0, loss = 0, learning_rate = 0, images_per_s = 0;
};
struct ValidationRecord {
  double epoch = 0;
  /// By the keys of kFigures; a figure that is not defined is not there.
  std::map<std::string, double> mean;
  std::map<std::string, std::map<std::string, double>> aus;  ///< of each AU
};

struct RunData {
  std::filesystem::path folder;
  std::string name;  ///< the folder's last part
  std::vector<StepRecord> steps;
  std::vector<ValidationRecord> validations;
  std::vector<std::string> aus;                               ///< all that occur, sorted
  std::vector<std::pair<std::string, std::string>> settings;  ///< config.toml: key, value
  nlohmann::json description;                                 ///< run.json; null if there is none
  nlohmann::json evaluation;                                  ///< evaluation.json; null if there is none
};

/// Reads a run's folder. A last line of metrics.jsonl without its end is left out (a run may be writing it). Throws
/// Error if the folder holds no run, or naming file and line if one of its files is not what a run writes.
RunData read_run(const std::filesystem::path& folder);

/// Reads several. Runs whose folders are called alike take the whole path as their name.
std::vector<RunData> read_runs(std::span<const std::filesystem::path> folders);

/// Key and value of each line of a config.toml that has them.
std::vector<std::pair<std::string, std::string>> settings_of(const std::string& toml);

}  // namespace sandglass
