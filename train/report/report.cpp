#include "train/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/file.h"
#include "train/report/comparison.h"
#include "train/report/html.h"
#include "train/report/sections.h"

namespace sandglass {
namespace {

std::string tile(const std::string& value, const std::string& what) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", value, what);
}

// The validation with the highest mean ICC, which is where best.safetensors comes from; nullptr without one.
const ValidationRecord* best_validation(const RunData& run) {
  const ValidationRecord* best = nullptr;
  const auto icc = [](const ValidationRecord& validation) {
    const auto found = validation.mean.find("icc");
    return found == validation.mean.end() ? -2.0 : found->second;
  };
  for (const ValidationRecord& validation : run.validations) {
    if (!best || icc(validation) > icc(*best)) best = &validation;
  }
  return best;
}

std::string evaluation_tiles(const nlohmann::json& evaluation) {
  const nlohmann::json& mean = evaluation["mean"];
  std::string out;
  for (const auto& [key, title] : {std::pair{"icc", "mean ICC(3,1)"}, {"mse", "mean MSE"}, {"f1", "mean F1"}}) {
    std::string what = title;
    if (mean.contains("intervals")) {
      const nlohmann::json& ends = mean["intervals"].at(key);
      if (!ends.at(0).is_null()) what += fmt::format(", {} to {}", number_text(ends[0], 2), number_text(ends[1], 2));
    }
    out += tile(number_text(json_value(mean, key), 3), what);
  }
  const double place = json_value(mean, "localisation_face_px");
  if (!std::isnan(place)) out += tile(number_text(place, 1) + " px", "from peak to point, of a 256 × 256 face");
  return out;
}

std::string tiles(const RunData& run) {
  std::string out;
  const ValidationRecord* best = best_validation(run);
  if (!run.evaluation.is_null()) {
    out += evaluation_tiles(run.evaluation);
  } else if (best) {
    for (const auto& [key, title] : {std::pair{"icc", "ICC(3,1)"}, {"mse", "MSE"}}) {
      const auto found = best->mean.find(key);
      out += tile(number_text(found == best->mean.end() ? std::nan("") : found->second, 3),
                  fmt::format("mean {} of the best validation", title));
    }
  }
  if (best) out += tile(fmt::format("{:.6g}", best->epoch), "best epoch");
  if (!run.steps.empty()) {
    out += tile(fmt::format("{:.0f}", run.steps.back().step), "training steps");
    std::vector<double> speeds;
    for (const StepRecord& record : run.steps) speeds.push_back(record.images_per_s);
    std::nth_element(speeds.begin(), speeds.begin() + static_cast<int64_t>(speeds.size() / 2), speeds.end());
    out += tile(fmt::format("{:.3g}", speeds[speeds.size() / 2]), "pictures per second in training, median");
  }
  return "<div class=\"tiles\">\n" + out + "</div>\n";
}

std::string missing_evaluation(const RunData& run) {
  if (!run.evaluation.is_null()) return "";
  const std::string folder = run.folder.string();
  return section("Scores",
                 fmt::format("<p>Not evaluated yet. A run with a validation set is, when it ends; or evaluate it on "
                             "any manifest: <code>sandglass eval --weights {0}/best.safetensors --data MANIFEST "
                             "--misalign 0,2,4,8,16 --faces 4 --json {0}/evaluation.json</code>, then <code>sandglass "
                             "report {0}</code></p>\n",
                             escaped(folder)));
}

std::string subtitle(const RunData& run) {
  std::string out = escaped(run.folder.string());
  if (!run.description.is_object()) return out;
  const nlohmann::json versions = run.description.value("versions", nlohmann::json::object());
  if (versions.is_object() && versions.contains("sandglass") && versions["sandglass"].is_string())
    out += " · sandglass " + escaped(versions["sandglass"].get<std::string>());
  if (run.description.contains("device") && run.description["device"].is_string())
    out += " · " + escaped(run.description["device"].get<std::string>());
  return out;
}

}  // namespace

std::string run_page(const RunData& run) {
  return page(run.name, subtitle(run),
              tiles(run) + training_section(run) + missing_evaluation(run) + scores_section(run) +
                  misalignment_section(run) + scatter_section(run) + faces_section(run) + settings_section(run));
}

std::string report_page(std::span<const RunData> runs) {
  check(!runs.empty(), "a report needs at least one run");
  try {
    return runs.size() == 1 ? run_page(runs[0]) : comparison_page(runs);
  } catch (const nlohmann::json::exception& error) {
    std::string names;
    for (const RunData& run : runs) names += (names.empty() ? "" : ", ") + (run.folder / "evaluation.json").string();
    fail("{}: is not what `sandglass eval --json` writes ({})", names, error.what());
  }
}

void write_report(const std::filesystem::path& run_folder) {
  const RunData run = read_run(run_folder);
  write_file(run_folder / "report.html", report_page({&run, 1}));
}

}  // namespace sandglass
