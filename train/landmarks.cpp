#include "train/landmarks.h"

#include <fmt/ostream.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/error.h"
#include "face/detector.h"

namespace sandglass {

bool complete_landmarks(Manifest& manifest, int workers, std::ostream& log) {
  std::vector<ManifestRow*> rows;
  for (ManifestRow& row : manifest.rows) {
    if (!row.landmarks) rows.push_back(&row);
  }
  if (rows.empty()) return false;
  check(
      FaceDetector::available(),
      "{}: has no landmarks, and this build cannot find faces (it was made without dlib); add the columns x_0,...,y_67",
      manifest.place(*rows[0]));
  fmt::print(log, "{}: finding the faces in {} pictures that come without landmarks\n", manifest.path.string(),
             rows.size());
  log.flush();

  FaceDetectorOptions options;
  options.threads = 1;  // the threads here are for different pictures
  const FaceDetector detector(options);
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    for (size_t i; (i = next++) < rows.size();) {
      try {
        const std::vector<Face> faces = detector.detect(read_image(manifest.image_path(*rows[i])));
        if (!faces.empty()) rows[i]->landmarks = faces[0].landmarks;
      } catch (const std::exception& problem) {
        const std::lock_guard lock(mutex);
        if (!error)
          error = std::make_exception_ptr(Error(fmt::format("{}: {}", manifest.place(*rows[i]), problem.what())));
        next = rows.size();
      }
    }
  };
  {
    std::vector<std::jthread> threads;  // joined also if the system refuses one
    for (int i = 0; i < workers; ++i) threads.emplace_back(work);
  }
  if (error) std::rethrow_exception(error);

  const auto faceless = [](const ManifestRow& row) { return !row.landmarks; };
  const auto first = std::find_if(manifest.rows.begin(), manifest.rows.end(), faceless);
  if (first == manifest.rows.end()) return true;
  const std::string place = manifest.place(*first);
  const size_t removed = std::erase_if(manifest.rows, faceless);
  check(!manifest.rows.empty(), "{}: no face was found in any of its pictures", manifest.path.string());
  fmt::print(log, "{}: {} of {} pictures are left out because no face was found in them, the first at {}\n",
             manifest.path.string(), removed, removed + manifest.rows.size(), place);
  return true;
}

}  // namespace sandglass
