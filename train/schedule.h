// The learning rate as a function of the step.
#pragma once

#include <cstdint>

#include "train/config.h"

namespace sandglass {

/// Learning rate of step `step` (from 0) in a run of config.epochs epochs of `steps_per_epoch` steps.
///
/// Warm-up, the first W = round(config.warmup * steps_per_epoch) steps: lr * (step + 1) / W. Afterwards, with T steps
/// in all:
///   constant   lr
///   cosine     lr * (1 + cos(pi * (step - W) / (T - W))) / 2, from lr down to almost 0 in the last step
///   step       lr * step_factor^floor(step / (step_epochs * steps_per_epoch)), counted from the run's first step
double learning_rate(const TrainingConfig& config, int64_t steps_per_epoch, int64_t step);

}  // namespace sandglass
