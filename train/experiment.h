// Experiments: several settings against each other, each trained with several seeds, in one table.
//
//   config = "../small.toml"          settings of all runs, from the experiment's folder
//   settings = ["epochs=12"]          more of them, as after --set
//   seeds = [1, 2, 3]
//   misalign = [0, 2, 4, 8, 16]       pixels by which the landmarks are moved when a network is tested; may be left out
//   [data]                            manifests, from the experiment's folder
//   train = "train.csv"
//   validation = "validation.csv"
//   test = "test.csv"
//   [synthetic]                       or people of the built-in synthetic faces, made in OUT/faces
//   train = 40
//   validation = 10
//   test = 10
//   images_per_subject = 15
//   size = 128
//   [[variant]]
//   name = "fixed size"
//   settings = ["heatmap.sigma=fixed:2"]
#pragma once

#include <atomic>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/device.h"
#include "train/config.h"

namespace sandglass {

struct ExperimentVariant {
  std::string name;
  std::vector<std::string> settings;  ///< key=value
};

/// How many people of each set, and their pictures; no people: the data are manifests.
struct SyntheticPeople {
  int train = 0, validation = 0, test = 0;
  int images_per_subject = 15, size = 128;
};

struct Experiment {
  std::filesystem::path config;       ///< TOML; empty: none
  std::vector<std::string> settings;  ///< of all runs
  std::vector<int> seeds;
  std::vector<double> misalign;
  std::filesystem::path train, validation, test;  ///< manifests; empty with synthetic people
  SyntheticPeople synthetic;
  std::vector<ExperimentVariant> variants;
};

/// Throws Error naming file and line if it is no such file, or if a setting makes no sense.
Experiment read_experiment(const std::filesystem::path& path);

struct ExperimentOptions {
  std::filesystem::path file, out;
  DeviceChoice device;
  bool live = false;                                          ///< as TrainingOptions::live
  std::vector<std::pair<std::string, std::string>> versions;  ///< as TrainingOptions::versions
  const std::atomic<bool>* interrupted = nullptr;             ///< set by a signal between two trainings; may be null
};

/// Trains every variant with every seed in out/VARIANT/seed_N, tests its best weights, and after each run writes what
/// is there so far to out/results.json, results.csv and results.txt, which is what it returns. A run that is tested is
/// not repeated, one that was interrupted goes on. Throws Error if `out` holds a run with other settings. SIGINT and
/// SIGTERM end the experiment after the present step of a training (`finished` false), and `interrupted` before the
/// next one, or with an Error while synthetic faces are made.
struct ExperimentResult {
  bool finished = false;
  std::string table;
};
ExperimentResult run_experiment(const ExperimentOptions& options, std::ostream& log);

/// From the tests of all runs, [variant][run], each as out/VARIANT/seed_N/test.json holds it, to the results: per
/// variant mean and standard deviation over the seeds of the mean ICC, MSE and MAE, of each AU's, and of those with
/// moved landmarks.
nlohmann::json gather(const std::vector<ExperimentVariant>& variants,
                      const std::vector<std::vector<nlohmann::json>>& tests);
/// The results for people, and as a row per variant, misalignment and AU.
std::string results_text(const nlohmann::json& results);
std::string results_csv(const nlohmann::json& results);

}  // namespace sandglass
