// Training: from labelled faces to a folder with weights, checkpoints, metrics and a report.
#pragma once

#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "engine/device.h"
#include "train/config.h"
#include "train/metrics.h"

namespace sandglass {

struct TrainingOptions {
  std::filesystem::path train;                      ///< manifest or pack; empty: the settings' [data] name the faces
  std::optional<std::filesystem::path> validation;  ///< manifest or pack
  std::filesystem::path run_dir;
  std::optional<std::filesystem::path> config;  ///< TOML
  std::vector<std::string> settings;            ///< key=value, applied after the file
  DeviceChoice device;
  bool resume = false;
  bool live = false;  ///< the log is a terminal: rewrite the progress line in place
  std::vector<std::pair<std::string, std::string>> versions;  ///< of what trains, name and version, for the report
};

struct TrainingResult {
  int64_t steps = 0;                  ///< done in the run's whole life
  bool finished = false;              ///< false: stopped by SIGINT or SIGTERM; checkpoint and last weights are saved
  std::optional<Metrics> validation;  ///< the last epoch's of this session
  std::optional<Metrics> best;        ///< of the best weights, as in evaluation.json, where this session wrote it
  bool interrupted = false;           ///< a stop was asked for, be it that the run was done by then
};

/// Trains a network as the configuration says and leaves in run_dir:
///   config.toml             all settings
///   metrics.jsonl           a record every ten steps, at each epoch's end and for each validation
///   last.safetensors        weights at the last checkpoint
///   best.safetensors        weights of the epoch with the best mean ICC(3,1) on the validation set (the smallest MSE
///                           where no ICC is defined; the smallest training loss where there is no validation set)
///   checkpoint.safetensors  all that `resume` needs
///   report.html             curves so far; at the end also what evaluation.json holds
///   evaluation.json         the best weights' scores on the validation set, written when the run is complete
///   run.json                what trained: device, data, versions
///   events.out.tfevents.*   the curves and some faces for TensorBoard, a file a session
///   train.csv               the training set with landmarks, where it came without
///
/// A folder that holds a run is an Error without `resume` (one in which a start left only settings and records is not),
/// and one that holds none is an Error with it. With it, the settings are those of the checkpoint, then the
/// file's and `settings` on top; a different value of a key that shapes the result is an Error naming the key, and so
/// are different data. Resuming gives the same weights, bit for bit, as a run that was never stopped.
///
/// SIGINT and SIGTERM end the run after the present step, with a checkpoint; a second one ends the process. A step
/// whose loss or gradient is not finite is an Error naming the layer; the last checkpoint stays. Progress and remarks
/// go to `log`.
TrainingResult train(const TrainingOptions& options, std::ostream& log);

}  // namespace sandglass
