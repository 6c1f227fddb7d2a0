// Small trees in the layouts of data sets.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "engine/file.h"
#include "tests/temporary_folder.h"
#include "tests/train/face_pictures.h"
#include "train/data/data_set.h"

namespace sandglass {

/// Writes a file and the folders above it.
inline std::filesystem::path write(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  write_file(path, content);
  return path;
}

inline std::string landmark_header() {
  std::string header;
  for (const char axis : {'x', 'y'}) {
    for (int i = 0; i < 68; ++i) header += fmt::format(",{}_{}", axis, i);
  }
  return header;
}

inline std::string landmark_fields(const Landmarks& landmarks) {
  std::string fields;
  for (const Point& p : landmarks) fields += fmt::format(",{}", p.x);
  for (const Point& p : landmarks) fields += fmt::format(",{}", p.y);
  return fields;
}

inline std::string pts(const Landmarks& landmarks) {
  std::string text = "version: 1\nn_points: 68\n{\n";
  for (const Point& p : landmarks) text += fmt::format("{} {}\n", p.x + 1, p.y + 1);
  return text + "}\n";
}

/// What a log counted under a kind of problem, or left out under a name.
inline int64_t count_of(const std::vector<DataLog::Kind>& kinds, const std::string& part) {
  int64_t count = 0;
  for (const DataLog::Kind& kind : kinds) {
    if (kind.name.find(part) != std::string::npos) count += kind.count;
  }
  return count;
}

/// All messages of a log's problems, a line each.
inline std::string messages_of(const DataLog& log) {
  std::string text;
  for (const DataLog::Kind& kind : log.problems()) {
    for (const std::string& message : kind.messages) text += message + "\n";
  }
  return text;
}

/// "subject:file:intensities" of each row, the file without its folder, "#frame" behind a video's.
inline std::vector<std::string> rows_of(const Manifest& faces) {
  std::vector<std::string> rows;
  for (const ManifestRow& row : faces.rows) {
    std::string text = row.subject + ":" + std::filesystem::path(row.image).filename().string();
    if (row.frame >= 0) text += fmt::format("#{}", row.frame);
    text += ":";
    for (const float intensity : row.intensities) text += intensity < 0 ? "-" : fmt::format("{}", intensity);
    rows.push_back(text);
  }
  return rows;
}

}  // namespace sandglass
