#include "train/data/data_report.h"

#include <fmt/ostream.h>

#include "engine/tensor_file.h"

namespace sandglass {
namespace {

nlohmann::json kinds_json(const std::vector<DataLog::Kind>& kinds) {
  nlohmann::json list = nlohmann::json::array();
  for (const DataLog::Kind& kind : kinds) {
    nlohmann::json entry = {{"kind", kind.name}, {"count", kind.count}};
    for (const std::string& message : kind.first) entry["first"].push_back(utf8_text(message));
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

DataReport check_data(const TrainingConfig& config, const std::string& part, bool images) {
  DataReport report{
      part, part == "train" ? config.data.train : config.data.validation, {}, DataLog(config.data.problems == "stop")};
  report.set = read_data_set(config.data, report.subjects, config.aus, report.log);
  leave_out_beyond_videos(report.set.faces, report.log);
  if (images) check_pictures(report.set.faces, report.log);
  return report;
}

void print(std::ostream& out, const DataReport& report) {
  const DataCounts& counts = report.set.counts;
  fmt::print(out, "{} ({}): {} labelled frames of {} subjects\n", report.part, report.subjects, counts.frames,
             counts.subjects.size());
  fmt::print(out, "  {:6}", "");
  for (int i = 0; i <= 5; ++i) fmt::print(out, "{:>9}", i);
  fmt::print(out, "{:>11}\n", "not coded");
  for (size_t i = 0; i < counts.intensities.size(); ++i) {
    fmt::print(out, "  {:6}", report.set.faces.aus[i]);
    for (size_t j = 0; j < 6; ++j) fmt::print(out, "{:>9}", counts.intensities[i][j]);
    fmt::print(out, "{:>11}\n", counts.intensities[i][6]);
  }
  if (counts.without_landmarks > 0) {
    fmt::print(out, "without landmarks: {} (the face is searched for before training)\n", counts.without_landmarks);
  }
  report.log.print(out);
  fmt::print(out, "to use: {} frames\n", report.set.faces.rows.size());
}

nlohmann::json to_json(const DataReport& report) {
  const DataCounts& counts = report.set.counts;
  nlohmann::json json = {{"part", report.part},
                         {"frames", counts.frames},
                         {"usable", report.set.faces.rows.size()},
                         {"without_landmarks", counts.without_landmarks},
                         {"subjects", nlohmann::json::object()},
                         {"notes", nlohmann::json::array()},
                         {"left_out", kinds_json(report.log.left_out())},
                         {"problems", kinds_json(report.log.problems())}};
  for (const auto& [subject, frames] : counts.subjects) json["subjects"][utf8_text(subject)] = frames;
  for (size_t i = 0; i < counts.intensities.size(); ++i) {
    nlohmann::json& au = json["intensities"][report.set.faces.aus[i]];
    for (size_t j = 0; j < 6; ++j) au[std::to_string(j)] = counts.intensities[i][j];
    au["not_coded"] = counts.intensities[i][6];
  }
  for (const std::string& remark : report.log.remarks()) json["notes"].push_back(utf8_text(remark));
  return json;
}

}  // namespace sandglass
