// Evaluation: what a network says about the pictures of a manifest, against what is coded there.
#pragma once

#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "model/inference_network.h"
#include "train/bootstrap.h"
#include "train/example_faces.h"
#include "train/loader.h"
#include "train/localisation.h"
#include "train/metrics.h"

namespace sandglass {

/// Runs all batches of an evaluation loader through the network; the peaks are in manifest order, without those of
/// loader.unreadable_rows(). Throws Error if nothing is left.
Peaks predict(Loader& loader, InferenceNetwork& network);

/// `manifest` without loader.unreadable_rows(), which are said on `log`.
Manifest without_unreadable(const Manifest& manifest, Loader& loader, std::ostream& log);

/// What is asked of an evaluation besides the figures themselves.
struct ScoreOptions {
  double threshold = kDefaultThreshold;  ///< from this intensity on an AU counts as present for F1
  BootstrapOptions bootstrap;            ///< also: the seed of misalignment
  /// The robustness experiment: pixels of a 256 x 256 registered face by which the registration's landmarks are moved
  /// (see draw_misalignment), each from 0 to kMostMisalignment.
  std::vector<double> misalignments;
  int misaligned_pictures = 0;             ///< most pictures of that experiment, evenly spread; 0: all
  int faces = 0;                           ///< that many best and as many worst faces are kept to look at
  AuTable au_points = default_au_table();  ///< where the AUs should peak; those that it lacks are not localised
  int workers = 2;                         ///< threads that load pictures
  bool skip_unreadable = false;            ///< as LoaderOptions'
};

/// The figures with landmarks that were moved.
struct MisalignedScores {
  double pixels = 0;
  Metrics metrics;
  Localisation localisation;
};

struct Evaluation {
  std::vector<std::string> aus;
  Metrics metrics;
  std::optional<Intervals> intervals;
  std::string intervals_over;  ///< "12 subjects"; or why there are none; empty if they were not asked for
  Localisation localisation;
  std::vector<MisalignedScores> misaligned;
  int misaligned_pictures = 0;
  std::vector<ExampleFace> best, worst;  ///< ExampleFace::row counts in `samples`

  struct Sample {
    std::string image, subject;  ///< as in the manifest
  };
  std::vector<Sample> samples;  ///< [N]
  Peaks peaks;                  ///< [N][K]
  std::vector<float> labels;    ///< [N][K], below 0: not coded

  int pictures = 0;
  int left_out = 0;    ///< pictures without a face, or that cannot be read
  double seconds = 0;  ///< that the network and the loading took for `pictures`
  std::string device;
};

/// Scores a network that holds the weights to be judged. `aus`: of its maps. All rows of `manifest` need landmarks and
/// it needs a column for each of `aus`. What cannot be read is left out, counted and said on `log`, or an Error. What
/// keeps intervals from being computed is said on `log` and in the result.
Evaluation score(InferenceNetwork& network, const std::vector<std::string>& aus, const Manifest& manifest,
                 const ScoreOptions& options, std::ostream& log);

struct EvaluationOptions {
  std::filesystem::path weights;   ///< any file that read_weights reads
  std::filesystem::path manifest;  ///< or a pack, or a TOML file with [data]
  DeviceChoice device;
  int batch = 8;
  bool mirror = false;  ///< as InferenceNetwork's
  ScoreOptions scores;
};

/// Evaluates weights on a manifest. Pictures without landmarks go through the face detector first. The manifest needs a
/// column for one of the network's AUs at least; the others count as not coded. Remarks go to `log`.
Evaluation evaluate(const EvaluationOptions& options, std::ostream& log);

}  // namespace sandglass
