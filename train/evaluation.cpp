#include "train/evaluation.h"

#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "engine/error.h"
#include "engine/tensor_file.h"
#include "train/data/data_set.h"
#include "train/landmarks.h"

namespace sandglass {
namespace {

// Gives the manifest a column without codes for each AU that it does not have.
void add_missing_columns(Manifest& manifest, const std::vector<std::string>& aus, std::ostream& log) {
  std::vector<std::string> missing;
  for (const std::string& au : aus) {
    if (std::find(manifest.aus.begin(), manifest.aus.end(), au) == manifest.aus.end()) missing.push_back(au);
  }
  check(missing.size() < aus.size(), "{}: has none of the network's Action Units ({}); its AU columns are: {}",
        manifest.path.string(), fmt::join(aus, ", "), fmt::join(manifest.aus, ", "));
  if (missing.empty()) return;
  fmt::print(log, "{}: has no column for {}, which {} not evaluated\n", manifest.path.string(),
             fmt::join(missing, ", "), missing.size() == 1 ? "is" : "are");
  manifest.aus.insert(manifest.aus.end(), missing.begin(), missing.end());
  for (ManifestRow& row : manifest.rows) row.intensities.resize(manifest.aus.size(), kNotCoded);
}

}  // namespace

std::vector<float> predict(Loader& loader, InferenceNetwork& network) {
  const int maps = network.config().heatmaps;
  std::vector<float> predictions;
  predictions.reserve(static_cast<size_t>(loader.row_count() * maps));
  const int64_t steps = loader.steps_per_epoch();
  loader.start(0, steps);
  for (int64_t step = 0; step < steps; ++step) {
    const Batch& batch = loader.next();
    network.run(batch.pixels, batch.pictures);
    for (int n = 0; n < static_cast<int>(batch.pictures.size()); ++n) {
      for (int k = 0; k < maps; ++k) predictions.push_back(network.peak(n, k).height);
    }
  }
  return predictions;
}

Evaluation evaluate(const EvaluationOptions& options, std::ostream& log) {
  const Weights weights = read_weights(options.weights);
  Manifest manifest = read_evaluation_faces(options.manifest, weights.aus, log);
  const size_t all_rows = manifest.rows.size();
  add_missing_columns(manifest, weights.aus, log);
  complete_landmarks(manifest, options.workers, log);

  const auto device = open_device(options.device);
  LoaderOptions loading;
  loading.aus = weights.aus;
  loading.input_size = weights.config.input_size;
  loading.batch = options.batch;
  loading.workers = options.workers;
  Loader loader(manifest, loading);
  InferenceNetwork network(*device, weights, options.batch, loader.max_pixel_bytes());

  Evaluation evaluation;
  const auto begin = std::chrono::steady_clock::now();
  evaluation.predictions = predict(loader, network);
  evaluation.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::vector<int> columns = manifest.columns_of(weights.aus);
  for (const ManifestRow& row : manifest.rows) {
    for (const int column : columns) evaluation.labels.push_back(row.intensities[static_cast<size_t>(column)]);
  }
  evaluation.metrics = evaluate_predictions(weights.aus, evaluation.predictions, evaluation.labels);
  evaluation.pictures = static_cast<int>(manifest.rows.size());
  evaluation.left_out = static_cast<int>(all_rows - manifest.rows.size());
  evaluation.device = device->description();
  return evaluation;
}

nlohmann::json to_json(const Evaluation& evaluation, const EvaluationOptions& options) {
  nlohmann::json json = to_json(evaluation.metrics);
  // File names may be any bytes, JSON is UTF-8.
  const auto utf8 = [](const std::string& text) { return is_utf8(text) ? text : in_quotes(text); };
  json["weights"] = utf8(options.weights.string());
  json["data"] = utf8(options.manifest.string());
  json["device"] = evaluation.device;
  json["pictures"] = evaluation.pictures;
  json["left_out"] = evaluation.left_out;
  json["images_per_s"] = evaluation.pictures / evaluation.seconds;
  return json;
}

}  // namespace sandglass
