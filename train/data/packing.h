// Packing: from a data set to a pack (train/data/pack.h).
#pragma once

#include <atomic>
#include <filesystem>
#include <ostream>

#include "train/config.h"
#include "train/data/data_log.h"

namespace sandglass {

struct PackingOptions {
  std::filesystem::path out;
  int quality = 0;  ///< of JPEG, 1 to 100; 0: pixels as they are
  /// Set by whoever wants it to end early, which it does with an Error; may be null.
  const std::atomic<bool>* interrupted = nullptr;
};

struct PackingResult {
  int64_t faces = 0, subjects = 0;
  uint64_t bytes = 0;
};

/// Writes the faces of all training and validation subjects of config.data: config.aus, config.input_size pixels, the
/// margin that config.augment needs, by config.workers threads. Faces whose landmarks are missing are searched for.
/// What cannot be used goes to `log`; remarks go to `out`. Throws Error if no face is left or the file cannot be
/// written.
PackingResult pack_data(const TrainingConfig& config, const PackingOptions& options, DataLog& log, std::ostream& out);

}  // namespace sandglass
