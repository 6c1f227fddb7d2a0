// Staged faces through the network, in batches: the end of every way that a face takes to its Action Units.
#pragma once

#include <memory>
#include <vector>

#include "engine/device.h"
#include "face/stage.h"
#include "infer/prediction.h"
#include "model/inference_network.h"

namespace sandglass {

class FaceNetwork {
 public:
  /// Opens the device and loads the network. `mirror`: as InferenceNetwork's. Throws Error if the batch is not 1 to
  /// 1024 or the device is not available.
  FaceNetwork(const Weights& weights, const DeviceChoice& device, int batch, bool keep_heatmaps, bool mirror = false);

  /// Puts a face into the batch, which must not be full. `pixels` are those that it was staged to. `face` gets its AUs
  /// with the next run() and must stay where it is until then.
  void add(FacePrediction& face, const StagedFace& staged, const std::vector<uint8_t>& pixels);
  bool is_full() const { return faces_.size() == static_cast<size_t>(network_.batch()); }

  /// Sends the batch's faces through the network: gives each its AUs and, if they are kept, its heatmaps, and leaves
  /// the batch empty. Check is_finite for each.
  void run();
  /// Forgets the faces of the batch.
  void clear();

  const Device& device() const { return *device_; }
  int size() const { return network_.config().input_size; }  ///< pixels a side of a registered face

 private:
  const std::unique_ptr<Device> device_;
  const bool keep_heatmaps_;
  InferenceNetwork network_;
  std::vector<FacePrediction*> faces_;  // the batch: faces, and where each lies in the pixels
  std::vector<WarpPicture> pictures_;
  std::vector<uint8_t> pixels_;
};

/// Whether all that the network said of a face are numbers. If not, its heatmaps have overflown, and kNotFinite says
/// so.
bool is_finite(const FacePrediction& face);
inline constexpr const char* kNotFinite = "the network's heatmaps are not finite; check the weights";

}  // namespace sandglass
