// The network for inference as one plan: batch norm folded into the convolutions, peaks at the end.
#pragma once

#include <memory>
#include <span>

#include "engine/device.h"
#include "engine/plan.h"
#include "kernels/warp/warp.h"
#include "model/weights.h"

namespace sandglass {

/// Height and place of one heatmap's maximum. With Head::regression the height is the intensity that the network
/// states, and the place means nothing.
struct HeatmapPeak {
  float height = 0;    ///< as the network says it, not clamped
  float x = 0, y = 0;  ///< map pixels, sub-pixel
};

class InferenceNetwork {
 public:
  /// Plans the forward pass for `batch` pictures and allocates all memory that it will ever use.
  /// `max_pixel_bytes`: room for one batch's source pictures; 0: only run_on_tensors will be used.
  /// `mirror`: each picture goes through the network as it is and mirrored. Heights and heatmaps are the means of both,
  /// places those of the picture as it is.
  InferenceNetwork(Device& device, const Weights& weights, int batch, size_t max_pixel_bytes, bool mirror = false);
  ~InferenceNetwork();

  /// Takes other weights of the same configuration.
  void set_weights(const Weights& weights);

  /// Warps and runs up to `batch` pictures. peaks(n, k) and heatmaps() then hold the results of the first
  /// pictures.size().
  void run(std::span<const uint8_t> pixels, std::span<const WarpPicture> pictures);
  /// The same on an input tensor of a whole batch, NCHW floats. Not with `mirror`.
  void run_on_tensors(std::span<const float> input);

  /// Its height is not finite where the heatmap is not.
  const HeatmapPeak& peak(int picture, int map) const;
  /// Heatmaps of the last run, [batch][K][map_size][map_size].
  std::vector<float> heatmaps() const;

  /// What each step of the last batch's run must do and how long it takes, as Plan::time_steps says; first the warp.
  std::vector<StepTime> time_steps(int runs) const;

  int batch() const;
  const NetworkConfig& config() const;
  const Plan& plan() const;
  size_t device_bytes() const;  ///< arena and packed weights

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sandglass
