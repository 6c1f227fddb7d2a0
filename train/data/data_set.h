// Labelled faces from any data set that [data] can name: one reader each (train/data/readers.h), then the steps that
// all share: landmarks, pictures that must be there, and frames that are not coded.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/data/data_log.h"
#include "train/manifest.h"

namespace sandglass {

/// Frames per intensity of an AU: [i] those of intensity i, rounded; [6] those not coded.
using IntensityHistogram = std::array<int64_t, 7>;

/// What faces are there.
struct DataCounts {
  std::map<std::string, int64_t> subjects;      ///< frames of each
  std::vector<IntensityHistogram> intensities;  ///< of Manifest::aus
  int64_t without_landmarks = 0;
};

DataCounts count(const Manifest& faces);

struct DataSet {
  Manifest faces;
  int64_t labelled = 0;  ///< frames with labels, before those that are not coded are left out
};

/// Reads the faces of `subjects` (see Subjects) with the AUs of `aus` that the data set has. No picture is opened. What
/// cannot be used goes to `log`. Throws Error if the data set cannot be read at all, has none of the AUs, or no frame
/// is left.
DataSet read_data_set(const DataConfig& data, const std::string& subjects, const std::vector<std::string>& aus,
                      DataLog& log);

/// How many frames a video has: as its header states, which costs nothing and is too much where the file was cut short;
/// or counted by reading through the file without decoding.
enum class FrameCount { stated, counted };

/// Leaves out the frames that lie beyond the end of their video, and those of videos that cannot be opened, which go to
/// `log`.
void leave_out_beyond_videos(Manifest& faces, DataLog& log, FrameCount how);

/// Decodes the faces' pictures, by `workers` threads. Those that cannot be read, whose landmarks lie outside of them,
/// or that differ from their checksum in a pack go to `log` and are left out.
void check_pictures(Manifest& faces, int workers, DataLog& log);

/// What to say where both have a subject.
std::optional<std::string> shared_subject_note(const Manifest& training, const Manifest& validation);

/// The faces of a training run and of its validation, which are named either by flags (`train`, `validation`: a
/// manifest or a pack, read strictly and whole) or by config.data. Says on `out` what was left out. Throws Error if
/// neither or both name them.
struct TrainingFaces {
  Manifest train;
  std::optional<Manifest> validation;
};
TrainingFaces read_training_faces(const std::filesystem::path& train,
                                  const std::optional<std::filesystem::path>& validation, const TrainingConfig& config,
                                  std::ostream& out);

/// The faces to evaluate: a manifest, a pack, or the validation subjects (where there are none, the training subjects)
/// of a TOML file's [data]. Of `aus` those that the data set has.
struct EvaluationFaces {
  Manifest faces;
  bool strict = true;  ///< a picture that cannot be read is an error, rather than left out
};
EvaluationFaces read_evaluation_faces(const std::filesystem::path& path, const std::vector<std::string>& aus,
                                      std::ostream& out);

}  // namespace sandglass
