#include "train/checkpoint.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/safetensors.h"

namespace sandglass {
namespace {

constexpr const char* kRunKey = "sandglass.run";
constexpr const char* kConfigKey = "sandglass.config";
constexpr const char* kDeviceKey = "sandglass.device";
constexpr const char* kFirstMoment = "optimizer.first_moment";
constexpr const char* kSecondMoment = "optimizer.second_moment";

std::string to_json_text(const RunPosition& position) {
  nlohmann::json json = {{"step", position.step},
                         {"epoch_loss", position.epoch_loss},
                         {"record_loss", position.record_loss},
                         {"metrics_bytes", position.metrics_bytes},
                         {"training_data", position.training_data},
                         {"validation_data", position.validation_data}};
  if (std::isfinite(position.best_score)) json["best_score"] = position.best_score;  // JSON has no infinity
  return json.dump();
}

RunPosition parse_position(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  RunPosition position;
  position.step = json.at("step");
  position.best_score = json.value("best_score", position.best_score);
  position.epoch_loss = json.at("epoch_loss");
  position.record_loss = json.at("record_loss");
  position.metrics_bytes = json.at("metrics_bytes");
  position.training_data = json.at("training_data");
  position.validation_data = json.at("validation_data");
  return position;
}

const std::string& metadata(const TensorFile& file, const char* key, const std::string& source) {
  const auto found = file.metadata.find(key);
  check(found != file.metadata.end(), "{}: metadata '{}' is missing; expected a checkpoint, not a file of weights",
        source, key);
  return found->second;
}

void add_moment(TensorFile& file, const char* name, const std::vector<float>& values) {
  if (!values.empty())
    file.tensors.push_back(HostTensor::from_floats(name, {static_cast<int64_t>(values.size())}, values));
}

std::vector<float> moment(const TensorFile& file, const char* name, size_t elements, const std::string& source) {
  const HostTensor* tensor = file.find(name);
  check(tensor, "{}: tensor '{}' is missing", source, name);
  check(tensor->count() == static_cast<int64_t>(elements), "{}: tensor '{}' has {} elements, expected {}", source, name,
        tensor->count(), elements);
  return tensor->to_float();
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  TensorFile file = to_tensors(checkpoint.state.weights);
  add_moment(file, kFirstMoment, checkpoint.state.first_moment);
  add_moment(file, kSecondMoment, checkpoint.state.second_moment);
  file.metadata[kRunKey] = to_json_text(checkpoint.position);
  file.metadata[kConfigKey] = to_toml(checkpoint.config);
  file.metadata[kDeviceKey] = checkpoint.device;
  write_safetensors(path, file);
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  const std::string source = path.string();
  const TensorFile file = read_safetensors(path);
  Checkpoint checkpoint;
  try {
    checkpoint.position = parse_position(metadata(file, kRunKey, source));
  } catch (const nlohmann::json::exception& error) {
    fail("{}: metadata '{}' is damaged ({})", source, kRunKey, error.what());
  }
  parse_config(metadata(file, kConfigKey, source), source + ", metadata", checkpoint.config);
  checkpoint.device = metadata(file, kDeviceKey, source);
  checkpoint.state.weights = from_tensors(file, source);
  checkpoint.state.weights.metadata.clear();
  const size_t elements = checkpoint.state.weights.parameters.size();
  checkpoint.state.second_moment = moment(file, kSecondMoment, elements, source);
  if (checkpoint.config.optimizer_kind() == OptimizerKind::adamw) {
    checkpoint.state.first_moment = moment(file, kFirstMoment, elements, source);
  }
  return checkpoint;
}

}  // namespace sandglass
