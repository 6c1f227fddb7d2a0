#include "infer/pipeline.h"

#include <omp.h>

#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "engine/error.h"
#include "face/stage.h"
#include "model/inference_network.h"

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

void check_finite(const Weights& weights) {
  const ParameterTable table(weights.config);
  for (const ParameterInfo& parameter : table.all()) {
    const float* values =
        (parameter.is_statistic() ? weights.statistics : weights.parameters).data() + parameter.offset;
    for (size_t i = 0; i < parameter.elements; ++i) {
      check(std::isfinite(values[i]), "the weights' tensor '{}' has values that are not finite numbers",
            parameter.name);
    }
  }
}

void set_box(FacePrediction& face, const Landmarks& landmarks) {
  const auto [left, right] =
      std::minmax_element(landmarks.begin(), landmarks.end(), [](Point a, Point b) { return a.x < b.x; });
  const auto [top, bottom] =
      std::minmax_element(landmarks.begin(), landmarks.end(), [](Point a, Point b) { return a.y < b.y; });
  face.left = left->x;
  face.top = top->y;
  face.right = right->x;
  face.bottom = bottom->y;
}

// The map from a registered face of `side` pixels to the same face of `size` pixels.
Affine scaling(int side, int size) {
  const double scale = static_cast<double>(size) / side;
  return {{{{scale, 0, 0.5 * scale - 0.5}, {0, scale, 0.5 * scale - 0.5}}}};
}

}  // namespace

struct InferencePipeline::Implementation {
  Implementation(const Weights& weights, const InferenceOptions& options)
      : options(options),
        size(weights.config.input_size),
        device(open_device(options.device)),
        network(*device, weights, options.batch, static_cast<size_t>(options.batch) * staged_bytes_bound(size)) {
    if (options.registered || options.landmarks) return;
    FaceDetectorOptions detection = options.detector;
    detection.threads = 1;  // the threads are for different pictures
    detector = std::make_unique<FaceDetector>(detection);
  }

  Prepared prepare(const Input& input) const;
  void find_faces(const Image& image, PicturePrediction& prediction) const;
  void run_batch();
  void give(const Sink& sink);

  const InferenceOptions options;
  const int size;
  std::unique_ptr<Device> device;
  InferenceNetwork network;
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
  std::vector<uint8_t> batch_pixels;
  std::vector<WarpPicture> batch_pictures;
};

void InferencePipeline::Implementation::find_faces(const Image& image, PicturePrediction& prediction) const {
  if (options.registered) {
    check(image.width == image.height,
          "{}: is {} x {} pixels; a registered face is a square (leave out --registered to find faces in photographs)",
          prediction.path.string(), image.width, image.height);
    FacePrediction& face = prediction.faces.emplace_back();
    face.right = face.bottom = static_cast<float>(image.width - 1);
    face.to_registered = scaling(image.width, size);
    return;
  }
  if (options.landmarks) {
    for (const Landmarks& landmarks : options.landmarks->find(prediction.path)) {
      FacePrediction& face = prediction.faces.emplace_back();
      set_box(face, landmarks);
      face.landmarks = landmarks;
    }
  } else {
    for (const Face& found : detector->detect(image)) {
      FacePrediction& face = prediction.faces.emplace_back();
      face.left = found.left;
      face.top = found.top;
      face.right = found.right;
      face.bottom = found.bottom;
      face.confidence = found.confidence;
      face.landmarks = found.landmarks;
    }
  }
  if (options.max_faces > 0 && prediction.faces.size() > static_cast<size_t>(options.max_faces))
    prediction.faces.resize(static_cast<size_t>(options.max_faces));
  for (FacePrediction& face : prediction.faces) face.to_registered = registration(*face.landmarks, size);
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
    find_faces(image, prediction);
    for (const FacePrediction& face : prediction.faces)
      prepared.faces.push_back(stage_face(image, face.to_registered.inverse(), size, prepared.pixels));
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
  if (batch_faces.empty()) return;
  network.run(batch_pixels, batch_pictures);
  const int maps = network.config().heatmaps;
  const bool has_places = network.config().head == Head::heatmap;
  const std::vector<float> heatmaps = options.keep_heatmaps ? network.heatmaps() : std::vector<float>();
  const size_t face_elements = heatmaps.size() / static_cast<size_t>(options.batch);
  for (size_t n = 0; n < batch_faces.size(); ++n) {
    FacePrediction& face = *batch_faces[n].face;
    const Affine to_picture = face.to_registered.inverse();
    for (int k = 0; k < maps; ++k) {
      const HeatmapPeak& peak = network.peak(static_cast<int>(n), k);
      const Point registered = from_heatmap({peak.x, peak.y});
      face.aus.push_back({peak.height, registered, to_picture.apply(registered), has_places});
    }
    if (options.keep_heatmaps) {
      const float* first = heatmaps.data() + n * face_elements;
      face.heatmaps.assign(first, first + face_elements);
    }
    --batch_faces[n].picture->missing;
    const bool finite = std::all_of(face.aus.begin(), face.aus.end(), [](const AuPrediction& au) {
      return std::isfinite(au.height) && std::isfinite(au.in_picture.x) && std::isfinite(au.in_picture.y);
    });
    if (!finite) {
      PicturePrediction& prediction = batch_faces[n].picture->prediction;
      prediction.error =
          fmt::format("{}: the network's heatmaps are not finite; check the weights", prediction.path.string());
    }
  }
  batch_faces.clear();
  batch_pixels.clear();
  batch_pictures.clear();
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
  check(options.batch >= 1, "the batch is {}, must be at least 1", options.batch);
  check(options.workers >= 0, "{} worker threads, expected 0 or more", options.workers);
  check(options.max_faces >= 0, "at most {} faces a picture, expected 0 or more", options.max_faces);
  check(!options.registered || !options.landmarks, "registered faces need no landmarks: give one of the two");
  check_finite(weights);
  implementation_ = std::make_unique<Implementation>(weights, options);
}

InferencePipeline::~InferencePipeline() = default;

const Device& InferencePipeline::device() const { return *implementation_->device; }

void InferencePipeline::run(std::span<const Input> inputs, const Sink& sink) {
  Implementation& self = *implementation_;
  const size_t batch = static_cast<size_t>(self.options.batch);
  const int workers = self.options.workers > 0 ? self.options.workers : std::clamp(omp_get_num_procs(), 1, 8);
  self.waiting.clear();
  self.batch_faces.clear();
  self.batch_pixels.clear();
  self.batch_pictures.clear();

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
      const StagedFace& staged = prepared.faces[i];
      WarpPicture warp{static_cast<int64_t>(self.batch_pixels.size()), staged.height, staged.width};
      std::copy(staged.matrix.begin(), staged.matrix.end(), warp.matrix);
      const auto first = prepared.pixels.begin() + staged.first_byte;
      self.batch_pixels.insert(self.batch_pixels.end(), first, first + int64_t{3} * staged.height * staged.width);
      self.batch_pictures.push_back(warp);
      self.batch_faces.push_back({&picture, &picture.prediction.faces[i]});
      if (self.batch_faces.size() == batch) self.run_batch();
    }
    if (self.waiting.size() >= most_waiting) self.run_batch();  // pictures without faces pile up behind one with
    self.give(sink);
  }
  self.run_batch();
  self.give(sink);
}

}  // namespace sandglass
