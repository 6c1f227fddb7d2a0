// Checkpoints: everything that a run needs to go on bit for bit, in one safetensors file.
//
// Tensors: the network's weights and running statistics under their usual names (so that a checkpoint is a file of
// weights, too), "optimizer.first_moment" (AdamW) and "optimizer.second_moment". Metadata "sandglass.run": RunPosition
// as JSON; "sandglass.config": the run's settings as TOML; "sandglass.device".
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>

#include "model/training_network.h"
#include "train/config.h"

namespace sandglass {

/// Where a run stands.
struct RunPosition {
  int64_t step = 0;  ///< steps done; the loader's position, the schedule's and the optimiser's
  double best_score = -std::numeric_limits<double>::infinity();
  double epoch_loss = 0;                            ///< sum over the epoch's steps so far
  double record_loss = 0;                           ///< sum over the steps since the last record of metrics.jsonl
  uint64_t metrics_bytes = 0;                       ///< length of metrics.jsonl
  uint64_t training_data = 0, validation_data = 0;  ///< fingerprints
};

struct Checkpoint {
  TrainingState state;
  RunPosition position;
  TrainingConfig config;
  std::string device;  ///< Device::description(): another one may round differently
};

/// Writes a checkpoint; `path` keeps its old content until the new one is complete.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Reads what write_checkpoint wrote. Throws Error naming the file and what is wrong with it.
Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace sandglass
