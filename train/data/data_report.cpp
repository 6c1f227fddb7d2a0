#include "train/data/data_report.h"

#include <fmt/ostream.h>

#include "engine/tensor_file.h"

namespace sandglass {
namespace {

constexpr size_t kPrintedSubjects = 20;  // most whose frames are told

nlohmann::json kinds_json(const std::vector<DataLog::Kind>& kinds) {
  nlohmann::json list = nlohmann::json::array();
  for (const DataLog::Kind& kind : kinds) {
    nlohmann::json entry = {{"kind", kind.name}, {"count", kind.count}};
    for (const std::string& message : kind.messages) entry["messages"].push_back(utf8_text(message));
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

DataReport check_data(const TrainingConfig& config, const std::string& part, bool images) {
  DataReport report{
      part, part == "train" ? config.data.train : config.data.validation, {}, {}, DataLog(config.data.is_strict())};
  report.set = read_data_set(config.data, report.subjects, config.aus, report.log);
  leave_out_beyond_videos(report.set.faces, report.log, FrameCount::counted);
  if (images) check_pictures(report.set.faces, config.workers, report.log);
  report.counts = count(report.set.faces);
  return report;
}

void print(std::ostream& out, const DataReport& report) {
  const DataCounts& counts = report.counts;
  fmt::print(out, "{} ({}): {} labelled frames\n", report.part, report.subjects, report.set.labelled);
  report.log.print(out);
  fmt::print(out, "to use: {} frames of {} subjects\n", report.set.faces.rows.size(), counts.subjects.size());
  if (counts.subjects.size() <= kPrintedSubjects) {
    for (const auto& [subject, frames] : counts.subjects) {
      fmt::print(out, "  {}: {}\n", subject.empty() ? "(without a subject)" : subject, frames);
    }
  }
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
}

nlohmann::json to_json(const DataReport& report) {
  const DataCounts& counts = report.counts;
  nlohmann::json json = {{"part", report.part},
                         {"frames", report.set.labelled},
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
