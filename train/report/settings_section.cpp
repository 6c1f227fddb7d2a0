#include <fmt/format.h>

#include <algorithm>

#include "train/config.h"
#include "train/report/html.h"
#include "train/report/sections.h"

namespace sandglass {
namespace {

std::string plain(const nlohmann::json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string settings_table(const RunData& run) {
  const auto defaults = settings_of(to_toml(TrainingConfig{}));
  std::vector<std::vector<std::string>> rows{{"key", "value", "default, where it differs"}};
  for (const auto& setting : run.settings) {
    const auto is_key = [&](const auto& other) { return other.first == setting.first; };
    const auto found = std::find_if(defaults.begin(), defaults.end(), is_key);
    const bool differs = found == defaults.end() || found->second != setting.second;
    const std::string value = escaped(setting.second);
    rows.push_back({escaped(setting.first), differs ? "<b>" + value + "</b>" : value,
                    differs && found != defaults.end() ? escaped(found->second) : ""});
  }
  return table(rows, false);
}

std::string description_table(const nlohmann::json& description) {
  std::vector<std::vector<std::string>> rows{{"what", "value"}};
  for (const auto& [key, value] : description.items()) {
    if (!value.is_object()) {
      rows.push_back({escaped(key), escaped(plain(value))});
      continue;
    }
    for (const auto& [inner, text] : value.items()) rows.push_back({escaped(inner), escaped(plain(text))});
  }
  return table(rows, false);
}

}  // namespace

std::string settings_section(const RunData& run) {
  std::string out;
  if (!run.settings.empty())
    out += section("Settings", "<details><summary>All settings; in bold those that are not the default</summary>\n" +
                                   settings_table(run) + "</details>\n");
  if (run.description.is_object()) out += section("What made it", description_table(run.description));
  return out;
}

}  // namespace sandglass
