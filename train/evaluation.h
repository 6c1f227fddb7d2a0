// Evaluation: what a network says about the pictures of a manifest, against what is coded there.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "model/inference_network.h"
#include "train/loader.h"
#include "train/metrics.h"

namespace sandglass {

/// Runs all batches of an evaluation loader through the network and returns the peak heights [rows][K], in manifest
/// order.
std::vector<float> predict(Loader& loader, InferenceNetwork& network);

struct EvaluationOptions {
  std::filesystem::path weights;   ///< any file that read_weights reads
  std::filesystem::path manifest;  ///< or a pack, or a TOML file with [data]
  DeviceChoice device;
  int batch = 8;
  int workers = 2;
};

struct Evaluation {
  Metrics metrics;
  std::vector<float> predictions, labels;  ///< [pictures][K]
  int pictures = 0;
  int left_out = 0;  ///< pictures without a face
  double seconds = 0;
  std::string device;
};

/// Evaluates weights on a manifest. Pictures without landmarks go through the face detector first. The manifest needs a
/// column for one of the network's AUs at least; the others count as not coded. Remarks go to `log`.
Evaluation evaluate(const EvaluationOptions& options, std::ostream& log);

/// to_json(metrics) with "weights", "data", "device", "pictures", "left_out" and "images_per_s".
nlohmann::json to_json(const Evaluation& evaluation, const EvaluationOptions& options);

}  // namespace sandglass
