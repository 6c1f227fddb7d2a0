// An evaluation as text for people, as CSV and as JSON.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "train/evaluation.h"

namespace sandglass {

/// A table for people: a row per AU and one of means, with their intervals if given, and lines that say which means are
/// over fewer AUs.
std::string to_table(const Metrics& metrics, const Intervals* intervals = nullptr);

/// Tables for people: the figures with their intervals, where the peaks are, and the robustness experiment.
std::string to_table(const Evaluation& evaluation, const ScoreOptions& options);

/// A header and a row per AU and one of means; then the same for each misalignment. Columns: au, misalignment_px,
/// count, and for each figure its value, lower and upper end (icc, icc_low, icc_high, ...), localisation_count,
/// localisation_map_px, localisation_map_px_median, localisation_face_px. What is not there or not defined is empty.
std::string to_csv(const Evaluation& evaluation);

/// All of it, for programs and for `sandglass report`; the keys are listed in docs/formats.md. `weights` and `data` are
/// the files' names. A number that is not defined is null.
nlohmann::json to_json(const Evaluation& evaluation, const ScoreOptions& options, const std::string& weights,
                       const std::string& data);

/// The JSON as text: indented, the long lists "pictures" and "faces" with an entry a line.
std::string to_text(const nlohmann::json& evaluation);

}  // namespace sandglass
