// What layers need while they append their steps to a plan.
#pragma once

#include <string>
#include <vector>

#include "engine/bfloat16.h"
#include "engine/plan.h"
#include "kernels/conv/conv.h"
#include "model/weights.h"

namespace sandglass {

/// A training plan under construction, with the parameters, gradients and running statistics that its steps use.
class TrainingGraph {
 public:
  /// The arrays are flat device memory laid out by `table` and outlive the plan.
  /// `copies`: the convolution weights in bfloat16, at the same elements as in `parameters`, where the device computes
  /// with those; else null.
  TrainingGraph(Plan& plan, const ParameterTable& table, int batch, float* parameters, bfloat16* copies,
                float* gradients, float* statistics)
      : plan(plan),
        table_(table),
        batch(batch),
        parameters_(parameters),
        copies_(copies),
        gradients_(gradients),
        statistics_(statistics) {}

  Plan& plan;

 private:
  const ParameterTable& table_;

 public:
  const int batch;
  Device& device() const { return plan.device(); }
  Buffer parameter(const std::string& name) { return at(name, parameters_, ""); }
  /// A convolution's weights as convolutions read them, and their element type.
  Buffer conv_weights(const std::string& name) {
    if (!copies_) return parameter(name);
    const ParameterInfo& p = table_.find(name);
    return plan.external_buffer("bfloat16 " + name, copies_ + p.offset, p.elements * sizeof(bfloat16));
  }
  DataType conv_weights_type() const { return copies_ ? DataType::bfloat16 : DataType::float32; }
  Buffer gradient(const std::string& name) { return at(name, gradients_, "grad."); }
  Buffer statistic(const std::string& name) { return at(name, statistics_, ""); }
  /// A feature map in the device's layout that lives only as long as its steps need it.
  PlanTensor map(const std::string& name, const Shape& shape) { return plan.tensor(name, device().activation(shape)); }
  /// `channels` floats or doubles.
  Buffer floats(const std::string& name, int channels) { return plan.buffer(name, channels * sizeof(float)); }
  Buffer doubles(const std::string& name, int channels) { return plan.buffer(name, channels * sizeof(double)); }

  /// The forward pass's feature maps in order of execution, for the search of the first one that is not finite.
  struct Output {
    std::string layer;
    size_t step;
    PlanTensor map;
  };
  std::vector<Output> outputs;
  void record_output(const std::string& layer, const PlanTensor& map) {
    outputs.push_back({layer, plan.step_count() - 1, map});
  }

 private:
  Buffer at(const std::string& name, float* base, const char* prefix) {
    const ParameterInfo& p = table_.find(name);
    return plan.external_buffer(prefix + name, base + p.offset, p.elements * sizeof(float));
  }
  float* parameters_;
  bfloat16* copies_;
  float *gradients_, *statistics_;
};

/// Appends an operation that makes one map of another.
template <typename Spec>
void append_map_step(Plan& plan, const std::string& name, const Spec& spec, Buffer from, Buffer to) {
  std::shared_ptr<typename Spec::Operation> operation = make_operation(plan.device(), spec);
  plan.step(
      name, {from, to},
      [=](const Plan::Memory& m) {
        operation->run({m[from], m[to]}, m.stream);
      },
      operation->cost);
}

/// Appends max pooling; `argmax` is null for inference.
PlanTensor append_max_pool(Plan& plan, const std::string& name, const PlanTensor& x, Buffer* argmax);
/// Appends y = skip + upsampled low; y may be skip.
void append_upsample_add(Plan& plan, const std::string& name, const PlanTensor& low, const PlanTensor& skip,
                         const PlanTensor& y);
/// Appends the mean over all pixels.
PlanTensor append_average_pool(Plan& plan, const PlanTensor& x);

/// An inference plan under construction. Its convolutions carry batch norm folded into weights and bias.
/// Modules append to it as to an OnnxGraph (model/onnx_export.h), by the same functions.
class InferenceGraph {
 public:
  using Map = PlanTensor;
  InferenceGraph(Plan& plan, int batch) : plan(plan), batch(batch) {}

  Plan& plan;
  const int batch;
  Device& device() const { return plan.device(); }
  PlanTensor map(const std::string& name, const Shape& shape) { return plan.tensor(name, device().activation(shape)); }

  /// y = relu?(conv(x) + bias + residual?), conv and bias being `conv_name` folded with `batch_norm_name` ("": none).
  /// With a residual the result takes its memory.
  PlanTensor conv(const std::string& conv_name, const std::string& batch_norm_name, const PlanTensor& x, int k,
                  int size, int stride, bool relu, const PlanTensor* residual = nullptr);
  PlanTensor max_pool(const std::string& name, const PlanTensor& x) { return append_max_pool(plan, name, x, nullptr); }
  /// skip + upsampled low, in skip's memory.
  PlanTensor upsample_add(const std::string& name, const PlanTensor& low, const PlanTensor& skip) {
    append_upsample_add(plan, name, low, skip, skip);
    return skip;
  }
  PlanTensor average_pool(const PlanTensor& x) { return append_average_pool(plan, x); }
  /// The last convolution: k maps in the layout of Device::heatmaps, without batch norm and ReLU.
  PlanTensor heatmaps(const std::string& conv_name, const PlanTensor& x, int k);

  /// Folds `weights` and packs them for the device. Call it after Plan::finish() and whenever the weights change.
  void load(const Weights& weights);

 private:
  struct FoldedConv {
    std::string conv, batch_norm;
    std::shared_ptr<ConvForward::Operation> operation;
    Buffer weights, bias;
  };
  void append(const std::string& conv_name, const std::string& batch_norm_name, const PlanTensor& x,
              const PlanTensor& y, ConvForward spec);
  std::vector<FoldedConv> convs_;
};

/// Plan::finish() for a plan whose maps grow with `batch`. Throws Error if memory is not enough that says how much it
/// needs and, where the device knows what there is, how large a batch would fit.
void finish_plan(Plan& plan, int batch);

}  // namespace sandglass
