// What `sandglass data check` says about a data set.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "train/data/data_set.h"

namespace sandglass {

/// One part of a data set: the training or the validation faces.
struct DataReport {
  std::string part;      ///< "train" or "validation"
  std::string subjects;  ///< as the settings name them
  DataSet set;           ///< without what cannot be used
  DataCounts counts;     ///< of what is left to use
  DataLog log;
};

/// Reads a part, counts the frames of its videos and, with `images`, decodes its pictures (check_pictures). Throws
/// Error as read_data_set does.
DataReport check_data(const TrainingConfig& config, const std::string& part, bool images);

/// A paragraph: labelled frames, problems, and of what is left to use the subjects, a table of intensities per AU and
/// how many frames have no landmarks.
void print(std::ostream& out, const DataReport& report);
/// {"part", "subjects": {name: frames}, "frames", "usable", "without_landmarks",
///  "intensities": {"AU06": {"0": n, ..., "5": n, "not_coded": n}},
///  "left_out": [{"kind", "count"}], "problems": [{"kind", "count", "messages": [...]}], "notes": [...]}; all but
///  "frames" (labelled ones) and what follows "left_out" is about the frames to use
nlohmann::json to_json(const DataReport& report);

}  // namespace sandglass
