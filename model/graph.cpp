#include "model/graph.h"

#include <algorithm>

#include "kernels/average_pool/average_pool.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/upsample/upsample.h"

namespace sandglass {

PlanTensor append_max_pool(Plan& plan, const std::string& name, const PlanTensor& x, Buffer* argmax) {
  const PlanTensor y = plan.tensor(name, plan.device().activation(pooled(x.desc.shape)));
  if (argmax) *argmax = plan.buffer(name + ".argmax", y.desc.elements());
  const Buffer places = argmax ? *argmax : Buffer{};
  std::shared_ptr<MaxPoolForward::Operation> operation = make_operation(plan.device(), MaxPoolForward{x.desc, y.desc});
  Cost cost = operation->cost;
  if (argmax) cost.bytes += static_cast<double>(y.desc.elements());
  plan.step(
      name, {x.buffer, y.buffer, places},
      [=](const Plan::Memory& m) {
        operation->run({m[x.buffer], m[y.buffer], places.valid() ? m[places] : nullptr}, m.stream);
      },
      cost);
  return y;
}

void append_upsample_add(Plan& plan, const std::string& name, const PlanTensor& low, const PlanTensor& skip,
                         const PlanTensor& y) {
  std::shared_ptr<UpsampleAddForward::Operation> operation =
      make_operation(plan.device(), UpsampleAddForward{low.desc, y.desc});
  plan.step(
      name, {low.buffer, skip.buffer, y.buffer},
      [=](const Plan::Memory& m) {
        operation->run({m[low.buffer], m[skip.buffer], m[y.buffer]}, m.stream);
      },
      operation->cost);
}

PlanTensor append_average_pool(Plan& plan, const PlanTensor& x) {
  const PlanTensor y = plan.tensor("average", plan.device().activation(globally_pooled(x.desc.shape)));
  append_map_step(plan, "average pool", AveragePoolForward{x.desc, y.desc}, x.buffer, y.buffer);
  return y;
}

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
  convs_.push_back({conv_name, batch_norm_name, operation, weights, bias});
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

namespace {

std::string advice(std::optional<size_t> available, size_t needed, int batch) {
  if (!available) return batch > 1 ? "choose a smaller batch or network" : "choose a smaller network";
  // Nearly all of it grows with the batch; the step needs a little besides the plan.
  constexpr double kForThePlan = 0.95;
  const auto fits =
      static_cast<int>(kForThePlan * static_cast<double>(*available) * batch / static_cast<double>(needed));
  return fits >= 1 ? fmt::format("a batch of {} fits", fits) : "not even a batch of 1 fits, choose a smaller network";
}

}  // namespace

void finish_plan(Plan& plan, int batch) {
  try {
    plan.finish();
  } catch (const OutOfMemory& error) {
    fail("{}; the plan for a batch of {} needs {} MiB: {}", error.what(), batch, plan.arena_bytes() >> 20,
         advice(error.available, plan.arena_bytes(), batch));
  }
}

void InferenceGraph::load(const Weights& weights) {
  const ParameterTable table(weights.config);
  std::vector<bfloat16> rounded;
  for (const FoldedConv& conv : convs_) {
    const ConvWeights folded = fold_batch_norm(weights, table, conv.conv, conv.batch_norm);
    const void* elements = folded.weights.data();
    size_t bytes = folded.weights.size() * sizeof(float);
    if (device().precision() == Precision::bf16) {
      rounded.resize(folded.weights.size());
      std::transform(folded.weights.begin(), folded.weights.end(), rounded.begin(),
                     [](float v) { return bfloat16(v); });
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
    device().copy_to_device(plan.address(conv.bias), folded.bias.data(), folded.bias.size() * sizeof(float));
    device().synchronize();
  }
}

}  // namespace sandglass
