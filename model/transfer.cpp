#include "model/transfer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "kernels/optimizer/optimizer.h"

namespace sandglass {
namespace {

const std::map<std::string, std::vector<std::string>> kParts = {
    {"stem", {"conv1", "bn1", "conv2", "conv3", "conv4"}},
    {"hourglass", {"m0"}},
    {"top", {"top_m_0", "conv_last0", "bn_end0"}},
    {"head", {"l0"}},
};

std::vector<std::string> tensor_prefixes(const std::string& name) {
  const auto part = kParts.find(name);
  return part != kParts.end() ? part->second : std::vector<std::string>{name};
}

bool begins_with(const std::string& tensor, const std::string& prefix) {
  return tensor.starts_with(prefix) && (tensor.size() == prefix.size() || tensor[prefix.size()] == '.');
}

// Sets the factor of all parameters that begin with a prefix.
void set_factor(const ParameterTable& table, const std::string& name, const std::string& prefix, float factor,
                std::vector<float>& factors) {
  bool fits = false;
  for (const ParameterInfo& p : table.all()) {
    if (p.is_statistic() || !begins_with(p.name, prefix)) continue;
    fits = true;
    const auto first = factors.begin() + static_cast<ptrdiff_t>(p.offset / kParameterGroup);
    std::fill_n(first, parameter_groups(p.elements), factor);
  }
  check(fits,
        "transfer: no parameter of the network is called '{}'; parts are stem, hourglass, top, head, or beginnings of "
        "tensor names up to a dot, such as m0.b1_4",
        name);
}

}  // namespace

Weights transferred(Weights fresh, const TensorFile& file, const std::string& source, TransferReport& report) {
  const HostTensor* last = file.find("l0.weight");
  const bool same_head = last && !last->shape.empty() && last->shape[0] == fresh.config.heatmaps &&
                         au_names(file, fresh.config.heatmaps, source) == fresh.aus &&
                         head_of(file, source) == fresh.config.head;
  const ParameterTable table(fresh.config);
  std::set<std::string> taken;
  for (const ParameterInfo& p : table.all()) {
    const HostTensor* tensor = file.find(p.name);
    if (!tensor || (begins_with(p.name, "l0") && !same_head)) {
      report.anew.push_back(p.name);
      continue;
    }
    set_tensor(fresh, p, *tensor, source);
    taken.insert(p.name);
  }
  check(!taken.empty(), "{}: none of its tensors belongs to a heatmap network; there is nothing to transfer", source);
  report.taken = static_cast<int>(taken.size());
  for (const HostTensor& tensor : file.tensors)
    if (!taken.contains(tensor.name) && !is_ignored(tensor.name)) report.left_out.push_back(tensor.name);
  return fresh;
}

std::vector<float> rate_factors(const ParameterTable& table, const std::vector<std::string>& frozen,
                                const std::map<std::string, double>& factors) {
  if (frozen.empty() && factors.empty()) return {};
  std::vector<float> result(parameter_groups(table.parameter_elements()), 1.0f);
  struct Setting {
    std::string name, prefix;
    float factor;
  };
  std::vector<Setting> settings;
  for (const auto& [name, factor] : factors)
    for (const std::string& prefix : tensor_prefixes(name))
      settings.push_back({name, prefix, static_cast<float>(factor)});
  // The later ones win: tensors over parts, longer names over shorter ones.
  const auto rank = [](const Setting& s) { return kParts.contains(s.name) ? 0 : s.prefix.size(); };
  std::stable_sort(settings.begin(), settings.end(),
                   [&](const Setting& a, const Setting& b) { return rank(a) < rank(b); });
  for (const std::string& name : frozen)
    for (const std::string& prefix : tensor_prefixes(name)) settings.push_back({name, prefix, 0});
  for (const Setting& setting : settings) set_factor(table, setting.name, setting.prefix, setting.factor, result);
  check(
      std::any_of(table.all().begin(), table.all().end(),
                  [&](const ParameterInfo& p) { return !p.is_statistic() && result[p.offset / kParameterGroup] > 0; }),
      "transfer: everything is frozen, so that there is nothing to train");
  return result;
}

}  // namespace sandglass
