// The heatmap network's modules: each with its forward pass, its backward pass and its inference pass.
// Architecture and names: model/network.h. All three only append steps to a plan; the inference pass appends nodes to
// an ONNX graph, too: its Graph is InferenceGraph or OnnxGraph (model/onnx_export.h).
#pragma once

#include <memory>
#include <vector>

#include "model/layers.h"

namespace sandglass {

/// 1x1, 3x3, 1x1 convolutions with batch norm and a shortcut.
class Bottleneck {
 public:
  Bottleneck(const std::string& name, int c_in, int c_out);

  /// y = relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)); x and y are finished maps.
  PlanTensor forward(TrainingGraph& graph, const PlanTensor& x);
  /// Takes dy's memory for its own purposes and returns dx.
  PlanTensor backward(TrainingGraph& graph, const PlanTensor& dy);
  /// May take x's memory for the result.
  template <typename Graph>
  typename Graph::Map infer(Graph& graph, const typename Graph::Map& x) const;

 private:
  std::string name_;
  int c_in_, c_out_;
  ConvLayer conv1_, conv2_, conv3_, downsample_;
  BatchNormLayer norm1_, norm2_, norm3_, downsample_norm_;
  PlanTensor z1_, z2_, z3_, downsample_z_, y_;

  bool has_downsample() const { return c_in_ != c_out_; }
};

/// One level of the hourglass, holding the next inner one.
class HourglassLevel {
 public:
  HourglassLevel(const std::string& name, int level, int width);
  PlanTensor forward(TrainingGraph& graph, const PlanTensor& x);
  PlanTensor backward(TrainingGraph& graph, const PlanTensor& dy);
  template <typename Graph>
  typename Graph::Map infer(Graph& graph, const typename Graph::Map& x) const;

 private:
  std::string name_;                       ///< for the steps: "m0.level_4"
  Bottleneck skip_, before_, after_;       ///< b1, b2, b3
  std::unique_ptr<HourglassLevel> inner_;  ///< the next level, or
  std::unique_ptr<Bottleneck> innermost_;  ///< b2_plus_1
  PlanTensor pooled_;
  Buffer argmax_;
};

/// The whole network, with either head.
class HeatmapNet {
 public:
  explicit HeatmapNet(const NetworkConfig& config);
  /// picture: N x S x S x 3 in Device::picture's layout. Returns the heatmaps, N x S/4 x S/4 x K, or with
  /// Head::regression the intensities, N x 1 x 1 x K.
  PlanTensor forward(TrainingGraph& graph, const PlanTensor& picture);
  /// Takes the memory of dy, the gradient of what forward() returned. There is no gradient of the picture.
  void backward(TrainingGraph& graph, const PlanTensor& dy);
  template <typename Graph>
  typename Graph::Map infer(Graph& graph, const typename Graph::Map& picture) const;

 private:
  int width_, heatmaps_;
  bool regression_;
  ConvLayer stem_;
  BatchNormLayer stem_norm_;
  Bottleneck conv2_, conv3_, conv4_;
  HourglassLevel hourglass_;
  Bottleneck top_;
  ConvLayer last_;
  BatchNormLayer last_norm_;
  ConvLayer head_;
  PlanTensor stem_z_, stem_y_, pooled_, last_z_, averages_;
  Buffer argmax_;
};

}  // namespace sandglass
