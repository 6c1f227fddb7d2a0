// The settings of a training run: flat keys, the same in a TOML file, in `--set key=value` and in RUN_DIR/config.toml.
//
// config_keys() describes each key once. Reading, checking, writing, `sandglass train --help` and the table in
// docs/training.md all follow from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/heatmap/heatmap.h"
#include "kernels/loss/loss.h"
#include "kernels/optimizer/optimizer.h"
#include "model/network.h"

namespace sandglass {

/// Random changes of the training pictures; see train/augmentation.h for what each number does.
struct AugmentationConfig {
  double rotation = 15;           ///< degrees
  double scale = 0.15;            ///< fraction of the size
  double shift = 0.06;            ///< fraction of input_size
  double mirror = 0.5;            ///< probability
  double brightness = 0.15;       ///< fraction of the full range
  double contrast = 0.25;         ///< fraction
  double landmark_jitter = 0.02;  ///< fraction of the distance between the outer eye corners
};

/// Parts of the network, or tensors by the beginning of their names; see model/transfer.h.
struct PartNames {
  std::vector<std::string> names;
};
/// A number for each part.
using PartNumbers = std::map<std::string, double>;
/// Six numbers, for the intensities 0 to 5, for each Action Unit named; the key "all" stands for the others.
using LevelTable = std::map<std::string, std::vector<double>>;

/// Where the labelled faces of a run come from; see train/data/data_set.h.
struct DataConfig {
  std::string format = "none";            ///< none: the faces are named by flags
  std::string path, pictures;             ///< absolute; empty: none
  std::string landmarks;                  ///< absolute, "detect", or empty: those that come with the data
  std::string train = "all", validation;  ///< subjects
  std::string frames = "order", not_coded = "drop", problems = "skip";

  /// What cannot be used is an error; so it is in faces that flags name.
  bool is_strict() const { return format == "none" || problems == "stop"; }
};

/// One value per key, named as the key; those with a dot are in `data`, `augment` and `heatmap_*`. The defaults are the
/// program's. Those of `loss.`, `sampling.` and `transfer.` are in `loss_*`, `sampling_*` and `transfer_*`.
struct TrainingConfig {
  std::string head = "heatmap";
  int width = 256, depth = 4, input_size = 256;
  std::vector<std::string> aus = {"AU06", "AU10", "AU12", "AU14", "AU17"};

  int epochs = 20, batch = 8;
  double lr = 2.5e-4;
  std::string optimizer = "rmsprop";
  std::string schedule = "cosine";
  double warmup = 0;  ///< epochs
  int step_epochs = 10;
  double step_factor = 0.1;
  double weight_decay = 0, clip = 0;
  uint64_t seed = 1;

  DataConfig data;
  int workers = 2, cache_mb = 512;
  AugmentationConfig augment;

  std::string heatmap_sigma = "intensity";
  double heatmap_cut = 6;
  std::string loss_function = "l2";
  double loss_huber_delta = 1;
  std::string loss_balance = "none", sampling_balance = "none";
  LevelTable loss_weights, sampling_weights;
  std::string transfer_weights;  ///< absolute path; empty: none
  PartNames transfer_freeze;
  PartNumbers transfer_learning_rate;
  std::string au_points;  ///< absolute path of a table of points per AU; empty: the built-in one

  int checkpoint_every = 500, validate_every = 1;

  NetworkConfig network() const;
  OptimizerKind optimizer_kind() const;
  HeatmapSpec heatmap(int points_per_map) const;
  LossSpec loss() const;
  /// Checks what no key can tell alone: network sizes that fit together, AU names that exist and differ. Throws Error.
  void check() const;
};

/// What a key is: where its value lies, which values it takes, and how it is described.
struct ConfigKey {
  using Member = std::variant<int*, uint64_t*, double*, std::string*, std::vector<std::string>*, PartNames*,
                              PartNumbers*, LevelTable*>;

  std::string_view name;
  Member (*member)(TrainingConfig&);
  double low = 0, high = 0;  ///< numbers: the allowed range, both ends included
  std::vector<std::string_view>
      choices;               ///< texts: the allowed values ("fixed:<px>" takes a positive number); empty: any
  std::string_view help;     ///< with the unit
  bool fixed_in_run = true;  ///< a run cannot be resumed with another value
};

/// All keys in the order in which they are listed and written.
const std::vector<ConfigKey>& config_keys();

/// Reads TOML into `config`; keys that are not there keep their values. Tables are flattened: `[augment] rotation = 10`
/// is `augment.rotation = 10`. A relative path counts from the file's folder. Throws Error naming file, line and
/// key if the file is not TOML, a key is unknown (the error has the nearest), or a value has the wrong type or is out
/// of range.
void read_config(const std::filesystem::path& path, TrainingConfig& config);
/// The same from text; errors name `source`.
void parse_config(std::string_view toml, const std::string& source, TrainingConfig& config);

/// Applies `key=value` as given after --set. Texts need no quotes; lists are `A,B` or `["A", "B"]`, tables as in TOML,
/// `{A = 1}`. A relative path counts from the working directory. Throws Error as read_config does.
void apply_setting(std::string_view setting, TrainingConfig& config);

/// All keys as TOML that parse_config reads back to the same values, each with its description as a comment.
std::string to_toml(const TrainingConfig& config);

/// The keys, as TOML values in both, whose values differ and that must stay as they are when a run is resumed.
struct ConfigDifference {
  std::string key, before, after;
};
std::vector<ConfigDifference> fixed_differences(const TrainingConfig& before, const TrainingConfig& after);

/// All keys with type, default, range and description, for `sandglass train --help`.
std::string config_help();
/// The same as a Markdown table, for docs/training.md.
std::string config_markdown();

}  // namespace sandglass
