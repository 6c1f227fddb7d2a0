// The network with its backward pass and optimiser as one plan: a training step.
#pragma once

#include <memory>
#include <span>

#include "engine/device.h"
#include "engine/plan.h"
#include "kernels/heatmap/heatmap.h"
#include "kernels/loss/loss.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/warp/warp.h"
#include "model/weights.h"

namespace sandglass {

struct TrainingNetworkOptions {
  NetworkConfig network;
  int batch = 8;
  HeatmapSpec heatmap{};
  OptimizerKind optimizer = OptimizerKind::rmsprop;
  size_t max_pixel_bytes = 0;  ///< room for one batch's source pictures (WarpArguments::pixels)
  LossSpec loss{};
  std::vector<float> loss_weights{};  ///< [K][kIntensityLevels]; empty: all 1
  /// Factors of the learning rate, [parameter_groups(ParameterTable::parameter_elements())], see
  /// kernels/optimizer/optimizer.h; empty: all 1.
  std::vector<float> rate_factors{};
};

/// One batch of inputs on the host. With Head::regression the intensities are the targets and the points are not used.
struct TrainingBatch {
  std::span<const uint8_t> pixels;        ///< source pictures, at most max_pixel_bytes
  std::span<const WarpPicture> pictures;  ///< [N]
  std::span<const float> intensities;     ///< [N][K], below 0: not coded
  std::span<const float> points;          ///< [N][K][points_per_map][2], map pixels
};

/// What a step tells.
struct StepResult {
  float loss = 0;           ///< of the batch, before the update
  float gradient_norm = 0;  ///< before clipping
  bool finite = true;       ///< false: the gradient or the loss was not finite and nothing was updated
};

/// Everything that a checkpoint must hold to go on bit for bit.
struct TrainingState {
  Weights weights;
  std::vector<float> first_moment, second_moment;  ///< flat, as ParameterTable places parameters
};

class TrainingNetwork {
 public:
  /// Plans the step and allocates all memory that it will ever use.
  TrainingNetwork(Device& device, const TrainingNetworkOptions& options, const Weights& initial);
  ~TrainingNetwork();

  /// Warp, forward, loss, backward, gradient norm, update: prepare(), start() and finish() in one.
  StepResult step(const TrainingBatch& batch, const OptimizerRates& rates);

  /// The parts of a step, so that the next batch can travel to the device while it works on this one:
  ///   prepare(first); for each batch: start(rates); prepare(next); finish();
  /// prepare() sends a batch on its way; the host arrays may be changed when it returns. Throws Error if the batch does
  /// not fit the plan or another one is prepared and not yet started.
  void prepare(const TrainingBatch& batch);
  /// Queues the step on the prepared batch; on cuda and simt the host goes on at once. Throws Error if there is none.
  void start(const OptimizerRates& rates);
  /// Waits for the step that was started.
  StepResult finish();

  Weights weights() const;
  TrainingState state() const;
  void set_state(const TrainingState& state);

  /// For tests and tools: the step on a given input tensor (NCHW floats) and target maps (NKHW floats) instead of
  /// pictures and labels; forward and backward only. Returns the loss; gradients() and heatmaps() then hold its
  /// results.
  float run_on_tensors(std::span<const float> input, std::span<const float> target);
  /// Gradients of the last step, flat as ParameterTable places parameters.
  std::vector<float> gradients() const;
  /// Replaces the gradients that update() will use.
  void set_gradients(const std::vector<float>& gradients);
  /// Heatmaps of the last forward pass, NKHW.
  std::vector<float> heatmaps() const;
  /// Updates the parameters from the present gradients (the last part of step()).
  StepResult update(const OptimizerRates& rates);

  /// Name of the first step of the plan, in order of execution, that produced a value that is not finite from finite
  /// ones; empty if none did. Runs the last batch's forward pass again.
  std::string first_non_finite_layer();

  /// What each part of a step must do and how long it takes on the last batch, as Plan::time_steps says, from the warp
  /// to the optimiser. Parameters and running statistics hold nothing of use afterwards.
  std::vector<StepTime> time_steps(int runs) const;

  const Plan& plan() const;
  size_t device_bytes() const;  ///< arena, parameters, gradients and optimiser state

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sandglass
