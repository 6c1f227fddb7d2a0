// One picture in memory in, its faces with their Action Units out: what programs that link Sandglass call (api/).
#pragma once

#include <span>
#include <vector>

#include "face/detector.h"
#include "infer/face_network.h"

namespace sandglass {

struct FaceReaderOptions {
  DeviceChoice device;
  int threads = 0;    ///< that a call computes with on the cpu device; 0: as OpenMP is set in the constructor's thread
  int batch = 1;      ///< faces that go through the network together, at least 1
  int max_faces = 0;  ///< of one picture, the largest or first; 0: all
  bool keep_heatmaps = false;
  bool mirror = false;  ///< as InferenceNetwork's
};

/// Gives for a picture, bit for bit, what InferencePipeline gives for it with the same batch. Not for several threads
/// at once, but several readers may share their detector and each have a thread. Every call throws Error if the
/// network's heatmaps are not finite numbers or the device fails; the reader then is as good as before.
class FaceReader {
 public:
  /// Loads the network. `detector` may be null where read(image) is not used, and must outlive the reader; its own
  /// option `threads` should be 0. Throws Error if an option is out of range or the device is not available.
  FaceReader(const Weights& weights, const FaceDetector* detector, const FaceReaderOptions& options);

  /// The faces that the detector finds, largest first. Throws Error without a detector.
  std::vector<FacePrediction> read(const Image& image);
  /// The faces of these landmarks (picture pixels), in their order. Throws Error as registration() does.
  std::vector<FacePrediction> read(const Image& image, std::span<const Landmarks> landmarks);
  /// The picture as a registered face seen as a whole. Throws Error if it is not a square.
  FacePrediction read_registered(const Image& image);

  /// Device::description, with the threads that this reader computes with.
  const std::string& device_description() const { return device_description_; }

 private:
  void add_aus(const Image& image, std::vector<FacePrediction>& faces);

  const FaceDetector* const detector_;
  const FaceReaderOptions options_;
  const int threads_;
  std::unique_ptr<FaceNetwork> network_;
  std::string device_description_;
};

}  // namespace sandglass
