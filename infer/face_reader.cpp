#include "infer/face_reader.h"

#include <omp.h>

#include "engine/error.h"
#include "infer/find_faces.h"

namespace sandglass {
namespace {

// More than any machine has cores; OpenMP itself takes any number, and crashes where it cannot start so many.
constexpr int kMaxThreads = 1024;

// How many threads the parallel loops of the calling thread have, as long as this lives.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadLimit() { omp_set_num_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  const int before_;
};

}  // namespace

FaceReader::FaceReader(const Weights& weights, const FaceDetector* detector, const FaceReaderOptions& options)
    : detector_(detector), options_(options), threads_(options.threads > 0 ? options.threads : omp_get_max_threads()) {
  check(options.threads >= 0 && options.threads <= kMaxThreads, "{} threads, expected 0 to {}", options.threads,
        kMaxThreads);
  check(options.max_faces >= 0, "at most {} faces a picture, expected 0 or more", options.max_faces);
  const ThreadLimit limit(threads_);
  network_ =
      std::make_unique<FaceNetwork>(weights, options.device, options.batch, options.keep_heatmaps, options.mirror);
  device_description_ = network_->device().description();
}

std::vector<FacePrediction> FaceReader::read(const Image& image) {
  check(detector_, "there is no face detector here; give landmarks or registered faces");
  const ThreadLimit limit(threads_);
  std::vector<FacePrediction> faces = detected_faces(detector_->detect(image));
  register_faces(faces, options_.max_faces, network_->size());
  add_aus(image, faces);
  return faces;
}

std::vector<FacePrediction> FaceReader::read(const Image& image, std::span<const Landmarks> landmarks) {
  const ThreadLimit limit(threads_);
  std::vector<FacePrediction> faces = given_faces(landmarks);
  register_faces(faces, options_.max_faces, network_->size());
  add_aus(image, faces);
  return faces;
}

FacePrediction FaceReader::read_registered(const Image& image) {
  check(image.width == image.height, "the picture is {} x {} pixels; a registered face is a square", image.width,
        image.height);
  const ThreadLimit limit(threads_);
  std::vector<FacePrediction> faces{registered_face(image.width, network_->size())};
  add_aus(image, faces);
  return std::move(faces.front());
}

void FaceReader::add_aus(const Image& image, std::vector<FacePrediction>& faces) {
  network_->clear();  // of faces that an Error left behind
  std::vector<uint8_t> pixels;
  for (FacePrediction& face : faces) {
    pixels.clear();
    const StagedFace staged = stage_face(image, face.to_registered.inverse(), network_->size(), pixels);
    network_->add(face, staged, pixels);
    if (network_->is_full()) network_->run();
  }
  network_->run();
  for (const FacePrediction& face : faces) check(is_finite(face), "{}", kNotFinite);
}

}  // namespace sandglass
