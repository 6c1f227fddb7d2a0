#include "train/schedule.h"

#include <cmath>
#include <numbers>

namespace sandglass {

double learning_rate(const TrainingConfig& config, int64_t steps_per_epoch, int64_t step) {
  const int64_t warmup = std::llround(config.warmup * static_cast<double>(steps_per_epoch));
  if (step < warmup) return config.lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (config.schedule == "cosine") {
    const int64_t decaying = config.epochs * steps_per_epoch - warmup;
    const double done = static_cast<double>(step - warmup) / static_cast<double>(decaying);
    return config.lr * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  if (config.schedule == "step") {
    return config.lr * std::pow(config.step_factor, static_cast<double>(step / (config.step_epochs * steps_per_epoch)));
  }
  return config.lr;
}

}  // namespace sandglass
