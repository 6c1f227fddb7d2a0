#include "infer/pipeline.h"

#include <omp.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "engine/error.h"
#include "face/stage.h"
#include "infer/face_network.h"
#include "infer/find_faces.h"

namespace sandglass {
namespace {

// A picture on its way from a worker to the network.
struct Prepared {
  PicturePrediction prediction;
  std::vector<uint8_t> pixels;    // of all its faces
  std::vector<StagedFace> faces;  // as prediction.faces
};

// Makes Prepared pictures ahead of the thread that takes them, in order. At most `ahead` of them exist at a time.
class Preparation {
 public:
  using Prepare = std::function<Prepared(const Input&)>;

  Preparation(std::span<const Input> inputs, Prepare prepare, int workers, size_t ahead)
      : inputs_(inputs), prepare_(std::move(prepare)), slots_(ahead) {
    try {
      for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {  // no more threads to be had
      stop();
      throw;
    }
  }
  ~Preparation() { stop(); }

  /// The next picture; waits for it. To be called once for each input.
  Prepared take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slot(taken_).has_value(); });
    Prepared prepared = std::move(*slot(taken_));
    slot(taken_++).reset();
    changed_.notify_all();
    return prepared;
  }

 private:
  std::optional<Prepared>& slot(size_t number) { return slots_[number % slots_.size()]; }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stopping_ || begun_ == inputs_.size() || begun_ < taken_ + slots_.size(); });
      if (stopping_ || begun_ == inputs_.size()) return;
      const size_t number = begun_++;
      lock.unlock();
      Prepared prepared = prepare_(inputs_[number]);
      lock.lock();
      slot(number) = std::move(prepared);
      changed_.notify_all();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  const std::span<const Input> inputs_;
  const Prepare prepare_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<Prepared>> slots_;
  std::vector<std::thread> threads_;
  size_t begun_ = 0, taken_ = 0;
  bool stopping_ = false;
};

}  // namespace

struct InferencePipeline::Implementation {
  Implementation(const Weights& weights, const InferenceOptions& options)
      : options(options), network(weights, options.device, options.batch, options.keep_heatmaps) {
    if (options.registered || options.landmarks) return;
    FaceDetectorOptions detection = options.detector;
    detection.threads = 1;  // the threads are for different pictures
    detector = std::make_unique<FaceDetector>(detection);
  }

  Prepared prepare(const Input& input) const;
  std::vector<FacePrediction> find_faces(const Image& image, const std::filesystem::path& path) const;
  void run_batch();
  void give(const Sink& sink);

  const InferenceOptions options;
  FaceNetwork network;
  std::unique_ptr<FaceDetector> detector;

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
};

std::vector<FacePrediction> InferencePipeline::Implementation::find_faces(const Image& image,
                                                                          const std::filesystem::path& path) const {
  if (options.registered) {
    check(image.width == image.height,
          "{}: is {} x {} pixels; a registered face is a square (leave out --registered to find faces in photographs)",
          path.string(), image.width, image.height);
    return {registered_face(image.width, network.size())};
  }
  std::vector<FacePrediction> faces =
      options.landmarks ? given_faces(options.landmarks->find(path)) : detected_faces(*detector, image);
  register_faces(faces, options.max_faces, network.size());
  return faces;
}

Prepared InferencePipeline::Implementation::prepare(const Input& input) const {
  Prepared prepared;
  PicturePrediction& prediction = prepared.prediction;
  prediction.path = input.path;
  prediction.error = input.error;
  if (!prediction.error.empty()) return prepared;
  try {
    Image image = read_image(input.path);
    prediction.height = image.height;
    prediction.width = image.width;
    prediction.faces = find_faces(image, input.path);
    for (const FacePrediction& face : prediction.faces)
      prepared.faces.push_back(stage_face(image, face.to_registered.inverse(), network.size(), prepared.pixels));
    if (options.keep_images) prediction.image = std::move(image);
  } catch (const std::exception& problem) {
    const bool memory = dynamic_cast<const std::bad_alloc*>(&problem) != nullptr;
    const std::string what = memory ? "not enough memory" : problem.what(), name = input.path.string();
    prediction = {};
    prediction.path = input.path;
    prediction.error = what.starts_with(name) ? what : fmt::format("{}: {}", name, what);
    prepared.faces.clear();
  }
  return prepared;
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
  check(options.max_faces >= 0, "at most {} faces a picture, expected 0 or more", options.max_faces);
  check(!options.registered || !options.landmarks, "registered faces need no landmarks: give one of the two");
  implementation_ = std::make_unique<Implementation>(weights, options);
}

InferencePipeline::~InferencePipeline() = default;

const Device& InferencePipeline::device() const { return implementation_->network.device(); }

void InferencePipeline::run(std::span<const Input> inputs, const Sink& sink) {
  Implementation& self = *implementation_;
  const size_t batch = static_cast<size_t>(self.options.batch);
  const int workers = self.options.workers > 0 ? self.options.workers : std::clamp(omp_get_num_procs(), 1, 8);
  self.waiting.clear();
  self.batch_faces.clear();
  self.network.clear();

  Preparation preparation(
      inputs, [&self](const Input& input) { return self.prepare(input); }, workers,
      static_cast<size_t>(workers) + batch);
  const size_t most_waiting = 2 * batch + static_cast<size_t>(workers);
  for (size_t number = 0; number < inputs.size(); ++number) {
    check(!self.options.interrupted || !*self.options.interrupted, "interrupted");
    Prepared prepared = preparation.take();
    Implementation::Waiting& picture = self.waiting.emplace_back();
    picture.prediction = std::move(prepared.prediction);
    picture.missing = prepared.faces.size();
    for (size_t i = 0; i < prepared.faces.size(); ++i) {
      FacePrediction& face = picture.prediction.faces[i];
      self.network.add(face, prepared.faces[i], prepared.pixels);
      self.batch_faces.push_back({&picture, &face});
      if (self.network.is_full()) self.run_batch();
    }
    if (self.waiting.size() >= most_waiting) self.run_batch();  // pictures without faces pile up behind one with
    self.give(sink);
  }
  self.run_batch();
  self.give(sink);
}

}  // namespace sandglass
