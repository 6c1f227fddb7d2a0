#include "model/onnx_export.h"

#include "engine/batch_norm_epsilon.h"
#include "model/hourglass.h"

namespace sandglass {

OnnxGraph::Map OnnxGraph::node(const std::string& type, const std::string& name, std::vector<std::string> inputs,
                               std::map<std::string, OnnxAttribute> attributes) {
  model.nodes.push_back({type, name, std::move(inputs), {name}, std::move(attributes)});
  return name;
}

std::string OnnxGraph::parameter(const std::string& name) {
  const ParameterInfo& p = table_.find(name);
  model.weights.tensors.push_back(to_tensor(p, weights_.values(p)));
  return name;
}

OnnxGraph::Map OnnxGraph::conv_node(const std::string& conv_name, const std::string& batch_norm_name, const Map& x,
                                    int size, int stride) {
  std::vector<std::string> inputs{x};
  const bool keep = keep_batch_norm_ || batch_norm_name.empty();
  if (keep) {
    inputs.push_back(parameter(conv_name + ".weight"));
    if (table_.contains(conv_name + ".bias")) inputs.push_back(parameter(conv_name + ".bias"));
  } else {
    const ConvWeights folded = fold_batch_norm(weights_, table_, conv_name, batch_norm_name);
    const ParameterInfo& p = table_.find(conv_name + ".weight");
    model.weights.tensors.push_back(to_tensor(p, folded.weights.data()));
    model.weights.tensors.push_back(HostTensor::from_floats(conv_name + ".bias", {p.shape[0]}, folded.bias));
    inputs.insert(inputs.end(), {conv_name + ".weight", conv_name + ".bias"});
  }
  const Map z = node("Conv", conv_name, std::move(inputs),
                     {{"kernel_shape", std::vector<int64_t>{size, size}},
                      {"strides", std::vector<int64_t>{stride, stride}},
                      {"pads", std::vector<int64_t>(4, size / 2)}});
  if (!keep_batch_norm_ || batch_norm_name.empty()) return z;
  return node("BatchNormalization", batch_norm_name,
              {z, parameter(batch_norm_name + ".weight"), parameter(batch_norm_name + ".bias"),
               parameter(batch_norm_name + ".running_mean"), parameter(batch_norm_name + ".running_var")},
              {{"epsilon", static_cast<float>(kBatchNormEpsilon)}});
}

OnnxGraph::Map OnnxGraph::picture() {
  const int size = weights_.config.input_size;
  model.inputs.push_back({"picture", {OnnxValue::kBatch, 3, size, size}});
  return "picture";
}

OnnxGraph::Map OnnxGraph::conv(const std::string& conv_name, const std::string& batch_norm_name, const Map& x, int,
                               int size, int stride, bool relu, const Map* residual) {
  Map y = conv_node(conv_name, batch_norm_name, x, size, stride);
  if (residual) y = node("Add", conv_name + ".add", {y, *residual});
  return relu ? node("Relu", conv_name + ".relu", {y}) : y;
}

OnnxGraph::Map OnnxGraph::max_pool(const std::string& name, const Map& x) {
  return node("MaxPool", name, {x},
              {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
}

OnnxGraph::Map OnnxGraph::upsample_add(const std::string& name, const Map& low, const Map& skip) {
  const std::string scales = "upsample.scales";
  if (!model.weights.find(scales))
    model.weights.tensors.push_back(HostTensor::from_floats(scales, {4}, std::vector<float>{1, 1, 2, 2}));
  const Map large =
      node("Resize", name, {low, "", scales},
           {{"mode", "nearest"}, {"nearest_mode", "floor"}, {"coordinate_transformation_mode", "asymmetric"}});
  return node("Add", name + ".add", {skip, large});
}

OnnxGraph::Map OnnxGraph::average_pool(const Map& x) { return node("GlobalAveragePool", "average_pool", {x}); }

OnnxGraph::Map OnnxGraph::heatmaps(const std::string& conv_name, const Map& x, int k) {
  const Map maps = conv_node(conv_name, "", x, 1, 1);
  const int64_t side = weights_.config.map_size();
  OnnxValue output{"heatmaps", {OnnxValue::kBatch, k, side, side}};
  if (weights_.config.head == Head::regression) {
    output = {"intensities", {OnnxValue::kBatch, k}};
    node("Flatten", output.name, {maps});
  } else {
    model.nodes.back().outputs = {output.name};
  }
  model.outputs.push_back(output);
  return output.name;
}

OnnxModel to_onnx(const Weights& weights, bool keep_batch_norm) {
  OnnxGraph graph(weights, keep_batch_norm);
  graph.model.producer = "sandglass";
  HeatmapNet(weights.config).infer(graph, graph.picture());
  graph.model.weights.metadata = metadata_of(weights);
  graph.model.weights.metadata.erase("format");  // says that a safetensors file is PyTorch's
  return std::move(graph.model);
}

}  // namespace sandglass
