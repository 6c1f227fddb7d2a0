#include "train/evaluation.h"

#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "engine/error.h"
#include "face/stage.h"
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

LoaderOptions loading(const InferenceNetwork& network, const std::vector<std::string>& aus,
                      const ScoreOptions& options) {
  LoaderOptions loading;
  loading.aus = aus;
  loading.table = options.au_points;
  loading.input_size = network.config().input_size;
  loading.batch = network.batch();
  loading.workers = options.workers;
  loading.seed = options.bootstrap.seed;
  loading.skip_unreadable = options.skip_unreadable;
  return loading;
}

void add_intervals(Evaluation& evaluation, const Manifest& manifest, const ScoreOptions& options, std::ostream& log) {
  if (options.bootstrap.replicates == 0) return;
  const SampleGroups groups = sample_groups(manifest);
  if (groups.count < 2) {
    evaluation.intervals_over = fmt::format("intervals need at least two {}, and there is {}",
                                            groups.by_subject ? "subjects" : "pictures", groups.text());
    fmt::print(log, "{}: {}\n", manifest.path.string(), evaluation.intervals_over);
    return;
  }
  if (!groups.remark.empty()) fmt::print(log, "{}\n", groups.remark);
  evaluation.intervals_over = groups.text();
  evaluation.intervals = bootstrap(evaluation.aus, evaluation.peaks.heights, evaluation.labels, options.threshold,
                                   groups, options.bootstrap);
}

// The figures at each misalignment; at none they are those of `whole`, if that is of the same pictures.
std::vector<MisalignedScores> score_misaligned(InferenceNetwork& network, const std::vector<std::string>& aus,
                                               const Manifest& manifest, const ScoreOptions& options,
                                               const Evaluation& whole) {
  const std::vector<float> labels = manifest.labels(aus);
  std::vector<MisalignedScores> scores;
  for (const double distance : options.misalignments) {
    check(distance >= 0 && distance <= kMostMisalignment,
          "landmarks moved by {} pixels: expected 0 to {}, beyond which a face may fold", distance, kMostMisalignment);
    if (distance == 0 && static_cast<int>(manifest.rows.size()) == whole.pictures) {
      scores.push_back({0, whole.metrics, whole.localisation});
      continue;
    }
    LoaderOptions moved = loading(network, aus, options);
    moved.misalignment = distance;
    moved.skip_unreadable = false;  // what could not be read is out by now
    Loader loader(manifest, moved);
    const Peaks peaks = predict(loader, network);
    scores.push_back({distance, evaluate_predictions(aus, peaks.heights, labels, options.threshold),
                      localise(aus, peaks, labels, network.config().map_size())});
  }
  return scores;
}

// Scores what the network says of the rows of `manifest`.
Evaluation score_peaks(InferenceNetwork& network, const std::vector<std::string>& aus, const Manifest& manifest,
                       Peaks peaks, const ScoreOptions& options, std::ostream& log) {
  Evaluation evaluation;
  evaluation.aus = aus;
  evaluation.labels = manifest.labels(aus);
  for (const ManifestRow& row : manifest.rows) evaluation.samples.push_back({row.image, row.subject});
  evaluation.pictures = static_cast<int>(manifest.rows.size());
  evaluation.peaks = std::move(peaks);
  const std::vector<float>& predictions = evaluation.peaks.heights;
  evaluation.metrics = evaluate_predictions(aus, predictions, evaluation.labels, options.threshold);
  evaluation.localisation = localise(aus, evaluation.peaks, evaluation.labels, network.config().map_size());
  add_intervals(evaluation, manifest, options, log);
  if (!options.misalignments.empty()) {
    const int most = options.misaligned_pictures > 0 ? options.misaligned_pictures : evaluation.pictures;
    const Manifest some = select_rows(manifest, spread_rows(manifest, most));
    evaluation.misaligned = score_misaligned(network, aus, some, options, evaluation);
    evaluation.misaligned_pictures = static_cast<int>(some.rows.size());
  }
  if (options.faces > 0) {
    const std::vector<float>& labels = evaluation.labels;
    evaluation.best = example_faces(
        manifest, best_rows(manifest, predictions, labels, options.threshold, options.faces), aus, network);
    evaluation.worst = example_faces(manifest, worst_rows(manifest, predictions, labels, options.faces), aus, network);
  }
  return evaluation;
}

}  // namespace

Peaks predict(Loader& loader, InferenceNetwork& network) {
  constexpr float kNoPlace = std::numeric_limits<float>::quiet_NaN();
  const int maps = network.config().heatmaps;
  const bool has_places = network.config().head == Head::heatmap;
  Peaks peaks;
  peaks.points_per_map = loader.points_per_map();
  const int64_t steps = loader.steps_per_epoch();
  loader.start(0, steps);
  for (int64_t step = 0; step < steps; ++step) {
    const Batch& batch = loader.next();
    if (batch.pictures.empty()) continue;
    network.run(batch.pixels, batch.pictures);
    for (int n = 0; n < static_cast<int>(batch.pictures.size()); ++n) {
      for (int k = 0; k < maps; ++k) {
        const HeatmapPeak& peak = network.peak(n, k);
        peaks.heights.push_back(peak.height);
        peaks.places.push_back(has_places ? Point{peak.x, peak.y} : Point{kNoPlace, kNoPlace});
      }
    }
    for (size_t i = 0; i < batch.points.size(); i += 2) peaks.points.push_back({batch.points[i], batch.points[i + 1]});
  }
  if (peaks.heights.empty()) fail("none of the pictures can be read: {}", loader.take_problems()[0].what());
  return peaks;
}

Manifest without_unreadable(const Manifest& manifest, Loader& loader, std::ostream& log) {
  DataLog problems;
  for (const DataProblem& problem : loader.take_problems()) problems.problem(problem);
  problems.print(log);
  const std::vector<int> unreadable = loader.unreadable_rows();
  std::vector<int> rest;
  for (int i = 0; i < static_cast<int>(manifest.rows.size()); ++i) {
    if (!std::binary_search(unreadable.begin(), unreadable.end(), i)) rest.push_back(i);
  }
  fmt::print(log, "{}: {} of {} pictures are left out\n", manifest.path.string(), unreadable.size(),
             manifest.rows.size());
  return select_rows(manifest, rest);
}

Evaluation score(InferenceNetwork& network, const std::vector<std::string>& aus, const Manifest& manifest,
                 const ScoreOptions& options, std::ostream& log) {
  Loader loader(manifest, loading(network, aus, options));
  const auto begin = std::chrono::steady_clock::now();
  Peaks peaks = predict(loader, network);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Evaluation evaluation;
  if (loader.unreadable_rows().empty()) {
    evaluation = score_peaks(network, aus, manifest, std::move(peaks), options, log);
  } else {
    const Manifest rest = without_unreadable(manifest, loader, log);
    evaluation = score_peaks(network, aus, rest, std::move(peaks), options, log);
    evaluation.left_out = static_cast<int>(manifest.rows.size() - rest.rows.size());
  }
  evaluation.seconds = seconds;
  return evaluation;
}

Evaluation evaluate(const EvaluationOptions& options, std::ostream& log) {
  check(options.scores.bootstrap.replicates != 1,
        "one bootstrap sample has no interval; 0: none, 2 or more: intervals");
  const Weights weights = read_weights(options.weights);
  auto [manifest, strict] = read_evaluation_faces(options.manifest, weights.aus, log);
  const size_t all_rows = manifest.rows.size();
  add_missing_columns(manifest, weights.aus, log);
  DataLog problems(strict);
  complete_landmarks(manifest, options.scores.workers, log, problems);
  problems.print(log);
  for (const std::string& au : weights.aus) {
    if (!options.scores.au_points.has(au))
      fmt::print(log, "{}: has no line for {}, whose peaks are not localised\n", options.scores.au_points.source, au);
  }

  const auto device = open_device(options.device);
  InferenceNetwork network(*device, weights, options.batch,
                           static_cast<size_t>(options.batch) * staged_bytes_bound(weights.config.input_size),
                           options.mirror);
  ScoreOptions scores = options.scores;
  scores.skip_unreadable = !strict;
  Evaluation evaluation = score(network, weights.aus, manifest, scores, log);
  check(std::ranges::all_of(evaluation.peaks.heights, [](float height) { return std::isfinite(height); }),
        "{}: the network's heatmaps are not finite; check the weights", options.weights.string());
  evaluation.left_out += static_cast<int>(all_rows - manifest.rows.size());
  evaluation.device = device->description();
  return evaluation;
}

}  // namespace sandglass
