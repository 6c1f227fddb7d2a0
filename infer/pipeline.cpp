#include "infer/pipeline.h"

#include <omp.h>

#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

#include "engine/error.h"
#include "face/face_tracker.h"
#include "face/stage.h"
#include "infer/face_ids.h"
#include "infer/face_network.h"
#include "infer/find_faces.h"
#include "infer/input_reader.h"

namespace sandglass {
namespace {

// A picture on its way from a worker to the network.
struct Prepared {
  PicturePrediction prediction;
  std::vector<uint8_t> pixels;    // of all its faces
  std::vector<StagedFace> faces;  // as prediction.faces
};

size_t bytes_of(const Work& work) {
  size_t bytes = 0;
  for (const VideoFrame& frame : work.frames) bytes += frame.image.rgb.size();
  return bytes;
}
size_t bytes_of(const std::vector<Prepared>& pictures) {
  size_t bytes = 0;
  for (const Prepared& picture : pictures) bytes += picture.prediction.image.rgb.size() + picture.pixels.size();
  return bytes;
}

// Workers that turn inputs into Prepared pictures ahead of the thread that takes them, in order. One worker at a time
// reads a piece of work, then prepares it beside the others. At most `ahead` pieces exist at a time, and no video is
// read further while more than InputReader::kMostBytes of its frames are in memory.
class Preparation {
 public:
  using Prepare = std::function<std::vector<Prepared>(Work&&)>;

  /// `interrupted` is asked while there is nothing to take; `ending` is set, also for the reader, when all is to end.
  Preparation(InputReader& reader, Prepare prepare, int workers, size_t ahead, std::function<bool()> interrupted,
              std::atomic<bool>& ending)
      : reader_(reader),
        prepare_(std::move(prepare)),
        interrupted_(std::move(interrupted)),
        ending_(ending),
        slots_(ahead) {
    try {
      for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {  // no more threads to be had
      stop();
      throw;
    }
  }
  ~Preparation() { stop(); }

  /// The next piece's pictures, once they are prepared; nothing after the last.
  std::optional<std::vector<Prepared>> take() {
    std::unique_lock lock(mutex_);
    const auto ready = [&] { return slot(taken_).has_value() || taken_ == end_; };
    while (!changed_.wait_for(lock, std::chrono::milliseconds(100), ready)) ending_ = ending_ || interrupted_();
    if (taken_ == end_) return {};
    std::vector<Prepared> prepared = std::move(*slot(taken_));
    slot(taken_++).reset();
    bytes_ -= bytes_of(prepared);
    changed_.notify_all();
    return prepared;
  }

 private:
  std::optional<std::vector<Prepared>>& slot(size_t number) { return slots_[number % slots_.size()]; }

  // The next piece of work and its number; nothing if there is none left or all is to end.
  std::optional<std::pair<size_t, Work>> read() {
    const std::lock_guard turn(reading_);
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return stopping_ || end_ != kUnknown || (begun_ < taken_ + slots_.size() && bytes_ <= InputReader::kMostBytes);
      });
      if (stopping_ || end_ != kUnknown) return {};
    }
    std::optional<Work> work = reader_.next();
    const std::lock_guard lock(mutex_);
    if (!work) {
      end_ = begun_;
      changed_.notify_all();
      return {};
    }
    bytes_ += bytes_of(*work);
    return std::pair(begun_++, std::move(*work));
  }

  void work() {
    while (auto next = read()) {
      auto& [number, work] = *next;
      const size_t bytes = bytes_of(work);
      std::vector<Prepared> prepared = prepare_(std::move(work));
      const std::lock_guard lock(mutex_);
      bytes_ = bytes_ - bytes + bytes_of(prepared);
      slot(number) = std::move(prepared);
      changed_.notify_all();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  static constexpr size_t kUnknown = ~size_t{0};
  InputReader& reader_;
  const Prepare prepare_;
  const std::function<bool()> interrupted_;
  std::atomic<bool>& ending_;
  std::mutex reading_, mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<std::vector<Prepared>>> slots_;
  std::vector<std::thread> threads_;
  size_t begun_ = 0, taken_ = 0, end_ = kUnknown, bytes_ = 0;
  bool stopping_ = false;
};

std::future<std::unique_ptr<const FaceDetector>> load_detector(const InferenceOptions& options) {
  if (options.registered || options.landmarks) return {};
  FaceDetectorOptions detection = options.detector;
  detection.threads = 1;  // the threads are for different pictures
  return std::async(std::launch::async, [detection] { return std::make_unique<const FaceDetector>(detection); });
}

}  // namespace

struct InferencePipeline::Implementation {
  // Detector and network load beside each other.
  Implementation(const Weights& weights, const InferenceOptions& options)
      : options(options),
        loading(load_detector(options)),
        network(weights, options.device, options.batch, options.keep_heatmaps, options.mirror),
        detector(loading.valid() ? loading.get() : nullptr) {}

  std::vector<Prepared> prepare(const Input& input, Work work) const;
  template <typename Read>
  void prepare(Prepared& prepared, FaceTracker* tracker, Read read) const;
  std::vector<FacePrediction> find_faces(const Image& image, const std::filesystem::path& path,
                                         FaceTracker* tracker) const;
  bool interrupted() const { return options.interrupted && *options.interrupted; }
  void number_faces(PicturePrediction& prediction);
  void run_batch();
  void give(const Sink& sink);

  const InferenceOptions options;
  std::future<std::unique_ptr<const FaceDetector>> loading;
  FaceNetwork network;
  const std::unique_ptr<const FaceDetector> detector;

  // Pictures whose predictions are not complete, or wait for such a one before them; and the faces of theirs that the
  // next batch is made of.
  struct Waiting {
    PicturePrediction prediction;
    size_t missing = 0;  // faces that have not been through the network
  };
  struct BatchFace {
    Waiting* picture;
    FacePrediction* face;
  };
  std::deque<Waiting> waiting;
  std::vector<BatchFace> batch_faces;

  std::optional<FaceIds> ids;  // of the video that is read
  size_t ids_input = 0;        // which that is
  std::vector<std::string> remarks;
};

// The faces of a picture, or of the tracker's next frame.
std::vector<FacePrediction> InferencePipeline::Implementation::find_faces(const Image& image,
                                                                          const std::filesystem::path& path,
                                                                          FaceTracker* tracker) const {
  if (options.registered) {
    check(image.width == image.height,
          "{}: is {} x {} pixels; a registered face is a square (leave out --registered to find faces in photographs)",
          path.string(), image.width, image.height);
    return {registered_face(image.width, network.size())};
  }
  std::vector<FacePrediction> faces = options.landmarks ? given_faces(options.landmarks->find(path))
                                      : tracker         ? detected_faces(tracker->next(image))
                                                        : detected_faces(detector->detect(image));
  register_faces(faces, options.max_faces, network.size());
  return faces;
}

// Fills in what is known before the network; what goes wrong becomes the prediction's error.
template <typename Read>
void InferencePipeline::Implementation::prepare(Prepared& prepared, FaceTracker* tracker, Read read) const {
  PicturePrediction& prediction = prepared.prediction;
  try {
    Image image = read();
    prediction.height = image.height;
    prediction.width = image.width;
    prediction.faces = find_faces(image, prediction.path, tracker);
    for (const FacePrediction& face : prediction.faces)
      prepared.faces.push_back(stage_face(image, face.to_registered.inverse(), network.size(), prepared.pixels));
    if (options.keep_images) prediction.image = std::move(image);
  } catch (const std::exception& problem) {
    const bool memory = dynamic_cast<const std::bad_alloc*>(&problem) != nullptr;
    const std::string what = memory ? "not enough memory" : problem.what(), name = prediction.path.string();
    prediction.error = what.starts_with(name) ? what : fmt::format("{}: {}", name, what);
    prediction.height = prediction.width = 0;
    prediction.faces.clear();
    prepared.faces.clear();
  }
}

std::vector<Prepared> InferencePipeline::Implementation::prepare(const Input& input, Work work) const {
  std::vector<Prepared> pictures;
  const auto add = [&]() -> Prepared& {
    Prepared& added = pictures.emplace_back();
    added.prediction.input = work.input;
    added.prediction.path = input.path;
    return added;
  };
  if (!input.error.empty()) {
    add().prediction.error = input.error;
  } else if (input.kind == InputKind::picture) {
    prepare(add(), nullptr, [&] { return read_image(input.path); });
  }
  std::optional<FaceTracker> tracker;
  if (detector) tracker.emplace(*detector, options.detect_every);
  for (VideoFrame& frame : work.frames) {
    if (interrupted()) break;
    Prepared& added = add();
    added.prediction.frame = FrameTime{frame.number, frame.seconds, work.end, work.rate, frame.is_damaged};
    prepare(added, tracker ? &*tracker : nullptr, [&] {
      check(frame.error.empty(), "{}", frame.error);
      return std::move(frame.image);
    });
  }
  if (!work.video_error.empty()) {
    PicturePrediction& end = add().prediction;
    end.error = work.video_error;
    end.is_video_end = true;
  }
  return pictures;
}

// The same number for the same face in all frames of a video.
void InferencePipeline::Implementation::number_faces(PicturePrediction& prediction) {
  if (!prediction.frame) return;
  if (!ids || ids_input != prediction.input) ids.emplace();
  ids_input = prediction.input;
  ids->number(prediction.faces, prediction.frame->seconds);
}

// Sends the faces that have gathered through the network.
void InferencePipeline::Implementation::run_batch() {
  network.run();
  for (const BatchFace& batch_face : batch_faces) {
    --batch_face.picture->missing;
    if (is_finite(*batch_face.face)) continue;
    PicturePrediction& prediction = batch_face.picture->prediction;
    prediction.error = fmt::format("{}: {}", prediction.path.string(), kNotFinite);
  }
  batch_faces.clear();
}

// Hands over the predictions that are complete, in order.
void InferencePipeline::Implementation::give(const Sink& sink) {
  while (!waiting.empty() && waiting.front().missing == 0) {
    PicturePrediction& prediction = waiting.front().prediction;
    if (!prediction.error.empty()) prediction.faces.clear();
    sink(prediction);
    waiting.pop_front();
  }
}

InferencePipeline::InferencePipeline(const Weights& weights, const InferenceOptions& options) {
  check(options.workers >= 0, "{} worker threads, expected 0 or more", options.workers);
  check(options.detect_every >= 1, "a search for faces every {} frames, expected at least 1", options.detect_every);
  check(options.max_faces >= 0, "at most {} faces a picture, expected 0 or more", options.max_faces);
  check(!options.registered || !options.landmarks, "registered faces need no landmarks: give one of the two");
  implementation_ = std::make_unique<Implementation>(weights, options);
}

InferencePipeline::~InferencePipeline() = default;

const Device& InferencePipeline::device() const { return implementation_->network.device(); }

const std::vector<std::string>& InferencePipeline::remarks() const { return implementation_->remarks; }

bool InferencePipeline::run(std::span<const Input> inputs, const Sink& sink) {
  Implementation& self = *implementation_;
  const InferenceOptions& options = self.options;
  const size_t batch = static_cast<size_t>(options.batch);
  const int workers = options.workers > 0 ? options.workers : std::clamp(omp_get_num_procs(), 1, 8);
  self.waiting.clear();
  self.batch_faces.clear();
  self.network.clear();
  self.ids.reset();
  self.remarks.clear();

  std::atomic<bool> ending = false;
  VideoStreamOptions video = options.video;
  video.interrupted = &ending;
  InputReader reader(inputs, video, options.detect_every);
  Preparation preparation(
      reader, [&](Work&& work) { return self.prepare(inputs[work.input], std::move(work)); }, workers,
      static_cast<size_t>(workers) + batch, [&] { return self.interrupted(); }, ending);
  const size_t most_waiting = 2 * batch + static_cast<size_t>(workers);
  while (auto pictures = preparation.take()) {
    for (Prepared& prepared : *pictures) {
      if (self.interrupted()) break;
      Implementation::Waiting& picture = self.waiting.emplace_back();
      picture.prediction = std::move(prepared.prediction);
      picture.missing = prepared.faces.size();
      self.number_faces(picture.prediction);
      for (size_t i = 0; i < prepared.faces.size(); ++i) {
        FacePrediction& face = picture.prediction.faces[i];
        self.network.add(face, prepared.faces[i], prepared.pixels);
        self.batch_faces.push_back({&picture, &face});
        if (self.network.is_full()) self.run_batch();
      }
      if (self.waiting.size() >= most_waiting) self.run_batch();  // pictures without faces pile up behind one with
      self.give(sink);
    }
    if (self.interrupted()) break;
  }
  self.run_batch();
  self.give(sink);
  if (self.interrupted()) return false;
  self.remarks = reader.remarks();  // the workers have come to their end
  return true;
}

}  // namespace sandglass
