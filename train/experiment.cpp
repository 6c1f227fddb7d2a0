#include "train/experiment.h"

#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <set>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "train/augmentation.h"
#include "train/data/pack.h"
#include "train/evaluation.h"
#include "train/fingerprint.h"
#include "train/synth/dataset.h"
#include "train/training.h"

namespace sandglass {
namespace {

using nlohmann::json;
using Path = std::filesystem::path;

constexpr const char* kCompared[] = {"icc", "mse", "mae"};  // of kFigures

// One table of the file; every key must be taken.
class Table {
 public:
  Table(const toml::table& table, std::string source, std::string name)
      : table_(table), source_(std::move(source)), name_(std::move(name)) {}

  std::string text(const char* key) { return take<std::string>(key, "text").value_or(""); }
  int number(const char* key, int otherwise, int low, int high) {
    const std::optional<int64_t> value = take<int64_t>(key, "an integer");
    if (!value) return otherwise;
    check(*value >= low && *value <= high, "{}: {} is {}, expected {} to {}", place(key), full(key), *value, low, high);
    return static_cast<int>(*value);
  }
  std::vector<std::string> texts(const char* key) { return list<std::string>(key, "texts"); }
  template <typename T>
  std::vector<T> list(const char* key, const char* what) {
    std::vector<T> values;
    const toml::node* node = find(key);
    if (!node) return values;
    const toml::array* array = node->as_array();
    check(array, "{}: {} is no list of {}", place(key), full(key), what);
    for (const toml::node& element : *array) {
      const std::optional<T> value = element.value<T>();
      check(value.has_value(), "{}: {} is no list of {}", place(key), full(key), what);
      values.push_back(*value);
    }
    return values;
  }
  const toml::node* find(const char* key) {
    known_.insert(key);
    return table_.get(key);
  }
  void check_all_known() const {
    for (const auto& [key, node] : table_)
      check(known_.contains(std::string(key.str())), "{}:{}: unknown key '{}'; expected one of: {}", source_,
            node.source().begin.line, full(std::string(key.str())), fmt::join(known_, ", "));
  }
  std::string place(const char* key) const {
    const toml::node* node = table_.get(key);
    return node ? fmt::format("{}:{}", source_, node->source().begin.line) : source_;
  }

 private:
  std::string full(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }
  template <typename T>
  std::optional<T> take(const char* key, const char* what) {
    const toml::node* node = find(key);
    if (!node) return {};
    const std::optional<T> value = node->value_exact<T>();
    check(value.has_value(), "{}: {} is not {}", place(key), full(key), what);
    return value;
  }

  const toml::table& table_;
  std::string source_, name_;
  std::set<std::string> known_;
};

// "fixed size, 2 px" -> "fixed_size_2_px": a folder's name.
std::string folder_name(const std::string& name) {
  std::string folder;
  for (const char c : name) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-';
    if (plain)
      folder += c;
    else if (!folder.empty() && folder.back() != '_')
      folder += '_';
  }
  while (folder.ends_with('_')) folder.pop_back();
  if (folder.find_first_not_of('.') == std::string::npos) folder.clear();  // "." and ".." are no folders of their own
  return folder;
}

std::vector<std::string> settings_of(const Experiment& experiment, const ExperimentVariant& variant, int seed) {
  std::vector<std::string> settings = experiment.settings;
  settings.insert(settings.end(), variant.settings.begin(), variant.settings.end());
  settings.push_back(fmt::format("seed={}", seed));
  return settings;
}

TrainingConfig config_of(const Experiment& experiment, const ExperimentVariant& variant, int seed) {
  TrainingConfig config;
  if (!experiment.config.empty()) read_config(experiment.config, config);
  for (const std::string& setting : settings_of(experiment, variant, seed)) apply_setting(setting, config);
  config.check();
  return config;
}

void read_data(Table& file, const std::string& source, const Path& folder, Experiment& experiment) {
  const toml::node *data = file.find("data"), *synthetic = file.find("synthetic");
  check(!data != !synthetic, "{}: expected either [data] or [synthetic]", source);
  const toml::node* node = data ? data : synthetic;
  check(node->is_table(), "{}:{}: expected a table", source, node->source().begin.line);
  Table table(*node->as_table(), source, data ? "data" : "synthetic");
  if (data) {
    for (const auto& [key, path] :
         {std::pair("train", &experiment.train), {"validation", &experiment.validation}, {"test", &experiment.test}}) {
      const std::string name = table.text(key);
      check(!name.empty(), "{}: data.{} is missing: name a manifest", source, key);
      *path = folder / name;
    }
  } else {
    SyntheticPeople& people = experiment.synthetic;
    people.train = table.number("train", 40, 1, 100000);
    people.validation = table.number("validation", 10, 1, 100000);
    people.test = table.number("test", 10, 1, 100000);
    people.images_per_subject = table.number("images_per_subject", people.images_per_subject, 1, 100000);
    people.size = table.number("size", people.size, 64, 2048);
  }
  table.check_all_known();
}

// Makes the synthetic sets that are not there yet, of different people, and says where their manifests are.
void make_faces(const Path& folder, Experiment& experiment, const std::atomic<bool>* interrupted, std::ostream& log) {
  const SyntheticPeople& people = experiment.synthetic;
  struct Set {
    const char* name;
    int subjects;
    Path* manifest;
  };
  uint64_t seed = 1;
  for (const Set& set : {Set{"train", people.train, &experiment.train},
                         {"validation", people.validation, &experiment.validation},
                         {"test", people.test, &experiment.test}}) {
    SynthOptions options;
    options.out = folder / fmt::format("{}_{}x{}_{}px", set.name, set.subjects, people.images_per_subject, people.size);
    options.subjects = set.subjects;
    options.images_per_subject = people.images_per_subject;
    options.size = people.size;
    options.seed = seed++;
    options.interrupted = interrupted;
    *set.manifest = options.out / "manifest.csv";
    if (std::filesystem::exists(*set.manifest)) continue;
    fmt::print(log, "{}: making {} faces of {} people\n", options.out.string(),
               int64_t{set.subjects} * people.images_per_subject, set.subjects);
    log.flush();
    write_synthetic_dataset(options);
  }
}

// What each variant's tests depend on besides the runs that they test: the faces by their labels, not by the pictures'
// contents.
std::vector<json> tested_on(const Experiment& experiment) {
  std::vector<json> faces(experiment.variants.size(), json::array());
  for (const Path& path : {experiment.train, experiment.validation, experiment.test}) {
    const Manifest manifest = read_faces(path);
    for (size_t v = 0; v < faces.size(); ++v) {
      const TrainingConfig config = config_of(experiment, experiment.variants[v], experiment.seeds[0]);
      const AuTable table = config.au_points.empty() ? default_au_table() : read_au_table(config.au_points);
      std::vector<std::string> aus;  // a test may lack some
      std::ranges::copy_if(config.aus, std::back_inserter(aus),
                           [&](const std::string& au) { return std::ranges::count(manifest.aus, au) > 0; });
      faces[v].push_back({utf8_text(path.string()), fingerprint(manifest, aus, table)});
    }
  }
  for (json& of_variant : faces) of_variant = {std::move(of_variant), experiment.misalign};
  return faces;
}

json test_run(const Experiment& experiment, const ExperimentOptions& options, const Path& run, int seed,
              const json& tested_on, std::ostream& log) {
  EvaluationOptions evaluation;
  evaluation.weights = run / "best.safetensors";
  evaluation.manifest = experiment.test;
  evaluation.device = options.device;
  evaluation.scores.misalignments = experiment.misalign;
  evaluation.scores.bootstrap.replicates = 0;
  const Evaluation scores = evaluate(evaluation, log);
  json test = to_json(scores.metrics);
  test["seed"] = seed;
  test["tested_on"] = tested_on;
  test["misaligned"] = json::array();
  for (const MisalignedScores& moved : scores.misaligned) {
    json level = to_json(moved.metrics);
    level["pixels"] = moved.pixels;
    test["misaligned"].push_back(std::move(level));
  }
  return test;
}

// The test of a run that is done; nothing if it is not, or was tested on something else. Throws Error if the run there
// has other settings.
std::optional<json> finished_test(const Path& run, const TrainingConfig& config, const json& tested_on) {
  if (!std::filesystem::exists(run / "config.toml")) return {};
  TrainingConfig before;
  read_config(run / "config.toml", before);
  std::vector<ConfigDifference> differences = fixed_differences(before, config);
  if (before.epochs != config.epochs)
    differences.push_back({"epochs", std::to_string(before.epochs), std::to_string(config.epochs)});
  for (const ConfigDifference& difference : differences)
    fail("{}: its run has {} = {}, the experiment has {}; take another folder by --out", run.string(), difference.key,
         difference.before, difference.after);
  const Path file = run / "test.json";
  if (!std::filesystem::exists(file)) return {};
  const json test = json::parse(read_file(file), nullptr, false);
  check(test.is_object(), "{}: is damaged; remove it", file.string());
  if (test.value("tested_on", json()) != tested_on) return {};  // train() refuses other faces than were trained on
  return test;
}

// Mean and standard deviation over the runs in which a figure is defined.
json spread(const std::vector<json>& runs, const json::json_pointer& figure) {
  std::vector<double> values;
  for (const json& run : runs)
    if (run.contains(figure) && run.at(figure).is_number()) values.push_back(run.at(figure));
  json result{{"runs", values.size()}, {"mean", nullptr}, {"deviation", nullptr}};
  if (values.empty()) return result;
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  result["mean"] = mean;
  if (values.size() > 1) result["deviation"] = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return result;
}

// {"icc": spread, "mse": ..., "mae": ...} of what lies at `place` in each run.
json spreads(const std::vector<json>& runs, const json::json_pointer& place) {
  json result;
  for (const char* figure : kCompared) result[figure] = spread(runs, place / figure);
  return result;
}

// The spreads of a test: of its means over the AUs and of each AU.
json summary(const std::vector<json>& runs, const json::json_pointer& place) {
  json result{{"mean", spreads(runs, place / "mean")}, {"aus", json::object()}};
  if (runs.empty() || !runs[0].contains(place / "aus")) return result;
  for (const auto& [au, figures] : runs[0].at(place / "aus").items())
    result["aus"][au] = spreads(runs, place / "aus" / au);
  return result;
}

std::string cell(const json& spread) {
  if (spread["mean"].is_null()) return "-";
  const std::string mean = fmt::format("{:.3f}", spread["mean"].get<double>());
  return spread["deviation"].is_null() ? mean : fmt::format("{} +-{:.3f}", mean, spread["deviation"].get<double>());
}

// Columns side by side, the first to the left, the others to the right.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i)
      text += i == 0 ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    while (text.ends_with(' ')) text.pop_back();
    text += '\n';
  }
  return text;
}

void write_results(const Path& out, const json& results) {
  write_file(out / "results.json", results.dump(2) + "\n");
  write_file(out / "results.csv", results_csv(results));
  write_file(out / "results.txt", results_text(results));
}

}  // namespace

Experiment read_experiment(const Path& path) {
  const std::string source = path.string();
  toml::table parsed;
  try {
    parsed = toml::parse(read_file(path), source);
  } catch (const toml::parse_error& error) {
    fail("{}:{}: not valid TOML: {}", source, error.source().begin.line, error.description());
  }
  Experiment experiment;
  Table file(parsed, source, "");
  const Path folder = path.parent_path();
  if (const std::string config = file.text("config"); !config.empty()) experiment.config = folder / config;
  experiment.settings = file.texts("settings");
  for (const int64_t seed : file.list<int64_t>("seeds", "integers")) {
    check(seed >= 0 && seed < (int64_t{1} << 31), "{}: the seed {} is not from 0 to 2147483647", file.place("seeds"),
          seed);
    check(std::ranges::find(experiment.seeds, seed) == experiment.seeds.end(), "{}: the seed {} occurs twice",
          file.place("seeds"), seed);
    experiment.seeds.push_back(static_cast<int>(seed));
  }
  check(!experiment.seeds.empty(), "{}: seeds are missing: expected a list such as [1, 2, 3]", source);
  experiment.misalign = file.list<double>("misalign", "numbers");
  for (const double pixels : experiment.misalign)
    check(pixels >= 0 && pixels <= kMostMisalignment, "{}: misalign has {}, expected 0 to {} pixels",
          file.place("misalign"), pixels, kMostMisalignment);
  read_data(file, source, folder, experiment);

  const toml::node* variants = file.find("variant");
  check(variants && variants->is_array_of_tables() && !variants->as_array()->empty(),
        "{}: has no [[variant]]; expected one for each of the settings to compare", source);
  std::set<std::string> folders;
  for (const toml::node& node : *variants->as_array()) {
    Table table(*node.as_table(), source, "variant");
    ExperimentVariant variant{table.text("name"), table.texts("settings")};
    const std::string place = fmt::format("{}:{}", source, node.source().begin.line);
    check(!folder_name(variant.name).empty(), "{}: a variant needs a name with letters or digits", place);
    check(folders.insert(folder_name(variant.name)).second, "{}: two variants would share the folder '{}'", place,
          folder_name(variant.name));
    table.check_all_known();
    try {
      config_of(experiment, variant, experiment.seeds[0]);
    } catch (const Error& error) {
      fail("{}: variant '{}': {}", place, variant.name, error.what());
    }
    experiment.variants.push_back(std::move(variant));
  }
  file.check_all_known();
  return experiment;
}

ExperimentResult run_experiment(const ExperimentOptions& options, std::ostream& log) {
  Experiment experiment = read_experiment(options.file);
  const Path& out = options.out;
  std::filesystem::create_directories(out);
  if (experiment.synthetic.train > 0) make_faces(out / "faces", experiment, options.interrupted, log);

  const std::vector<json> faces = tested_on(experiment);
  std::vector<std::vector<json>> tests(experiment.variants.size());
  ExperimentResult result;
  // Seed by seed, so that an experiment that is stopped has compared all variants.
  for (const int seed : experiment.seeds)
    for (size_t v = 0; v < experiment.variants.size(); ++v) {
      const ExperimentVariant& variant = experiment.variants[v];
      const Path run = out / folder_name(variant.name) / fmt::format("seed_{}", seed);
      const TrainingConfig config = config_of(experiment, variant, seed);
      std::optional<json> test = finished_test(run, config, faces[v]);
      if (!test) {
        if (options.interrupted && *options.interrupted) return result;
        fmt::print(log, "{}: variant '{}', seed {}\n", run.string(), variant.name, seed);
        TrainingOptions training;
        training.train = experiment.train;
        training.validation = experiment.validation;
        training.run_dir = run;
        if (!experiment.config.empty()) training.config = experiment.config;
        training.settings = settings_of(experiment, variant, seed);
        training.device = options.device;
        training.resume = std::filesystem::exists(run / "config.toml");
        training.live = options.live;
        training.versions = options.versions;
        const TrainingResult trained = train(training, log);
        if (!trained.finished || trained.interrupted) return result;
        test = test_run(experiment, options, run, seed, faces[v], log);
        write_file(run / "test.json", test->dump(2) + "\n");
      }
      tests[v].push_back(std::move(*test));
      const json results = gather(experiment.variants, tests);
      write_results(out, results);
      result.table = results_text(results);
    }
  result.finished = true;
  return result;
}

json gather(const std::vector<ExperimentVariant>& variants, const std::vector<std::vector<json>>& tests) {
  json results{{"variants", json::array()}};
  for (size_t v = 0; v < variants.size(); ++v) {
    json variant{{"name", variants[v].name}, {"settings", variants[v].settings}, {"runs", tests[v]}};
    variant["test"] = summary(tests[v], json::json_pointer(""));
    variant["misaligned"] = json::array();
    const size_t levels = tests[v].empty() ? 0 : tests[v][0].value("misaligned", json::array()).size();
    for (size_t level = 0; level < levels; ++level) {
      const json::json_pointer place = json::json_pointer("/misaligned") / level;
      json moved = summary(tests[v], place);
      moved["pixels"] = tests[v][0].at(place / "pixels");
      variant["misaligned"].push_back(std::move(moved));
    }
    results["variants"].push_back(std::move(variant));
  }
  return results;
}

std::string results_text(const json& results) {
  std::string text = "Mean and standard deviation over the seeds, on the test set.\n\n";
  std::vector<std::vector<std::string>> means{{"mean over AUs", "seeds", "ICC", "MSE", "MAE"}}, aus{{"ICC"}},
      moved{{"ICC, landmarks moved by"}};
  for (const json& variant : results["variants"]) {
    const std::string name = variant["name"];
    const json &test = variant["test"], &mean = test["mean"];
    means.push_back(
        {name, fmt::format("{}", variant["runs"].size()), cell(mean["icc"]), cell(mean["mse"]), cell(mean["mae"])});
    aus.push_back({name});
    for (const auto& [au, figures] : test["aus"].items()) {
      if (std::find(aus[0].begin(), aus[0].end(), au) == aus[0].end()) aus[0].push_back(au);
      aus.back().push_back(cell(figures["icc"]));
    }
    if (variant["misaligned"].empty()) continue;
    moved.push_back({name});
    for (const json& level : variant["misaligned"]) {
      if (moved.size() == 2) moved[0].push_back(fmt::format("{} px", level["pixels"].get<double>()));
      moved.back().push_back(cell(level["mean"]["icc"]));
    }
  }
  text += aligned(means) + "\n" + aligned(aus);
  if (moved.size() > 1) text += "\n" + aligned(moved);
  return text;
}

std::string results_csv(const json& results) {
  std::string csv = "variant,misalignment_px,au,seeds";
  for (const char* figure : kCompared) csv += fmt::format(",{0},{0}_deviation", figure);
  csv += '\n';
  const auto number = [](const json& value) {
    return value.is_null() ? std::string() : fmt::format("{:.6f}", value.get<double>());
  };
  for (const json& variant : results["variants"]) {
    std::string name = "\"";
    for (const char c : variant["name"].get<std::string>()) name.append(c == '"' ? 2 : 1, c);
    name += '"';
    const auto add = [&](const std::string& pixels, const std::string& au, const json& figures) {
      csv += fmt::format("{},{},{},{}", name, pixels, au, variant["runs"].size());
      for (const char* figure : kCompared)
        csv += fmt::format(",{},{}", number(figures[figure]["mean"]), number(figures[figure]["deviation"]));
      csv += '\n';
    };
    const auto add_test = [&](const std::string& pixels, const json& test) {
      add(pixels, "mean", test["mean"]);
      for (const auto& [au, figures] : test["aus"].items()) add(pixels, au, figures);
    };
    add_test("0", variant["test"]);
    for (const json& level : variant["misaligned"])
      if (level["pixels"] != 0) add_test(fmt::format("{}", level["pixels"].get<double>()), level);
  }
  return csv;
}

}  // namespace sandglass
