#include "train/report/run_data.h"

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "engine/file.h"
#include "train/metrics.h"

namespace sandglass {
namespace {

std::map<std::string, double> figures_of(const nlohmann::json& json) {
  std::map<std::string, double> figures;
  for (const Figure& figure : kFigures) {
    if (json.contains(figure.key) && !json[figure.key].is_null()) figures[figure.key] = json[figure.key].get<double>();
  }
  return figures;
}

void add_record(const nlohmann::json& record, RunData& run) {
  if (record.at("type") == "train") {
    run.steps.push_back({record.at("step").get<double>(), record.at("loss").get<double>(), record.value("lr", 0.0),
                         record.value("images_per_s", 0.0)});
  } else if (record.at("type") == "validation") {
    ValidationRecord validation{record.at("epoch").get<double>(), figures_of(record.at("mean")), {}};
    for (const auto& [au, figures] : record.at("aus").items()) validation.aus[au] = figures_of(figures);
    run.validations.push_back(std::move(validation));
  }
}

void read_metrics(const std::filesystem::path& path, RunData& run) {
  const std::string content = read_file(path);
  int number = 0;
  for (size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1) {
    ++number;
    try {
      add_record(nlohmann::json::parse(content.substr(begin, end - begin)), run);
    } catch (const nlohmann::json::exception& error) {
      fail("{}:{}: not a record of a training run ({})", path.string(), number, error.what());
    }
  }
}

nlohmann::json read_json(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    return nlohmann::json::parse(read_file(path));
  } catch (const nlohmann::json::exception& error) {
    fail("{}: is not JSON ({})", path.string(), error.what());
  }
}

// What the pages rely on; the rest may be missing.
void check_evaluation(const nlohmann::json& evaluation, const std::filesystem::path& path) {
  try {
    for (const std::string au : evaluation.at("au_names")) evaluation.at("aus").at(au).at("count").get<int>();
    const size_t aus = evaluation.at("au_names").size();
    for (const nlohmann::json& picture : evaluation.at("predictions")) {
      check(picture.at("labels").size() == aus && picture.at("predictions").size() == aus,
            "{}: a picture has other than {} labels and predictions", path.string(), aus);
    }
    for (const nlohmann::json& level : evaluation.value("misalignment", nlohmann::json::array()))
      level.at("pixels").get<double>();
    evaluation.at("mean").at("icc");
    evaluation.at("intervals").at("over").get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    fail("{}: is not what `sandglass eval --json` writes ({})", path.string(), error.what());
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_of(const std::string& toml) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (size_t begin = 0; begin < toml.size();) {
    const size_t end = std::min(toml.find('\n', begin), toml.size());
    const std::string line = toml.substr(begin, end - begin);
    const size_t equals = line.find(" = ");
    if (!line.starts_with('#') && equals != std::string::npos)
      settings.emplace_back(line.substr(0, equals), line.substr(equals + 3));
    begin = end + 1;
  }
  return settings;
}

RunData read_run(const std::filesystem::path& folder) {
  RunData run;
  run.folder = folder;
  const std::filesystem::path absolute = std::filesystem::absolute(folder).lexically_normal();
  run.name = (absolute.has_filename() ? absolute : absolute.parent_path()).filename().string();
  check(std::filesystem::is_directory(folder), "{}: no such folder; give the RUN_DIR of `sandglass train --out`",
        folder.string());
  const std::filesystem::path metrics = folder / "metrics.jsonl";
  check(std::filesystem::exists(metrics),
        "{}: holds no training run (it has no metrics.jsonl); give the RUN_DIR of `sandglass train --out`",
        folder.string());
  read_metrics(metrics, run);
  const std::filesystem::path config = folder / "config.toml", evaluation = folder / "evaluation.json";
  if (std::filesystem::exists(config)) run.settings = settings_of(read_file(config));
  run.description = read_json(folder / "run.json");
  run.evaluation = read_json(evaluation);
  std::set<std::string> aus;
  for (const ValidationRecord& validation : run.validations) {
    for (const auto& [au, figures] : validation.aus) aus.insert(au);
  }
  if (!run.evaluation.is_null()) {
    check_evaluation(run.evaluation, evaluation);
    for (const std::string au : run.evaluation["au_names"]) aus.insert(au);
  }
  run.aus.assign(aus.begin(), aus.end());
  return run;
}

std::vector<RunData> read_runs(std::span<const std::filesystem::path> folders) {
  std::vector<RunData> runs;
  std::map<std::string, int> count;
  for (const std::filesystem::path& folder : folders) {
    runs.push_back(read_run(folder));
    ++count[runs.back().name];
  }
  for (RunData& run : runs) {
    if (count[run.name] > 1) run.name = run.folder.string();
  }
  return runs;
}

}  // namespace sandglass
