#include "model/network.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "kernels/optimizer/optimizer.h"

namespace sandglass {
namespace {

// Walks the network in the order of PyTorch's state_dict.
class Walk {
 public:
  std::vector<ParameterInfo> all;

  void conv(const std::string& name, int k, int c, int size, bool bias) {
    add(name + ".weight", ParameterInfo::Kind::conv_weight, {k, c, size, size});
    if (bias) add(name + ".bias", ParameterInfo::Kind::conv_bias, {k});
  }
  void batch_norm(const std::string& name, int channels) {
    add(name + ".weight", ParameterInfo::Kind::gamma, {channels});
    add(name + ".bias", ParameterInfo::Kind::beta, {channels});
    add(name + ".running_mean", ParameterInfo::Kind::running_mean, {channels});
    add(name + ".running_var", ParameterInfo::Kind::running_var, {channels});
  }
  void bottleneck(const std::string& name, int c_in, int c_out) {
    const int middle = c_out / 2;
    conv(name + ".conv1", middle, c_in, 1, false);
    batch_norm(name + ".bn1", middle);
    conv(name + ".conv2", middle, middle, 3, false);
    batch_norm(name + ".bn2", middle);
    conv(name + ".conv3", c_out, middle, 1, false);
    batch_norm(name + ".bn3", c_out);
    if (c_in == c_out) return;
    conv(name + ".downsample.0", c_out, c_in, 1, false);
    batch_norm(name + ".downsample.1", c_out);
  }

 private:
  void add(std::string name, ParameterInfo::Kind kind, std::vector<int64_t> shape) {
    size_t elements = 1;
    for (int64_t size : shape) elements *= static_cast<size_t>(size);
    all.push_back({std::move(name), kind, std::move(shape), 0, elements});
  }
};

}  // namespace

const char* name_of(Head head) { return head == Head::regression ? "regression" : "heatmap"; }

void NetworkConfig::check() const {
  sandglass::check(width >= 4 && width <= 4096 && width % 4 == 0, "width is {}, must be a multiple of 4 from 4 to 4096",
                   width);
  sandglass::check(depth >= 1 && depth <= 8, "depth is {}, must be from 1 to 8", depth);
  sandglass::check(heatmaps >= 1 && heatmaps <= 256, "the network has {} heatmaps, must be from 1 to 256", heatmaps);
  const int step = 4 << depth;
  sandglass::check(input_size >= step && input_size <= 4096 && input_size % step == 0,
                   "input_size is {}, must be a multiple of {} (4 * 2^depth) up to 4096", input_size, step);
}

ParameterTable::ParameterTable(const NetworkConfig& config) {
  config.check();
  const int w = config.width;
  Walk walk;
  walk.conv("conv1", w / 4, 3, 7, true);
  walk.batch_norm("bn1", w / 4);
  walk.bottleneck("conv2", w / 4, w / 2);
  walk.bottleneck("conv3", w / 2, w / 2);
  walk.bottleneck("conv4", w / 2, w);
  for (int level = config.depth; level >= 1; --level)
    for (const char* branch : {"b1", "b2", "b3"}) walk.bottleneck(fmt::format("m0.{}_{}", branch, level), w, w);
  walk.bottleneck("m0.b2_plus_1", w, w);
  walk.bottleneck("top_m_0", w, w);
  walk.conv("conv_last0", w, w, 1, true);
  walk.batch_norm("bn_end0", w);
  walk.conv("l0", config.heatmaps, w, 1, true);
  all_ = std::move(walk.all);

  const auto place = [](ParameterInfo& p, size_t& end) {
    p.offset = end;
    end += parameter_groups(p.elements) * kParameterGroup;  // so that a group belongs to one tensor
  };
  for (ParameterInfo& p : all_)
    if (p.kind == ParameterInfo::Kind::conv_weight) place(p, parameter_elements_);
  decayed_elements_ = parameter_elements_;
  for (ParameterInfo& p : all_)
    if (p.kind != ParameterInfo::Kind::conv_weight)
      place(p, p.is_statistic() ? statistic_elements_ : parameter_elements_);
}

const ParameterInfo& ParameterTable::find(const std::string& name) const {
  const auto found = std::ranges::find(all_, name, &ParameterInfo::name);
  check(found != all_.end(), "the network has no parameter '{}'", name);
  return *found;
}

bool ParameterTable::contains(const std::string& name) const {
  return std::ranges::find(all_, name, &ParameterInfo::name) != all_.end();
}

size_t ParameterTable::parameter_count() const {
  size_t count = 0;
  for (const ParameterInfo& p : all_) count += p.is_statistic() ? 0 : p.elements;
  return count;
}

}  // namespace sandglass
