// Inference from picture files to Action Units:
//
//   decode -> faces and 68 landmarks -> registration, staging   worker threads, several pictures at once
//   -> warp -> network -> peaks                                  the calling thread and the device, in batches
//
// A bounded number of pictures is under way, so that memory does not grow with the number of inputs. A face's
// prediction does not depend on the pictures that share its batch.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>

#include "engine/device.h"
#include "face/detector.h"
#include "face/given_landmarks.h"
#include "infer/inputs.h"
#include "infer/prediction.h"
#include "model/weights.h"

namespace sandglass {

struct InferenceOptions {
  DeviceChoice device;
  int batch = 1;      ///< faces that go through the network together, at least 1
  int workers = 0;    ///< threads that decode and find faces; 0: one per core but at most 8
  int max_faces = 0;  ///< of one picture, the largest; 0: all
  /// The pictures are registered faces already: squares, seen as a whole. No detection.
  bool registered = false;
  /// Where to take the landmarks from instead of detection; must outlive the pipeline.
  const GivenLandmarks* landmarks = nullptr;
  FaceDetectorOptions detector;
  bool keep_images = false, keep_heatmaps = false;  ///< for the sink
  /// Set by whoever wants the run to end early, which it does with an Error; may be null.
  const std::atomic<bool>* interrupted = nullptr;
};

class InferencePipeline {
 public:
  /// Loads the network and, if it is needed, the face detector. Throws Error if an option is out of range, the device
  /// or the detector is not available, or a weight is not finite.
  InferencePipeline(const Weights& weights, const InferenceOptions& options);
  ~InferencePipeline();

  /// Takes each input's prediction in turn; may change it, for example to move from it.
  using Sink = std::function<void(PicturePrediction&)>;

  /// Reads all inputs and gives `sink` one prediction for each, in their order, from the calling thread. What is wrong
  /// with one input is its prediction's error and the rest goes on. What `sink` throws ends the run.
  void run(std::span<const Input> inputs, const Sink& sink);

  const Device& device() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sandglass
