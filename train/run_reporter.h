// What a training run shows of itself while it runs: TensorBoard's event file, and the page report.html.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "train/evaluation.h"
#include "train/event_file.h"
#include "train/run_folder.h"

namespace sandglass {

class RunReporter {
 public:
  /// Begins an event file and writes run.json. `first_step`: steps done so far. `settings`: TOML.
  RunReporter(const RunFolder& folder, int64_t first_step, const nlohmann::json& description,
              const std::string& settings);

  /// A record of metrics.jsonl, as scalars.
  void record(const nlohmann::json& record);
  /// Faces of the validation set, as one picture each.
  void faces(int64_t step, const std::vector<ExampleFace>& faces);
  /// The page, from what the folder holds.
  void write_page();
  /// Scores the network, which holds the best weights, on the validation set and keeps it as evaluation.json.
  /// `options`: what a report shows is added to them.
  Metrics evaluate(InferenceNetwork& best, const std::vector<std::string>& aus, const Manifest& validation,
                   ScoreOptions options, const std::string& device, std::ostream& log);

 private:
  const RunFolder& folder_;
  EventFile events_;
};

}  // namespace sandglass
