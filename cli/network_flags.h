// The flags of commands that look at a whole network without data: `bench` and `info --plan`.
#pragma once

#include <string>

#include "cli/commands.h"
#include "face/stage.h"
#include "model/training_network.h"

namespace sandglass {

struct NetworkFlags {
  std::string mode = "infer";  ///< or "train"
  DeviceChoice device;
  int batch = 0;  ///< 0: 1 for inference, the configuration's for training
  ConfigFlags config;

  bool training() const { return mode == "train"; }
  int batch_size(const TrainingConfig& config) const { return batch > 0 ? batch : training() ? config.batch : 1; }
};

/// Adds --batch, --device, --config and --set.
void add_network(CLI::App& app, NetworkFlags& flags);

/// Room for `batch` staged faces of any size.
inline size_t pixel_bytes(const TrainingConfig& config, int batch) {
  return static_cast<size_t>(batch) * staged_bytes_bound(config.input_size);
}

/// The options of the training step that `sandglass train` would plan with this configuration and `batch`.
TrainingNetworkOptions training_options(const TrainingConfig& config, int batch);

}  // namespace sandglass
