#include "train/data/landmark_folder.h"

#include <algorithm>
#include <map>

#include "engine/error.h"
#include "face/given_landmarks.h"
#include "face/landmark_files.h"
#include "train/data/columns.h"
#include "train/data/folders.h"

namespace sandglass {
namespace {

using std::filesystem::path;

bool is_there(const path& file) {
  std::error_code error;
  return std::filesystem::exists(file, error);
}

Landmarks read_landmarks(const path& file) {
  return has_extension(file, {".mat"}) ? read_disfa_mat(file) : read_pts(file);
}

// Finds the file of a row's landmarks.
class LandmarkFolder {
 public:
  LandmarkFolder(path folder, path pictures) : folder_(std::move(folder)), pictures_(std::move(pictures)) {
    std::error_code error;
    check(std::filesystem::is_directory(folder_, error), "{}: no such folder (data.landmarks)", folder_.string());
  }

  /// Empty if there is none.
  path find(const Manifest& faces, const ManifestRow& row) {
    const path image = faces.image_path(row);
    return row.frame < 0 ? of_picture(image) : of_frame(image, row);
  }

 private:
  path of_picture(const path& image) const {
    for (const path& name : {image.lexically_proximate(pictures_), image.filename()}) {
      for (const char* extension : {".pts", ".mat"}) {
        const path file = (folder_ / name).replace_extension(extension);
        if (is_there(file)) return file;
      }
    }
    return {};
  }

  path of_frame(const path& video, const ManifestRow& row) {
    for (const path& name : {path(row.subject), video.stem(), path()}) {
      for (const char* inner : {"", "tmp_frame_lm"}) {
        const std::map<int, path>& files = numbered(folder_ / name / inner);
        const auto found = files.find(row.frame);
        if (found != files.end()) return found->second;
      }
    }
    return {};
  }

  // Landmark files by frame, from 0; each folder is listed once.
  const std::map<int, path>& numbered(const path& folder) {
    const auto [entry, is_new] = listed_.emplace(folder, std::map<int, path>());
    std::error_code error;
    if (is_new && std::filesystem::is_directory(folder, error)) {
      for (auto& [number, file] : numbered_files(folder, {".pts"})) entry->second.emplace(number - 1, file);
      for (auto& [number, file] : numbered_files(folder, {".mat"})) entry->second.emplace(number, file);
    }
    return entry->second;
  }

  path folder_, pictures_;
  std::map<path, std::map<int, path>> listed_;
};

void add_from_folder(Manifest& faces, const path& folder, const path& pictures, DataLog& log) {
  LandmarkFolder files(folder, pictures);
  std::erase_if(faces.rows, [&](ManifestRow& row) {
    const path file = files.find(faces, row);
    return !file.empty() && !log.attempt(kBadLandmarks, [&] { row.landmarks = read_landmarks(file); });
  });
}

void add_from_imglab(Manifest& faces, const path& file, DataLog& log) {
  std::map<path, MarkedFace> largest;  // of each picture with a box; as the face that is searched for is the largest
  for (const MarkedImage& image : read_imglab(file)) {
    for (const MarkedFace& face : image.faces) {
      const auto [found, is_new] = largest.emplace(picture_key(image.path), face);
      if (!is_new && face.width * face.height > found->second.width * found->second.height) found->second = face;
    }
  }
  std::erase_if(faces.rows, [&](ManifestRow& row) {
    check(row.frame < 0, "{}: imglab files name pictures, but {} is a video's frame; give a folder of .pts files",
          file.string(), faces.place(row));
    const auto found = largest.find(picture_key(faces.image_path(row)));
    if (found == largest.end()) return false;  // to be searched for
    const MarkedFace& face = found->second;
    return !log.attempt([&] {
      if (!face.present.all()) {
        reject(kBadLandmarks, "{}: the largest box of {} has {} of the 68 landmarks", file.string(),
               faces.image_path(row).string(), face.present.count());
      }
      row.landmarks = face.landmarks;
    });
  });
}

}  // namespace

void add_landmarks(Manifest& faces, const DataConfig& data, const path& pictures, const path& own_folder,
                   DataLog& log) {
  if (data.landmarks == "detect") {
    for (ManifestRow& row : faces.rows) row.landmarks.reset();
  } else if (path(data.landmarks).extension() == ".xml") {
    add_from_imglab(faces, data.landmarks, log);
  } else if (!data.landmarks.empty()) {
    add_from_folder(faces, data.landmarks, pictures, log);
  } else if (!own_folder.empty() && !mat_library_version().empty()) {
    add_from_folder(faces, own_folder, pictures, log);
  } else if (!own_folder.empty()) {
    log.remark(fmt::format("{}: is not read, because this build has no matio (libmatio-dev)", own_folder.string()));
    return;
  }
  const path from = data.landmarks.empty() ? own_folder : path(data.landmarks);
  const auto has_landmarks = [](const ManifestRow& row) { return row.landmarks.has_value(); };
  if (from.empty() || data.landmarks == "detect" || faces.rows.empty()) return;
  if (std::none_of(faces.rows.begin(), faces.rows.end(), has_landmarks)) {
    log.remark(
        fmt::format("{}: has landmarks of none of the {} frames (data.landmarks)", from.string(), faces.rows.size()));
  }
}

}  // namespace sandglass
