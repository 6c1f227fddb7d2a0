#include "model/graph.h"

#include <algorithm>
#include <cmath>

namespace sandglass {

PlanTensor InferenceGraph::conv(const std::string& conv_name, const std::string& batch_norm_name, const PlanTensor& x,
                                int k, int size, int stride, bool relu, const PlanTensor* residual) {
  const Shape& in = x.desc.shape;
  const ConvShape shape{in.n, in.h, in.w, in.c, k, size, size, stride, size / 2};
  const PlanTensor y = residual ? *residual : map(conv_name, shape.output());
  append(conv_name, batch_norm_name, x, y,
         {.shape = shape, .x = x.desc, .y = y.desc, .bias = true, .residual = residual != nullptr, .relu = relu});
  return y;
}

PlanTensor InferenceGraph::heatmaps(const std::string& conv_name, const PlanTensor& x, int k) {
  const Shape& in = x.desc.shape;
  const ConvShape shape{in.n, in.h, in.w, in.c, k};
  const PlanTensor y = plan.tensor(conv_name, device().heatmaps(shape.output()));
  append(conv_name, "", x, y, {.shape = shape, .x = x.desc, .y = y.desc, .bias = true});
  return y;
}

void InferenceGraph::append(const std::string& conv_name, const std::string& batch_norm_name, const PlanTensor& x,
                            const PlanTensor& y, ConvForward spec) {
  if (device().precision() == Precision::bf16) spec.weights = DataType::bfloat16;
  const ConvShape& shape = spec.shape;
  std::shared_ptr<ConvForward::Operation> operation = make_operation(device(), spec);
  const size_t packed = operation->packed_weight_bytes();
  const Buffer weights = plan.lasting_buffer(
      conv_name + ".weight", packed ? packed : shape.weight_elements() * bytes_per_element(spec.weights));
  const Buffer bias = plan.lasting_buffer(conv_name + ".bias", shape.k * sizeof(float));
  const Buffer workspace = plan.buffer(conv_name + ".workspace", operation->workspace_bytes());
  convs_.push_back({conv_name, batch_norm_name, shape, operation, weights, bias});
  plan.step(
      conv_name, {x.buffer, y.buffer, weights, bias, workspace},
      [=](const Plan::Memory& memory) {
        ConvForwardArguments a;
        a.x = memory[x.buffer];
        a.y = memory[y.buffer];
        a.weights = memory[weights];
        a.bias = memory.f32(bias);
        a.residual = spec.residual ? a.y : nullptr;
        a.workspace = memory[workspace];
        operation->run(a, memory.stream);
      },
      operation->cost);
}

void finish_plan(Plan& plan, int batch) {
  try {
    plan.finish();
  } catch (const OutOfMemory& error) {
    // Nearly all of it grows with the batch; the step needs a little besides the plan.
    constexpr double kForThePlan = 0.95;
    const auto fits = static_cast<int>(kForThePlan * static_cast<double>(error.available) * batch /
                                       static_cast<double>(plan.arena_bytes()));
    fail("{}; the plan for a batch of {} needs {} MiB: {}", error.what(), batch, plan.arena_bytes() >> 20,
         fits >= 1 ? fmt::format("a batch of {} fits", fits) : "not even a batch of 1 fits, choose a smaller network");
  }
}

// Batch norm after a convolution with weights w and bias b is the same convolution with weights w * scale and bias
// (b - mean) * scale + beta, scale = gamma / sqrt(var + eps). Computed in double, once per weights.
void InferenceGraph::load(const Weights& weights) {
  const ParameterTable table(weights.config);
  const auto value = [&](const std::string& name, size_t i) -> double {
    const ParameterInfo& p = table.find(name);
    return (p.is_statistic() ? weights.statistics : weights.parameters)[p.offset + i];
  };
  std::vector<float> folded, bias;
  std::vector<bfloat16> rounded;
  for (const FoldedConv& conv : convs_) {
    const size_t row = conv.shape.weight_elements() / conv.shape.k;
    const bool has_bias = conv.conv == "conv1" || conv.conv == "conv_last0" || conv.conv == "l0";
    const float* from = weights.parameters.data() + table.find(conv.conv + ".weight").offset;
    folded.resize(conv.shape.weight_elements());
    bias.resize(conv.shape.k);
    for (int k = 0; k < conv.shape.k; ++k) {
      double scale = 1, shift = has_bias ? value(conv.conv + ".bias", k) : 0;
      if (!conv.batch_norm.empty()) {
        scale = value(conv.batch_norm + ".weight", k) / std::sqrt(value(conv.batch_norm + ".running_var", k) + 1e-5);
        shift = (shift - value(conv.batch_norm + ".running_mean", k)) * scale + value(conv.batch_norm + ".bias", k);
      }
      for (size_t i = 0; i < row; ++i) folded[k * row + i] = static_cast<float>(from[k * row + i] * scale);
      bias[k] = static_cast<float>(shift);
    }
    const void* elements = folded.data();
    size_t bytes = folded.size() * sizeof(float);
    if (device().precision() == Precision::bf16) {
      rounded.resize(folded.size());
      std::transform(folded.begin(), folded.end(), rounded.begin(), [](float v) { return bfloat16(v); });
      elements = rounded.data();
      bytes = rounded.size() * sizeof(bfloat16);
    }
    if (conv.operation->packed_weight_bytes()) {
      const DeviceMemory plain(device(), bytes);
      device().copy_to_device(plain.data(), elements, bytes);
      conv.operation->pack_weights(plain.data(), plan.address(conv.weights), {});
      device().synchronize();
    } else {
      device().copy_to_device(plan.address(conv.weights), elements, bytes);
    }
    device().copy_to_device(plan.address(conv.bias), bias.data(), bias.size() * sizeof(float));
    device().synchronize();
  }
}

}  // namespace sandglass
