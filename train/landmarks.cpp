#include "train/landmarks.h"

#include <fmt/ostream.h>

#include <algorithm>

#include "engine/error.h"
#include "face/detector.h"
#include "train/data/pictures.h"

namespace sandglass {

bool complete_landmarks(Manifest& manifest, int workers, std::ostream& log, DataLog& problems,
                        const std::atomic<bool>* interrupted) {
  std::vector<size_t> rows;
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    if (!manifest.rows[i].landmarks) rows.push_back(i);
  }
  if (rows.empty()) return false;
  check(
      FaceDetector::available(),
      "{}: has no landmarks, and this build cannot find faces (it was made without dlib); add the columns x_0,...,y_67",
      manifest.place(manifest.rows[rows[0]]));
  fmt::print(log, "{}: finding the faces in {} pictures that come without landmarks\n", manifest.path.string(),
             rows.size());
  log.flush();

  FaceDetectorOptions options;
  options.threads = 1;  // the threads here are for different pictures
  const FaceDetector detector(options);
  PictureSource pictures;
  const std::vector<std::optional<DataProblem>> errors = for_each_picture(
      manifest, rows, workers, problems.strict(), pictures,
      [&](size_t i, const Picture& picture) {
        const std::vector<Face> faces = detector.detect(*picture.owner);
        if (!faces.empty()) manifest.rows[i].landmarks = faces[0].landmarks;
      },
      interrupted);
  check(!interrupted || !*interrupted, "interrupted");
  std::vector<bool> unreadable(manifest.rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!errors[i]) continue;
    problems.problem(*errors[i]);
    unreadable[rows[i]] = true;
  }
  std::vector<ManifestRow> readable;
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    if (!unreadable[i]) readable.push_back(std::move(manifest.rows[i]));
  }
  manifest.rows = std::move(readable);
  check(!manifest.rows.empty(), "none of the pictures can be read: {}", errors[0] ? errors[0]->what() : "");

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

bool complete_landmarks(Manifest& manifest, int workers, std::ostream& log) {
  DataLog strict(true);
  return complete_landmarks(manifest, workers, log, strict);
}

}  // namespace sandglass
