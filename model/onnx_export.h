// The network as an ONNX graph, for programs that run such files.
//
// input   picture      N x 3 x S x S, RGB in [0, 1], N free
// output  heatmaps     N x K x S/4 x S/4, or with Head::regression
//         intensities  N x K
#pragma once

#include <string>

#include "engine/onnx_file.h"
#include "model/weights.h"

namespace sandglass {

/// An ONNX graph under construction. HeatmapNet::infer appends to it as to an InferenceGraph, so that the structure of
/// the network is written down once. Nodes, values and weights are called as the layers and parameters that they are.
class OnnxGraph {
 public:
  using Map = std::string;  ///< the name of a value, N x C x H x W

  /// `weights` outlive the graph. `keep_batch_norm`: as nodes of its own, else folded into the convolutions.
  OnnxGraph(const Weights& weights, bool keep_batch_norm)
      : weights_(weights), table_(weights.config), keep_batch_norm_(keep_batch_norm) {}

  Map picture();
  /// relu?(conv(x) + bias + residual?), with batch norm `batch_norm_name` ("": none) before the sum.
  Map conv(const std::string& conv_name, const std::string& batch_norm_name, const Map& x, int k, int size, int stride,
           bool relu, const Map* residual = nullptr);
  Map max_pool(const std::string& name, const Map& x);
  Map upsample_add(const std::string& name, const Map& low, const Map& skip);
  Map average_pool(const Map& x);
  /// The last convolution, which makes the model's output: k maps, or k numbers where they have one pixel.
  Map heatmaps(const std::string& conv_name, const Map& x, int k);

  OnnxModel model;

 private:
  Map node(const std::string& type, const std::string& name, std::vector<std::string> inputs,
           std::map<std::string, OnnxAttribute> attributes = {});
  Map conv_node(const std::string& conv_name, const std::string& batch_norm_name, const Map& x, int size, int stride);
  /// Adds the network's own tensor to the model and returns its name.
  std::string parameter(const std::string& name);

  const Weights& weights_;
  const ParameterTable table_;
  const bool keep_batch_norm_;
};

/// The network of `weights` as a model, with the metadata that weights files have (write_weights()). Only with
/// `keep_batch_norm` can weights be read back from it.
OnnxModel to_onnx(const Weights& weights, bool keep_batch_norm);

}  // namespace sandglass
