#include "train/data/data_set.h"

#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "engine/error.h"
#include "face/registration.h"
#include "face/video.h"
#include "kernels/loss/loss.h"
#include "train/data/columns.h"
#include "train/data/landmark_folder.h"
#include "train/data/pack.h"
#include "train/data/pictures.h"
#include "train/data/readers.h"

namespace sandglass {
namespace {

constexpr const char* kNotCodedFrames = "frames in which one of the Action Units is not coded";

DataFound read_found(const DataRequest& request, DataLog& log) {
  const std::string& format = request.data.format;
  check(format != "none", "data.format is none: say in [data] what the data set is");
  check(!request.data.path.empty(), "data.path is empty: name the data set's folder or file");
  std::error_code error;
  check(std::filesystem::exists(request.data.path, error), "{}: no such file or folder (data.path)", request.data.path);
  if (format == "bp4d") return read_bp4d(request, log);
  if (format == "disfa") return read_disfa(request, log);
  if (format == "openface") return read_openface(request, log);
  return format == "pack" ? read_pack_data(request, log) : read_manifest_data(request, log);
}

// Keeps the AUs that are asked for, in their order, and the rows of the subjects that are.
void choose(Manifest& faces, const DataRequest& request) {
  std::vector<std::string> aus;
  std::vector<size_t> columns;
  for (const std::string& au : request.aus) {
    const auto found = std::find(faces.aus.begin(), faces.aus.end(), au);
    if (found == faces.aus.end()) continue;
    aus.push_back(au);
    columns.push_back(static_cast<size_t>(found - faces.aus.begin()));
  }
  for (ManifestRow& row : faces.rows) {
    std::vector<float> intensities;
    for (const size_t column : columns) intensities.push_back(row.intensities[column]);
    row.intensities = std::move(intensities);
  }
  faces.aus = std::move(aus);
  std::erase_if(faces.rows, [&](const ManifestRow& row) { return !request.subjects.has(row.subject); });
}

void leave_out_unregistrable(Manifest& faces, DataLog& log) {
  std::erase_if(faces.rows, [&](const ManifestRow& row) {
    return row.landmarks && !log.attempt(kBadLandmarks, [&] {
      try {
        registration(*row.landmarks);
      } catch (const Error& error) {
        fail("{}: {}", faces.place(row), error.what());
      }
    });
  });
}

// Of `drop`, frames with any AU not coded; of `mask`, those with none coded.
void leave_out_not_coded(Manifest& faces, const std::string& rule, DataLog& log) {
  const auto not_coded = [](float intensity) { return intensity < 0; };
  const size_t dropped = std::erase_if(faces.rows, [&](const ManifestRow& row) {
    return rule == "drop" ? std::any_of(row.intensities.begin(), row.intensities.end(), not_coded)
                          : std::all_of(row.intensities.begin(), row.intensities.end(), not_coded);
  });
  log.leave_out(rule == "drop" ? kNotCodedFrames : "frames in which none of the Action Units is coded",
                static_cast<int64_t>(dropped));
}

void check_left(const Manifest& faces, const DataLog& log) {
  if (!faces.rows.empty()) return;
  std::string why = "the chosen subjects have no labelled frames";
  if (!log.left_out().empty()) why = fmt::format("{} {}", log.left_out()[0].count, log.left_out()[0].name);
  if (!log.problems().empty()) why = log.problems()[0].messages[0];
  fail("{}: no frame is left to use: {}", faces.path.string(), why);
}

Manifest read_part(const TrainingConfig& config, const std::string& subjects, const std::vector<std::string>& aus,
                   std::ostream& out) {
  DataLog log(config.data.is_strict());
  Manifest faces = read_data_set(config.data, subjects, aus, log).faces;
  leave_out_beyond_videos(faces, log, FrameCount::stated);
  log.print(out);
  fmt::print(out, "{}: {} frames of {}\n", config.data.path, faces.rows.size(),
             subjects == "all" ? "all subjects" : subjects);
  return faces;
}

}  // namespace

DataSet read_data_set(const DataConfig& data, const std::string& subjects, const std::vector<std::string>& aus,
                      DataLog& log) {
  const Subjects chosen(subjects);
  const DataRequest request{data, chosen, aus};
  DataFound found = read_found(request, log);
  DataSet set;
  set.faces = std::move(found.faces);
  choose(set.faces, request);
  check(!set.faces.aus.empty(), "{}: has none of the Action Units asked for ({})", set.faces.path.string(),
        fmt::join(aus, ", "));
  if (set.faces.aus.size() < aus.size()) {
    std::vector<std::string> missing;
    std::copy_if(aus.begin(), aus.end(), std::back_inserter(missing), [&](const std::string& au) {
      return std::find(set.faces.aus.begin(), set.faces.aus.end(), au) == set.faces.aus.end();
    });
    log.remark(fmt::format("{}: has no labels for {}", set.faces.path.string(), fmt::join(missing, ", ")));
  }
  for (const std::string& name : chosen.names()) {
    const auto of_subject = [&](const ManifestRow& row) { return row.subject == name; };
    if (data.format == "bp4d" || data.format == "disfa") break;  // their readers know why
    if (std::any_of(set.faces.rows.begin(), set.faces.rows.end(), of_subject)) continue;
    log.problem(kNoLabels, "{}: has no labelled frames of subject '{}'", set.faces.path.string(), name);
  }
  if (!set.faces.pack) {
    if (data.format == "manifest") leave_out_missing_pictures(set.faces, log);  // other readers list what is there
    add_landmarks(set.faces, data, found.pictures, found.landmarks, log);
  }
  leave_out_unregistrable(set.faces, log);
  set.labelled = static_cast<int64_t>(set.faces.rows.size());
  leave_out_not_coded(set.faces, data.not_coded, log);
  check_left(set.faces, log);
  return set;
}

DataFound read_manifest_data(const DataRequest& request, DataLog& log) {
  const std::filesystem::path path = request.data.path;
  return {read_manifest(path, log, false, request.aus), path.parent_path(), {}};
}

DataFound read_pack_data(const DataRequest& request, DataLog&) { return {read_pack(request.data.path), {}, {}}; }

void leave_out_beyond_videos(Manifest& faces, DataLog& log, FrameCount how) {
  std::map<std::string, int64_t> counts;
  std::map<std::string, std::string> broken;
  std::erase_if(faces.rows, [&](const ManifestRow& row) {
    if (faces.pack || row.frame < 0) return false;
    return !log.attempt([&] {
      const std::string path = faces.image_path(row).string();
      const auto [count, is_new] = counts.emplace(path, 0);
      try {
        if (is_new) {
          Video video(path);
          count->second = how == FrameCount::stated ? video.stated_frame_count() : video.frame_count();
        }
      } catch (const Error& error) {
        broken.emplace(path, error.what());
      }
      const auto why = broken.find(path);
      if (why != broken.end()) reject(kBadPicture, "{}: {}", faces.place(row), why->second);
      if (count->second > 0 && row.frame >= count->second) {
        reject(kNoPicture, "{}: frame {} is not there: {} has {} frames", faces.place(row), row.frame + 1, path,
               count->second);
      }
    });
  });
  check_left(faces, log);
}

DataCounts count(const Manifest& faces) {
  DataCounts counts;
  counts.intensities.resize(faces.aus.size());
  for (const ManifestRow& row : faces.rows) {
    ++counts.subjects[row.subject];
    counts.without_landmarks += !row.landmarks;
    for (size_t i = 0; i < row.intensities.size(); ++i) {
      const float intensity = row.intensities[i];
      ++counts.intensities[i][intensity < 0 ? 6 : static_cast<size_t>(intensity_level(intensity))];
    }
  }
  return counts;
}

void check_pictures(Manifest& faces, int workers, DataLog& log) {
  std::vector<size_t> rows(faces.rows.size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  PictureSource source;
  const std::vector<std::optional<DataProblem>> problems =
      for_each_picture(faces, rows, workers, log.strict(), source, [&](size_t i, const Picture&) {
        if (faces.pack) faces.pack->release(faces.rows[i].frame);
      });
  std::vector<ManifestRow> good;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (problems[i]) {
      log.problem(*problems[i]);
    } else {
      good.push_back(std::move(faces.rows[i]));
    }
  }
  faces.rows = std::move(good);
  check_left(faces, log);
}

std::optional<std::string> shared_subject_note(const Manifest& training, const Manifest& validation) {
  std::set<std::string> trained;
  for (const ManifestRow& row : training.rows) trained.insert(row.subject);
  const auto both = std::find_if(validation.rows.begin(), validation.rows.end(), [&](const ManifestRow& row) {
    return !row.subject.empty() && trained.count(row.subject) > 0;
  });
  if (both == validation.rows.end()) return std::nullopt;
  return fmt::format("subject '{}' is in the training and in the validation set: the scores will be too good",
                     both->subject);
}

TrainingFaces read_training_faces(const std::filesystem::path& train,
                                  const std::optional<std::filesystem::path>& validation, const TrainingConfig& config,
                                  std::ostream& out) {
  const bool in_config = config.data.format != "none";
  check(!in_config || (train.empty() && !validation),
        "the training faces are named twice: by [data] in the settings ({}) and by --train or --val; leave out one",
        config.data.path);
  check(in_config || !train.empty(),
        "no training faces are named: give --train MANIFEST, or [data] in the settings (see docs/training.md)");
  TrainingFaces faces;
  if (!in_config) {
    faces.train = read_faces(train);
    if (validation) faces.validation = read_faces(*validation);
    return faces;
  }
  faces.train = read_part(config, config.data.train, config.aus, out);
  if (!config.data.validation.empty()) {
    faces.validation = read_part(config, config.data.validation, config.aus, out);
    if (const auto note = shared_subject_note(faces.train, *faces.validation)) fmt::print(out, "note: {}\n", *note);
  }
  return faces;
}

EvaluationFaces read_evaluation_faces(const std::filesystem::path& path, const std::vector<std::string>& aus,
                                      std::ostream& out) {
  if (path.extension() != ".toml") return {read_faces(path), true};
  TrainingConfig config;
  read_config(path, config);
  return {read_part(config, config.data.validation.empty() ? config.data.train : config.data.validation, aus, out),
          config.data.is_strict()};
}

}  // namespace sandglass
