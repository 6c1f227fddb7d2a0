#include "model/weights.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>
#include <span>

#include "engine/batch_norm_epsilon.h"
#include "engine/error.h"
#include "engine/random.h"
#include "engine/safetensors.h"

namespace sandglass {
namespace {

using Kind = ParameterInfo::Kind;

// KCRS <-> KRSC of one convolution weight.
void kcrs_to_krsc(const std::vector<int64_t>& shape, const float* from, float* to) {
  const int64_t k_count = shape[0], c_count = shape[1], taps = shape[2] * shape[3];
  for (int64_t k = 0; k < k_count; ++k)
    for (int64_t c = 0; c < c_count; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        to[(k * taps + tap) * c_count + c] = from[(k * c_count + c) * taps + tap];
}

void krsc_to_kcrs(const std::vector<int64_t>& shape, const float* from, float* to) {
  const int64_t k_count = shape[0], c_count = shape[1], taps = shape[2] * shape[3];
  for (int64_t k = 0; k < k_count; ++k)
    for (int64_t c = 0; c < c_count; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        to[(k * c_count + c) * taps + tap] = from[(k * taps + tap) * c_count + c];
}

std::string to_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// 0 where the metadata has no such key; an Error where it is not a number.
int metadata_number(const TensorFile& file, const std::string& key, const std::string& source) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) return 0;
  int value = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), "{}: metadata '{}' is '{}', expected a number",
        source, key, text);
  return value;
}

int64_t first_size(const TensorFile& file, const std::string& name, const std::string& source) {
  const HostTensor* tensor = file.find(name);
  check(tensor, "{}: tensor '{}' is missing; expected the weights of a heatmap network", source, name);
  check(!tensor->shape.empty() && tensor->shape[0] > 0 && tensor->shape[0] <= 4096,
        "{}: tensor '{}' has shape {}, expected those of a heatmap network", source, name, to_text(tensor->shape));
  return tensor->shape[0];
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

void check_au_names(const std::vector<std::string>& names, const std::string& source) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    check(!name.empty(), "{}: the name of an Action Unit is empty", source);
    check(seen.insert(name).second, "{}: names {} twice", source, in_quotes(name));
  }
}

std::vector<std::string> au_names(const TensorFile& file, int heatmaps, const std::string& source) {
  const auto found = file.metadata.find("aus");
  if (found != file.metadata.end()) {
    std::vector<std::string> names = split(found->second);
    check(static_cast<int>(names.size()) == heatmaps,
          "{}: metadata 'aus' names {} Action Units but the network has {} heatmaps", source, names.size(), heatmaps);
    check_au_names(names, source + ": metadata 'aus'");
    return names;
  }
  if (heatmaps == 5) return {"AU06", "AU10", "AU12", "AU14", "AU17"};  // the authors' order
  std::vector<std::string> names;
  for (int k = 0; k < heatmaps; ++k) names.push_back(fmt::format("map{}", k));
  return names;
}

Head head_of(const TensorFile& file, const std::string& source) {
  const auto found = file.metadata.find("head");
  if (found == file.metadata.end()) return Head::heatmap;
  for (const Head head : {Head::heatmap, Head::regression})
    if (found->second == name_of(head)) return head;
  fail("{}: metadata 'head' is '{}', expected heatmap or regression", source, found->second);
}

bool is_ignored(const std::string& name) {
  return name.ends_with(".num_batches_tracked") || name.starts_with("optimizer.");
}

void set_tensor(Weights& weights, const ParameterInfo& p, const HostTensor& tensor, const std::string& source) {
  const NetworkConfig& config = weights.config;
  check(tensor.shape == p.shape, "{}: tensor '{}' has shape {}, expected {} for width {}, depth {} and {} heatmaps",
        source, p.name, to_text(tensor.shape), to_text(p.shape), config.width, config.depth, config.heatmaps);
  const std::vector<float> values = tensor.to_float();
  float* to = weights.values(p);
  if (p.kind == Kind::conv_weight) {
    kcrs_to_krsc(p.shape, values.data(), to);
  } else {
    std::copy(values.begin(), values.end(), to);
  }
}

Weights initial_weights(const NetworkConfig& config, std::vector<std::string> aus, uint64_t seed) {
  const ParameterTable table(config);
  Weights weights{config,
                  std::move(aus),
                  std::vector<float>(table.parameter_elements()),
                  std::vector<float>(table.statistic_elements()),
                  {}};
  double fan_in = 1;
  uint64_t stream = 0;
  for (const ParameterInfo& p : table.all()) {
    float* values = weights.values(p);
    Random random(seed, 0x77656967687473 + stream++);  // "weights"
    if (p.kind == Kind::conv_weight) fan_in = double(p.shape[1] * p.shape[2] * p.shape[3]);
    const float bound = static_cast<float>(1 / std::sqrt(fan_in));
    for (size_t i = 0; i < p.elements; ++i) {
      const bool drawn = p.kind == Kind::conv_weight || (p.kind == Kind::conv_bias && p.name != "l0.bias");
      values[i] = drawn                                                  ? random.uniform(-bound, bound)
                  : p.kind == Kind::gamma || p.kind == Kind::running_var ? 1.0f
                                                                         : 0.0f;
    }
  }
  return weights;
}

ConvWeights fold_batch_norm(const Weights& weights, const ParameterTable& table, const std::string& conv,
                            const std::string& batch_norm) {
  const auto values = [&](const std::string& name) { return weights.values(table.find(name)); };
  const ParameterInfo& p = table.find(conv + ".weight");
  const auto channels = static_cast<size_t>(p.shape[0]);
  std::vector<double> scale(channels, 1.0), shift(channels);
  if (table.contains(conv + ".bias")) std::copy_n(values(conv + ".bias"), channels, shift.begin());
  if (!batch_norm.empty()) {
    const float *gamma = values(batch_norm + ".weight"), *beta = values(batch_norm + ".bias"),
                *mean = values(batch_norm + ".running_mean"), *variance = values(batch_norm + ".running_var");
    for (size_t k = 0; k < channels; ++k) {
      scale[k] = gamma[k] / std::sqrt(variance[k] + kBatchNormEpsilon);
      shift[k] = (shift[k] - mean[k]) * scale[k] + beta[k];
    }
  }
  ConvWeights folded{std::vector<float>(p.elements), {shift.begin(), shift.end()}};
  const float* from = weights.values(p);
  const size_t row = p.elements / channels;
  for (size_t k = 0; k < channels; ++k)
    for (size_t i = k * row; i < (k + 1) * row; ++i) folded.weights[i] = static_cast<float>(from[i] * scale[k]);
  return folded;
}

HostTensor to_tensor(const ParameterInfo& p, const float* values) {
  std::vector<float> ordered(values, values + p.elements);
  if (p.kind == Kind::conv_weight) krsc_to_kcrs(p.shape, values, ordered.data());
  return HostTensor::from_floats(p.name, p.shape, ordered);
}

std::map<std::string, std::string> metadata_of(const Weights& weights) {
  std::map<std::string, std::string> metadata = weights.metadata;
  metadata["format"] = "pt";
  metadata["width"] = std::to_string(weights.config.width);
  metadata["depth"] = std::to_string(weights.config.depth);
  metadata["input_size"] = std::to_string(weights.config.input_size);
  metadata["head"] = name_of(weights.config.head);
  metadata["aus"] = fmt::format("{}", fmt::join(weights.aus, ","));
  return metadata;
}

TensorFile to_tensors(const Weights& weights) {
  const ParameterTable table(weights.config);
  TensorFile file;
  file.metadata = metadata_of(weights);
  for (const ParameterInfo& p : table.all()) file.tensors.push_back(to_tensor(p, weights.values(p)));
  return file;
}

Weights from_tensors(const TensorFile& file, const std::string& source) {
  Weights weights;
  NetworkConfig& config = weights.config;
  check(file.find("bn1.weight") || !file.find("l0.weight"),
        "{}: tensor 'bn1.weight' is missing: batch norm seems to be folded into the convolutions, which cannot be "
        "undone; export the network with its batch norm (sandglass convert --keep-batch-norm; PyTorch: "
        "torch.onnx.export(..., dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False))",
        source);
  config.width = 4 * static_cast<int>(first_size(file, "conv1.weight", source));
  config.heatmaps = static_cast<int>(first_size(file, "l0.weight", source));
  config.depth = 0;
  while (file.find(fmt::format("m0.b1_{}.conv1.weight", config.depth + 1))) ++config.depth;
  check(config.depth > 0, "{}: tensor 'm0.b1_1.conv1.weight' is missing; expected the weights of a heatmap network",
        source);
  const int input_size = metadata_number(file, "input_size", source);
  if (input_size) config.input_size = input_size;
  config.head = head_of(file, source);
  try {
    config.check();
  } catch (const Error& error) {
    fail("{}: {}", source, error.what());
  }
  weights.aus = au_names(file, config.heatmaps, source);
  weights.metadata = file.metadata;

  const ParameterTable table(config);
  weights.parameters.resize(table.parameter_elements());
  weights.statistics.resize(table.statistic_elements());
  std::set<std::string> known;
  for (const ParameterInfo& p : table.all()) {
    known.insert(p.name);
    const HostTensor* tensor = file.find(p.name);
    check(tensor, "{}: tensor '{}' of a network of width {} and depth {} is missing", source, p.name, config.width,
          config.depth);
    set_tensor(weights, p, *tensor, source);
  }
  for (const HostTensor& tensor : file.tensors)
    check(known.contains(tensor.name) || is_ignored(tensor.name),
          "{}: tensor '{}' does not belong to a heatmap network of width {} and depth {}", source, tensor.name,
          config.width, config.depth);
  return weights;
}

void check_inference(const Weights& weights, const std::string& source) {
  const ParameterTable table(weights.config);
  const auto is_finite = [](float value) { return std::isfinite(value); };
  std::string conv;
  for (const ParameterInfo& p : table.all()) {
    const std::span values(weights.values(p), p.elements);
    check(std::ranges::all_of(values, is_finite), "{}: tensor '{}' has values that are not finite", source, p.name);
    if (p.kind == Kind::conv_weight) conv = p.name.substr(0, p.name.rfind('.'));
    if (p.kind != Kind::running_var) continue;
    const float least = std::ranges::min(values);
    check(least + kBatchNormEpsilon > 0, "{}: tensor '{}' has the variance {}, expected 0 or more", source, p.name,
          least);
    const std::string batch_norm = p.name.substr(0, p.name.rfind('.'));  // its convolution is the one before it
    const ConvWeights folded = fold_batch_norm(weights, table, conv, batch_norm);
    check(std::ranges::all_of(folded.weights, is_finite) && std::ranges::all_of(folded.bias, is_finite),
          "{}: tensor '{}.weight' with the batch norm '{}' folded in has values that are not finite", source, conv,
          batch_norm);
  }
}

Weights read_weights(const std::filesystem::path& path) {
  Weights weights = from_tensors(read_tensor_file(path), path.string());
  check_inference(weights, path.string());
  return weights;
}

void write_weights(const std::filesystem::path& path, const Weights& weights) {
  write_safetensors(path, to_tensors(weights));
}

}  // namespace sandglass
