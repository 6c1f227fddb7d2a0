#include "train/config.h"

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <type_traits>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "face/au_points.h"
#include "train/data/csv.h"

namespace sandglass {
namespace {

using Texts = std::vector<std::string>;
constexpr const char *kAuList = "list of AUs", *kPartList = "list of parts", *kPartTable = "table of numbers",
                     *kLevelTable = "table of lists";
constexpr double kMany = 1e9;

// Where a value lies in a const configuration, and its type.
template <typename Visitor>
auto visit_value(const ConfigKey& key, const TrainingConfig& config, Visitor visitor) {
  const ConfigKey::Member member = key.member(const_cast<TrainingConfig&>(config));
  return std::visit([&](const auto* value) { return visitor(*value); }, member);
}

std::string quoted_toml(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

struct ValueText {
  std::string operator()(int value) const { return fmt::format("{}", value); }
  std::string operator()(uint64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const {
    const std::string text = fmt::format("{}", value);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;  // TOML's integers have neither
  }
  std::string operator()(const std::string& value) const { return quoted_toml(value); }
  std::string operator()(const Texts& values) const { return list(values); }
  std::string operator()(const PartNames& parts) const { return list(parts.names); }
  std::string operator()(const PartNumbers& table) const { return inline_table(table); }
  std::string operator()(const LevelTable& table) const { return inline_table(table); }
  std::string operator()(const std::vector<double>& numbers) const { return list(numbers); }

  template <typename Values>
  std::string list(const Values& values) const {
    std::string out;
    for (const auto& value : values) out += (out.empty() ? "" : ", ") + (*this)(value);
    return "[" + out + "]";
  }
  template <typename Table>
  std::string inline_table(const Table& table) const {
    std::string out;
    for (const auto& [name, value] : table)
      out += fmt::format("{}{} = {}", out.empty() ? " " : ", ", quoted_toml(name), (*this)(value));
    return out.empty() ? "{}" : "{" + out + " }";
  }
};

struct TypeName {
  std::string operator()(int) const { return "integer"; }
  std::string operator()(uint64_t) const { return "integer"; }
  std::string operator()(double) const { return "number"; }
  std::string operator()(const std::string&) const { return "text"; }
  std::string operator()(const Texts&) const { return kAuList; }
  std::string operator()(const PartNames&) const { return kPartList; }
  std::string operator()(const PartNumbers&) const { return kPartTable; }
  std::string operator()(const LevelTable&) const { return kLevelTable; }
};

std::string value_text(const ConfigKey& key, const TrainingConfig& config) {
  return visit_value(key, config, ValueText{});
}

std::string type_name(const ConfigKey& key) { return visit_value(key, TrainingConfig{}, TypeName{}); }

std::string number_text(double value) {
  return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

std::string range_text(const ConfigKey& key) {
  if (!key.choices.empty()) return fmt::format("{}", fmt::join(key.choices, ", "));
  if (key.low == key.high) return "";
  if (key.high >= kMany) return number_text(key.low) + " or more";
  return number_text(key.low) + " to " + number_text(key.high);
}

std::string expected(const ConfigKey& key) {
  const std::string range = range_text(key), type = type_name(key);
  if (!key.choices.empty()) return fmt::format("expected one of: {}", range);
  if (type == kPartList) return "expected a list of names, such as [\"stem\", \"m0.b1_4\"]";
  if (type == kPartTable)
    return "expected a table of numbers from 0 to 1000, such as { stem = 0.1, \"m0.b1_4\" = 0.5 }";
  if (type == kLevelTable)
    return "expected for each Action Unit (or all) six numbers from 0 to 1000, for the intensities 0 to 5, such as "
           "{ AU06 = [1, 1, 2, 2, 4, 4] }";
  if (type == kAuList) return "expected a list of Action Units, such as [\"AU06\", \"AU12\"]";
  const char* article = type == "integer" ? "an" : "a";
  return range.empty() ? fmt::format("expected {} {}", article, type)
                       : fmt::format("expected {} {}, {}", article, type, range);
}

// "fixed:2.5" matches the choice "fixed:<px>".
bool matches(std::string_view choice, const std::string& text) {
  const size_t open = choice.find('<');
  if (open == std::string_view::npos) return text == choice;
  if (!text.starts_with(choice.substr(0, open))) return false;
  const auto number = parse_number(std::string_view(text).substr(open));
  return number && *number > 0 && *number <= 1000;
}

bool is_au_name(const std::string& name) {
  try {
    normalise_au_name(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A number from 0 to 1000, or nothing.
std::optional<double> factor(const toml::node& node) {
  const auto number = node.is_number() ? node.value<double>() : std::optional<double>();
  return number && *number >= 0 && *number <= 1000 ? number : std::nullopt;
}

// Such numbers for the intensities 0 to 5.
std::optional<std::vector<double>> level_factors(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (!array || array->size() != kIntensityLevels) return {};
  std::vector<double> numbers;
  for (const toml::node& element : *array) {
    const auto number = factor(element);
    if (!number) return {};
    numbers.push_back(*number);
  }
  return numbers;
}

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

const ConfigKey& find_key(std::string_view name, const std::string& where) {
  const std::vector<ConfigKey>& keys = config_keys();
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const ConfigKey& key) { return key.name == name; });
  if (found != keys.end()) return *found;
  const auto nearest = std::min_element(keys.begin(), keys.end(), [&](const ConfigKey& a, const ConfigKey& b) {
    return edit_distance(a.name, name) < edit_distance(b.name, name);
  });
  fail("{}: unknown key '{}'; the nearest is '{}' (`sandglass train --help` lists all)", where, name, nearest->name);
}

// Takes the value of a TOML node as the key wants it; false if type, range or choice is wrong.
bool assign(const toml::node& node, const ConfigKey& key, TrainingConfig& config) {
  const auto in_range = [&](double value) { return value >= key.low && value <= key.high; };
  const auto set = [&](auto* target) {
    using Value = std::remove_pointer_t<decltype(target)>;
    if constexpr (std::is_integral_v<Value>) {
      const auto* value = node.as_integer();
      if (!value || !in_range(static_cast<double>(value->get()))) return false;
      *target = static_cast<Value>(value->get());
    } else if constexpr (std::is_same_v<Value, double>) {
      if (!node.is_number()) return false;
      const double value = *node.value<double>();
      if (!in_range(value)) return false;
      *target = value;
    } else if constexpr (std::is_same_v<Value, std::string>) {
      const auto* value = node.as_string();
      if (!value) return false;
      const auto fits = [&](std::string_view choice) { return matches(choice, value->get()); };
      if (!key.choices.empty() && std::none_of(key.choices.begin(), key.choices.end(), fits)) return false;
      *target = value->get();
    } else if constexpr (std::is_same_v<Value, PartNames>) {
      const auto* values = node.as_array();
      if (!values) return false;
      PartNames parts;
      for (const toml::node& element : *values) {
        if (!element.is_string()) return false;
        parts.names.push_back(element.as_string()->get());
      }
      *target = std::move(parts);
    } else if constexpr (std::is_same_v<Value, PartNumbers>) {
      const auto* table = node.as_table();
      if (!table) return false;
      PartNumbers numbers;
      for (const auto& [name, element] : *table) {
        const auto number = factor(element);
        if (!number) return false;
        numbers[std::string(name.str())] = *number;
      }
      *target = std::move(numbers);
    } else if constexpr (std::is_same_v<Value, LevelTable>) {
      const auto* table = node.as_table();
      if (!table) return false;
      LevelTable levels;
      for (const auto& [name, element] : *table) {
        const std::string au(name.str());
        const auto numbers = level_factors(element);
        if ((au != "all" && !is_au_name(au)) || !numbers) return false;
        levels[au == "all" ? au : normalise_au_name(au)] = *numbers;
      }
      *target = std::move(levels);
    } else {
      const auto* values = node.as_array();
      if (!values) return false;
      Texts names;
      for (const toml::node& element : *values) {
        if (!element.is_string() || !is_au_name(element.as_string()->get())) return false;
        names.push_back(normalise_au_name(element.as_string()->get()));
      }
      *target = std::move(names);
    }
    return true;
  };
  return std::visit(set, key.member(config));
}

std::string node_text(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& value) { out << value; });
  return out.str();
}

// Whether a table under this name is one value.
bool takes_table(std::string_view name) {
  return std::any_of(config_keys().begin(), config_keys().end(), [&](const ConfigKey& key) {
    const std::string type = key.name == name ? type_name(key) : "";
    return type == kPartTable || type == kLevelTable;
  });
}

void assign_table(const toml::table& table, const std::string& prefix, const std::string& source,
                  TrainingConfig& config) {
  for (const auto& [name, node] : table) {
    const std::string full = prefix + std::string(name.str());
    if (const toml::table* inner = node.as_table(); inner && !takes_table(full)) {
      assign_table(*inner, full + ".", source, config);
      continue;
    }
    const std::string where = fmt::format("{}:{}", source, node.source().begin.line);
    const ConfigKey& key = find_key(full, where);
    check(assign(node, key, config), "{}: '{}' is {}, {}", where, key.name, node_text(node), expected(key));
  }
}

// The values that are paths.
std::vector<std::string*> paths(TrainingConfig& config) {
  return {&config.au_points, &config.transfer_weights, &config.data.path, &config.data.pictures,
          &config.data.landmarks};
}

// Reads settings into `config`, and makes the paths that they name count from `folder`.
template <typename Read>
void with_paths_from(const std::filesystem::path& folder, TrainingConfig& config, Read read) {
  TrainingConfig before = config;
  read();
  const std::vector<std::string*> old_paths = paths(before), new_paths = paths(config);
  for (size_t i = 0; i < new_paths.size(); ++i) {
    std::string& path = *new_paths[i];
    if (path == *old_paths[i] || path.empty() || path == "detect") continue;
    path = std::filesystem::absolute(folder / path).lexically_normal().string();
  }
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  using C = TrainingConfig;
  using M = ConfigKey::Member;
  static const std::vector<ConfigKey> keys = {
      {"head",
       [](C& c) -> M { return &c.head; },
       0,
       0,
       {"heatmap", "regression"},
       "what the network states: heatmaps, or the intensities themselves (the same layers, then the mean over all "
       "pixels)"},
      {"width", [](C& c) -> M { return &c.width; }, 4, 4096, {}, "channels of the hourglass, a multiple of 4"},
      {"depth", [](C& c) -> M { return &c.depth; }, 1, 8, {}, "levels of the hourglass"},
      {"input_size",
       [](C& c) -> M { return &c.input_size; },
       8,
       4096,
       {},
       "side of the registered face in pixels, a multiple of 4 * 2^depth; heatmaps are a quarter of it"},
      {"aus", [](C& c) -> M { return &c.aus; }, 0, 0, {}, "Action Units to learn, in the order of the heatmaps"},
      {"epochs", [](C& c) -> M { return &c.epochs; }, 1, 1e6, {}, "passes over the training set", false},
      {"batch", [](C& c) -> M { return &c.batch; }, 1, 4096, {}, "faces a step"},
      {"lr", [](C& c) -> M { return &c.lr; }, 0, 10, {}, "learning rate"},
      {"optimizer", [](C& c) -> M { return &c.optimizer; }, 0, 0, {"rmsprop", "adamw"}, "optimiser"},
      {"schedule",
       [](C& c) -> M { return &c.schedule; },
       0,
       0,
       {"constant", "cosine", "step"},
       "learning rate over time: constant, half a cosine down to 0 at the end, or multiplied by step_factor every "
       "step_epochs"},
      {"warmup",
       [](C& c) -> M { return &c.warmup; },
       0,
       1e6,
       {},
       "epochs in which the learning rate rises linearly to lr"},
      {"step_epochs",
       [](C& c) -> M { return &c.step_epochs; },
       1,
       1e6,
       {},
       "epochs between two steps of schedule step"},
      {"step_factor", [](C& c) -> M { return &c.step_factor; }, 0, 1, {}, "factor of each step of schedule step"},
      {"weight_decay",
       [](C& c) -> M { return &c.weight_decay; },
       0,
       10,
       {},
       "on convolution weights; added to the gradient (rmsprop) or decoupled (adamw)"},
      {"clip", [](C& c) -> M { return &c.clip; }, 0, kMany, {}, "largest norm of the gradient; 0: no limit"},
      {"seed", [](C& c) -> M { return &c.seed; }, 0, 9e18, {}, "of initial weights, order and augmentation"},
      {"workers", [](C& c) -> M { return &c.workers; }, 1, 256, {}, "threads that read and prepare pictures", false},
      {"cache_mb",
       [](C& c) -> M { return &c.cache_mb; },
       0,
       1e6,
       {},
       "MiB of decoded training pictures kept in memory",
       false},
      {"data.format",
       [](C& c) -> M { return &c.data.format; },
       0,
       0,
       {"none", "manifest", "pack", "bp4d", "disfa", "openface"},
       "what data.path is; none: the faces are named by --train and --val",
       false},
      {"data.path",
       [](C& c) -> M { return &c.data.path; },
       0,
       0,
       {},
       "the data set's folder, the manifest, the pack, or OpenFace's CSV (or a folder of them)",
       false},
      {"data.pictures",
       [](C& c) -> M { return &c.data.pictures; },
       0,
       0,
       {},
       "openface: the video or the folder of pictures that the CSV is about (or the folder that holds one for each "
       "CSV); bp4d, disfa: the folder of pictures or videos, where it is not below data.path",
       false},
      {"data.landmarks",
       [](C& c) -> M { return &c.data.landmarks; },
       0,
       0,
       {},
       "folder of .pts or .mat files, or an imglab .xml; detect: found by the face detector; empty: those that the "
       "data "
       "set has, else found",
       false},
      {"data.train",
       [](C& c) -> M { return &c.data.train; },
       0,
       0,
       {},
       "subjects to train on: all, or names and lists (bp4d-train, bp4d-development, disfa-part1 to disfa-part3), "
       "separated by commas",
       false},
      {"data.validation",
       [](C& c) -> M { return &c.data.validation; },
       0,
       0,
       {},
       "subjects that choose the best weights; empty: none",
       false},
      {"data.frames",
       [](C& c) -> M { return &c.data.frames; },
       0,
       0,
       {"order", "number"},
       "openface, in a folder of pictures: frame n is the n-th in natural order, or the one with n in its name",
       false},
      {"data.not_coded",
       [](C& c) -> M { return &c.data.not_coded; },
       0,
       0,
       {"drop", "mask"},
       "a frame in which one of the AUs is not coded is left out, or only that AU's loss and scores are",
       false},
      {"data.problems",
       [](C& c) -> M { return &c.data.problems; },
       0,
       0,
       {"skip", "stop"},
       "what cannot be used is listed and left out, or the first such thing is an error",
       false},
      {"augment.rotation", [](C& c) -> M { return &c.augment.rotation; }, 0, 180, {}, "degrees, to either side"},
      {"augment.scale", [](C& c) -> M { return &c.augment.scale; }, 0, 0.9, {}, "fraction, smaller or larger"},
      {"augment.shift", [](C& c) -> M { return &c.augment.shift; }, 0, 1, {}, "fraction of input_size, in x and in y"},
      {"augment.mirror", [](C& c) -> M { return &c.augment.mirror; }, 0, 1, {}, "probability"},
      {"augment.brightness",
       [](C& c) -> M { return &c.augment.brightness; },
       0,
       1,
       {},
       "fraction of the full range, darker or brighter"},
      {"augment.contrast", [](C& c) -> M { return &c.augment.contrast; }, 0, 1, {}, "fraction, less or more"},
      {"augment.landmark_jitter",
       [](C& c) -> M { return &c.augment.landmark_jitter; },
       0,
       0.1,
       {},
       "standard deviation of the error of the registration's landmarks, fraction of the distance between the outer "
       "eye "
       "corners"},
      {"heatmap.sigma",
       [](C& c) -> M { return &c.heatmap_sigma; },
       0,
       0,
       {"intensity", "fan", "fixed:<px>"},
       "standard deviation of the Gaussians for intensity I, in pixels of a 64x64 map: I, (6 I + 1) / 4, or the number "
       "given"},
      {"heatmap.cut",
       [](C& c) -> M { return &c.heatmap_cut; },
       0.1,
       1000,
       {},
       "the Gaussians end at a distance of cut * I (of a fixed size: cut * px) pixels of a 64x64 map"},
      {"loss.function",
       [](C& c) -> M { return &c.loss_function; },
       0,
       0,
       {"l2", "huber", "adaptive_wing"},
       "what is summed over the pixels (docs/kernels.md)"},
      {"loss.huber_delta",
       [](C& c) -> M { return &c.loss_huber_delta; },
       1e-3,
       1000,
       {},
       "difference beyond which huber is linear, in units of intensity"},
      {"loss.balance",
       [](C& c) -> M { return &c.loss_balance; },
       0,
       0,
       {"none", "inverse", "sqrt"},
       "weights of the loss by how often an Action Unit has an intensity in the training set: none, one over the "
       "number, or over its root; with a mean of 1 for each Action Unit"},
      {"loss.weights",
       [](C& c) -> M { return &c.loss_weights; },
       0,
       0,
       {},
       "explicit weights of the loss for the intensities 0 to 5; they replace those of loss.balance"},
      {"sampling.balance",
       [](C& c) -> M { return &c.sampling_balance; },
       0,
       0,
       {"none", "intensity"},
       "none: each picture once an epoch; intensity: as if an Action Unit, then one of its intensities, then a picture "
       "with it were drawn, all alike"},
      {"sampling.weights",
       [](C& c) -> M { return &c.sampling_weights; },
       0,
       0,
       {},
       "explicit weights for the intensities 0 to 5, in place of sampling.balance's; a picture is drawn in proportion "
       "to the mean over its coded Action Units"},
      {"transfer.weights",
       [](C& c) -> M { return &c.transfer_weights; },
       0,
       0,
       {},
       "file of weights to start from, of the same width; the last layer begins anew if its Action Units or its head "
       "differ"},
      {"transfer.freeze",
       [](C& c) -> M { return &c.transfer_freeze; },
       0,
       0,
       {},
       "what keeps its parameters: stem, hourglass, top, head, or beginnings of tensor names"},
      {"transfer.learning_rate",
       [](C& c) -> M { return &c.transfer_learning_rate; },
       0,
       0,
       {},
       "factors of the learning rate for such parts; tensors win over parts, longer names over shorter ones"},
      {"au_points",
       [](C& c) -> M { return &c.au_points; },
       0,
       0,
       {},
       "file with the table of points per Action Unit; empty: the built-in table"},
      {"checkpoint_every",
       [](C& c) -> M { return &c.checkpoint_every; },
       0,
       kMany,
       {},
       "steps between checkpoints, besides the one at each epoch's end; 0: only that one",
       false},
      {"validate_every", [](C& c) -> M { return &c.validate_every; }, 1, 1e6, {}, "epochs between validations"},
  };
  return keys;
}

NetworkConfig TrainingConfig::network() const {
  return {.width = width,
          .depth = depth,
          .heatmaps = static_cast<int>(aus.size()),
          .input_size = input_size,
          .head = head == "regression" ? Head::regression : Head::heatmap};
}

OptimizerKind TrainingConfig::optimizer_kind() const {
  return optimizer == "adamw" ? OptimizerKind::adamw : OptimizerKind::rmsprop;
}

HeatmapSpec TrainingConfig::heatmap(int points_per_map) const {
  HeatmapSpec spec;
  spec.cut = static_cast<float>(heatmap_cut);
  spec.scale = static_cast<float>(network().map_size()) / 64;
  spec.points_per_map = points_per_map;
  if (heatmap_sigma == "fan") spec.sigma_rule = SigmaRule::fan;
  if (heatmap_sigma.starts_with("fixed:")) {
    spec.sigma_rule = SigmaRule::fixed;
    spec.sigma = static_cast<float>(*parse_number(std::string_view(heatmap_sigma).substr(6)));
  }
  return spec;
}

LossSpec TrainingConfig::loss() const {
  LossSpec spec;
  if (loss_function == "huber") spec.function = LossFunction::huber;
  if (loss_function == "adaptive_wing") spec.function = LossFunction::adaptive_wing;
  spec.delta = static_cast<float>(loss_huber_delta);
  return spec;
}

void TrainingConfig::check() const {
  sandglass::check(!aus.empty(), "aus is empty: name at least one Action Unit, for example --set aus=AU06,AU12");
  std::set<std::string> seen;
  for (const std::string& au : aus) sandglass::check(seen.insert(au).second, "aus: '{}' occurs twice", au);
  // Neither config.toml nor a checkpoint could hold it.
  for (const std::string* path : paths(const_cast<TrainingConfig&>(*this))) {
    sandglass::check(is_utf8(*path), "the path {} is not valid UTF-8; rename it", in_quotes(*path));
  }
  for (const auto& [name, table] : {std::pair("loss.weights", &loss_weights), {"sampling.weights", &sampling_weights}})
    for (const auto& [au, weights] : *table)
      sandglass::check(au == "all" || seen.contains(au), "{}: '{}' is not one of `aus`", name, au);
  sandglass::check(head != "regression" || loss_function != "adaptive_wing",
                   "loss.function is adaptive_wing, which is for heatmaps; with head = regression use l2 or huber");
  sandglass::check(transfer_freeze.names.empty() || !transfer_weights.empty(),
                   "transfer.freeze is set without transfer.weights: what is frozen would keep its random values");
  network().check();
}

void parse_config(std::string_view text, const std::string& source, TrainingConfig& config) {
  toml::table table;
  try {
    table = toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    fail("{}:{}: not valid TOML: {}", source, error.source().begin.line, error.description());
  }
  assign_table(table, "", source, config);
}

void read_config(const std::filesystem::path& path, TrainingConfig& config) {
  with_paths_from(path.parent_path(), config, [&] { parse_config(read_file(path), path.string(), config); });
}

void apply_setting(std::string_view setting, TrainingConfig& config) {
  const std::string where = fmt::format("--set {}", setting);
  const size_t equals = setting.find('=');
  check(equals != std::string_view::npos, "{}: expected key=value", where);
  const ConfigKey& key = find_key(setting.substr(0, equals), where);
  const std::string text(setting.substr(equals + 1));
  const std::string type = type_name(key);

  toml::table table;
  if (type == "text" && !text.starts_with('"')) {
    table.insert("value", text);
  } else if ((type == kAuList || type == kPartList) && !text.starts_with('[')) {
    toml::array values;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      values.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    table.insert("value", std::move(values));
  } else {
    try {
      table = toml::parse("value = " + text);
    } catch (const toml::parse_error&) {
      table.clear();
    }
  }
  const toml::node* node = table.size() == 1 ? table.get("value") : nullptr;
  with_paths_from(std::filesystem::current_path(), config,
                  [&] { check(node && assign(*node, key, config), "{}: {}", where, expected(key)); });
}

std::string to_toml(const TrainingConfig& config) {
  std::string out;
  for (const ConfigKey& key : config_keys()) {
    out += fmt::format("# {}\n{} = {}\n", key.help, key.name, value_text(key, config));
  }
  return out;
}

std::vector<ConfigDifference> fixed_differences(const TrainingConfig& before, const TrainingConfig& after) {
  std::vector<ConfigDifference> differences;
  for (const ConfigKey& key : config_keys()) {
    const std::string a = value_text(key, before), b = value_text(key, after);
    if (key.fixed_in_run && a != b) differences.push_back({std::string(key.name), a, b});
  }
  return differences;
}

std::string config_help() {
  std::string out;
  for (const ConfigKey& key : config_keys()) {
    const std::string range = range_text(key);
    out += fmt::format("  {} = {}\n      {}{}\n", key.name, value_text(key, {}), key.help,
                       range.empty() ? "" : fmt::format(" ({})", range));
  }
  return out;
}

std::string config_markdown() {
  std::string out = "| key | type | default | range | meaning |\n|---|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys()) {
    const std::string range =
        key.choices.empty() ? range_text(key) : fmt::format("`{}`", fmt::join(key.choices, "`, `"));
    out +=
        fmt::format("| `{}` | {} | `{}` | {} | {} |\n", key.name, type_name(key), value_text(key, {}), range, key.help);
  }
  return out;
}

}  // namespace sandglass
