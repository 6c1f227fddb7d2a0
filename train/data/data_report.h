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
  DataSet set;
  DataLog log;
};

/// Reads a part and, with `images`, opens its pictures (check_pictures). Throws Error as read_data_set does.
DataReport check_data(const TrainingConfig& config, const std::string& part, bool images);

/// A paragraph: frames, subjects, a table of intensities per AU, landmarks, problems, and what is left to use.
void print(std::ostream& out, const DataReport& report);
/// {"part", "subjects": {name: frames}, "frames", "usable", "without_landmarks",
///  "intensities": {"AU06": {"0": n, ..., "5": n, "not_coded": n}},
///  "left_out": [{"kind", "count"}], "problems": [{"kind", "count", "first": [...]}], "notes": [...]}
nlohmann::json to_json(const DataReport& report);

}  // namespace sandglass
