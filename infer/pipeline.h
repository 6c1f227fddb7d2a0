// Inference from pictures and videos to Action Units:
//
//   decode -> faces and 68 landmarks -> registration, staging   worker threads, several pieces of work at once
//   -> warp -> network -> peaks                                  the calling thread and the device, in batches
//   -> the sink                                                  the calling thread, in order
//
// A piece of work is a picture, or some consecutive frames of a video: in the first of them the whole picture is
// searched for faces, in the others the places where faces were (face/face_tracker.h). So a video's pieces are
// independent, and what is found in them depends neither on the number of threads nor on the batch. A bounded number of
// pieces is under way: memory grows neither with the number of inputs nor with the length of a video.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>

#include "engine/device.h"
#include "face/detector.h"
#include "face/given_landmarks.h"
#include "face/video_stream.h"
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
  VideoStreamOptions video;  ///< which frames of videos to read, and how; its `interrupted` is not looked at
  /// Every so many frames of a video the whole picture is searched for faces, at least 1; a face that appears in
  /// between is found with the next search at the latest. 1: each frame is treated like a photograph.
  int detect_every = 10;
  bool mirror = false;                              ///< as InferenceNetwork's
  bool keep_images = false, keep_heatmaps = false;  ///< for the sink
  /// Set by whoever wants the run to end early, in good order; may be null.
  const std::atomic<bool>* interrupted = nullptr;
};

class InferencePipeline {
 public:
  /// Loads the network and, if it is needed, the face detector. Throws Error if an option is out of range, or the
  /// device or the detector is not available.
  InferencePipeline(const Weights& weights, const InferenceOptions& options);
  ~InferencePipeline();

  /// Takes each picture's prediction in turn; may change it, for example to move from it.
  using Sink = std::function<void(PicturePrediction&)>;

  /// Reads all inputs and gives `sink` a prediction for each picture and each frame, in their order, from the calling
  /// thread. What is wrong with one is its prediction's error, and the rest goes on; a video that cannot be read to its
  /// end has a last prediction that says so (is_video_end). What `sink` throws ends the run. Returns false if it was
  /// interrupted; then the sink has had the predictions of the first pictures, in order, each complete.
  bool run(std::span<const Input> inputs, const Sink& sink);
  /// What the user should know of the videos of the last run, a line each.
  const std::vector<std::string>& remarks() const;

  const Device& device() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sandglass
