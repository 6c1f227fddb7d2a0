// Layers with hand-written backward passes. forward() and backward() do not compute: they append steps to a plan.
//
// Feature maps of the training pass come in two forms. A *finished* map holds its values. A *raw* map z holds what a
// convolution left, and stands for relu(z * scale + shift) with the scale and shift of its batch norm: the next
// convolution applies them while it reads (InputTransform), so that batch norm and ReLU cost no pass of their own.
#pragma once

#include <string>

#include "model/graph.h"

namespace sandglass {

/// Batch norm's per-channel numbers between the statistics of a raw map and its use. See
/// kernels/batch_norm/batch_norm.h.
class BatchNormLayer {
 public:
  BatchNormLayer(std::string name, int channels) : name_(std::move(name)), channels_(channels) {}

  /// Buffers for the statistics of the map about to be computed.
  void declare_statistics(TrainingGraph& graph);
  /// From those statistics over `pixels` elements a channel to scale and shift; updates the running statistics.
  void finalize(TrainingGraph& graph, int64_t pixels);
  /// Buffers for the reductions sum g and sum g*z of the backward pass.
  void declare_reductions(TrainingGraph& graph);
  /// From those reductions to gamma's and beta's gradients, then dz = a*g + b*z + c, written to `dz` (may be g).
  void backward(TrainingGraph& graph, const PlanTensor& g, const PlanTensor& z, const PlanTensor& dz);

  Buffer sum, sum_squares;            ///< statistics of z
  Buffer scale, shift;                ///< once finalized
  Buffer reduced_sum, reduced_sum_z;  ///< reductions of g

 private:
  std::string name_;
  int channels_;
  int64_t pixels_ = 0;
  Buffer mean_, inv_std_;
};

/// A convolution of a training pass. Its input is finished (`input_norm` null) or raw (with its batch norm).
class ConvLayer {
 public:
  ConvLayer(std::string name, int k, int size, int stride, bool bias)
      : name_(std::move(name)), k_(k), size_(size), stride_(stride), bias_(bias) {}

  /// y = conv(x), stored as Device::heatmaps if `heatmaps`, else as an activation; leaves y's statistics in
  /// output_norm's buffers unless it is null.
  PlanTensor forward(TrainingGraph& graph, const PlanTensor& x, const BatchNormLayer* input_norm,
                     BatchNormLayer* output_norm, bool heatmaps = false);
  /// Gradients of the weights (and bias) from dy.
  void backward_weights(TrainingGraph& graph, const PlanTensor& dy);
  /// dx (+)= the gradient of the input. With a raw input dx is masked by its ReLU and the reductions are left in
  /// input_norm.
  void backward_data(TrainingGraph& graph, const PlanTensor& dy, const PlanTensor& dx, bool accumulate,
                     BatchNormLayer* input_norm);

 private:
  std::string name_;
  int k_, size_, stride_;
  bool bias_;
  ConvShape shape_;
  PlanTensor x_;
  Buffer input_scale_, input_shift_;
};

}  // namespace sandglass
