#include "model/layers.h"

#include "kernels/batch_norm/batch_norm.h"

namespace sandglass {
namespace {

// A convolution's weights as its operation reads them: packed anew in each step, which changes them, where it asks for
// that.
template <typename Operation>
struct StepWeights {
  StepWeights(TrainingGraph& graph, const std::string& layer, std::shared_ptr<Operation> operation)
      : operation(std::move(operation)), plain(graph.conv_weights(layer + ".weight")) {
    if (const size_t bytes = this->operation->packed_weight_bytes())
      packed = graph.plan.buffer(layer + ".packed", bytes);
  }
  const void* ready(const Plan::Memory& m) const {
    if (!packed.valid()) return m[plain];
    operation->pack_weights(m[plain], m[packed], m.stream);
    return m[packed];
  }

  std::shared_ptr<Operation> operation;
  Buffer plain, packed;  // what the step declares
};

}  // namespace

void BatchNormLayer::declare_statistics(TrainingGraph& graph) {
  sum = graph.doubles(name_ + ".sum", channels_);
  sum_squares = graph.doubles(name_ + ".sum_squares", channels_);
}

void BatchNormLayer::finalize(TrainingGraph& graph, int64_t pixels) {
  pixels_ = pixels;
  mean_ = graph.floats(name_ + ".mean", channels_);
  inv_std_ = graph.floats(name_ + ".inv_std", channels_);
  scale = graph.floats(name_ + ".scale", channels_);
  shift = graph.floats(name_ + ".shift", channels_);
  const Buffer gamma = graph.parameter(name_ + ".weight"), beta = graph.parameter(name_ + ".bias");
  const Buffer running_mean = graph.statistic(name_ + ".running_mean"),
               running_var = graph.statistic(name_ + ".running_var");
  std::shared_ptr<BatchNormFinalize::Operation> operation =
      make_operation(graph.device(), BatchNormFinalize{.channels = channels_, .count = pixels});
  graph.plan.step(
      name_ + " finalize", {sum, sum_squares, gamma, beta, running_mean, running_var, mean_, inv_std_, scale, shift},
      [=, this_sum = sum, this_squares = sum_squares, mean = mean_, inv_std = inv_std_, scale = scale,
       shift = shift](const Plan::Memory& m) {
        operation->run({m.f64(this_sum), m.f64(this_squares), m.f32(gamma), m.f32(beta), m.f32(running_mean),
                        m.f32(running_var), m.f32(mean), m.f32(inv_std), m.f32(scale), m.f32(shift)},
                       m.stream);
      },
      operation->cost);
}

void BatchNormLayer::declare_reductions(TrainingGraph& graph) {
  reduced_sum = graph.doubles(name_ + ".reduced_sum", channels_);
  reduced_sum_z = graph.doubles(name_ + ".reduced_sum_z", channels_);
}

void BatchNormLayer::backward(TrainingGraph& graph, const PlanTensor& g, const PlanTensor& z, const PlanTensor& dz) {
  const Buffer gamma = graph.parameter(name_ + ".weight");
  const Buffer dgamma = graph.gradient(name_ + ".weight"), dbeta = graph.gradient(name_ + ".bias");
  const Buffer a = graph.floats(name_ + ".a", channels_), b = graph.floats(name_ + ".b", channels_),
               c = graph.floats(name_ + ".c", channels_);
  std::shared_ptr<BatchNormBackwardFinalize::Operation> finalize =
      make_operation(graph.device(), BatchNormBackwardFinalize{.channels = channels_, .count = pixels_});
  graph.plan.step(
      name_ + " backward finalize", {reduced_sum, reduced_sum_z, gamma, mean_, inv_std_, dgamma, dbeta, a, b, c},
      [=, sum = reduced_sum, sum_z = reduced_sum_z, mean = mean_, inv_std = inv_std_](const Plan::Memory& m) {
        finalize->run({m.f64(sum), m.f64(sum_z), m.f32(gamma), m.f32(mean), m.f32(inv_std), m.f32(dgamma), m.f32(dbeta),
                       m.f32(a), m.f32(b), m.f32(c)},
                      m.stream);
      },
      finalize->cost);
  std::shared_ptr<BatchNormBackwardApply::Operation> apply =
      make_operation(graph.device(), BatchNormBackwardApply{.z = z.desc});
  graph.plan.step(
      name_ + " backward apply", {g.buffer, z.buffer, a, b, c, dz.buffer},
      [=](const Plan::Memory& m) {
        apply->run({m[g.buffer], m[z.buffer], m.f32(a), m.f32(b), m.f32(c), m[dz.buffer]}, m.stream);
      },
      apply->cost);
}

PlanTensor ConvLayer::forward(TrainingGraph& graph, const PlanTensor& x, const BatchNormLayer* input_norm,
                              BatchNormLayer* output_norm, bool heatmaps) {
  const Shape& in = x.desc.shape;
  x_ = x;
  shape_ = {in.n, in.h, in.w, in.c, k_, size_, size_, stride_, size_ / 2};
  if (input_norm) input_scale_ = input_norm->scale, input_shift_ = input_norm->shift;
  const PlanTensor y = graph.plan.tensor(
      name_, heatmaps ? graph.device().heatmaps(shape_.output()) : graph.device().activation(shape_.output()));
  if (output_norm) output_norm->declare_statistics(graph);
  const ConvForward spec{.shape = shape_,
                         .x = x.desc,
                         .y = y.desc,
                         .input_transform = input_norm != nullptr,
                         .bias = bias_,
                         .statistics = output_norm != nullptr,
                         .weights = graph.conv_weights_type()};
  std::shared_ptr<ConvForward::Operation> operation = make_operation(graph.device(), spec);
  const Buffer bias = bias_ ? graph.parameter(name_ + ".bias") : Buffer{};
  const Buffer sum = output_norm ? output_norm->sum : Buffer{},
               squares = output_norm ? output_norm->sum_squares : Buffer{};
  const Buffer scale = input_scale_, shift = input_shift_;
  const StepWeights weights(graph, name_, operation);
  const Buffer workspace = graph.plan.buffer(name_ + ".workspace", operation->workspace_bytes());
  graph.plan.step(
      name_ + " forward",
      {x.buffer, y.buffer, weights.plain, bias, sum, squares, scale, shift, weights.packed, workspace},
      [=](const Plan::Memory& m) {
        ConvForwardArguments a;
        a.x = m[x.buffer];
        a.weights = weights.ready(m);
        a.y = m[y.buffer];
        a.transform = {m.f32_or_null(scale), m.f32_or_null(shift), true};
        a.bias = m.f32_or_null(bias);
        a.sum = sum.valid() ? m.f64(sum) : nullptr;
        a.sum_squares = squares.valid() ? m.f64(squares) : nullptr;
        a.workspace = m[workspace];
        operation->run(a, m.stream);
      },
      operation->cost);
  graph.record_output(name_, y);
  return y;
}

void ConvLayer::backward_weights(TrainingGraph& graph, const PlanTensor& dy) {
  const ConvBackwardWeights spec{
      .shape = shape_, .x = x_.desc, .dy = dy.desc, .input_transform = input_scale_.valid(), .bias = bias_};
  std::shared_ptr<ConvBackwardWeights::Operation> operation = make_operation(graph.device(), spec);
  const Buffer dw = graph.gradient(name_ + ".weight"), db = bias_ ? graph.gradient(name_ + ".bias") : Buffer{};
  const Buffer workspace = graph.plan.buffer(name_ + ".workspace", operation->workspace_bytes());
  const Buffer x = x_.buffer, scale = input_scale_, shift = input_shift_;
  graph.plan.step(
      name_ + " backward weights", {x, dy.buffer, dw, db, scale, shift, workspace},
      [=](const Plan::Memory& m) {
        ConvBackwardWeightsArguments a;
        a.x = m[x];
        a.dy = m[dy.buffer];
        a.dw = m.f32(dw);
        a.db = m.f32_or_null(db);
        a.transform = {m.f32_or_null(scale), m.f32_or_null(shift), true};
        a.workspace = m[workspace];
        operation->run(a, m.stream);
      },
      operation->cost);
}

void ConvLayer::backward_data(TrainingGraph& graph, const PlanTensor& dy, const PlanTensor& dx, bool accumulate,
                              BatchNormLayer* input_norm) {
  const ConvBackwardData spec{.shape = shape_,
                              .dy = dy.desc,
                              .dx = dx.desc,
                              .accumulate = accumulate,
                              .mask = input_norm != nullptr,
                              .weights = graph.conv_weights_type()};
  std::shared_ptr<ConvBackwardData::Operation> operation = make_operation(graph.device(), spec);
  if (input_norm) input_norm->declare_reductions(graph);
  const Buffer z = input_norm ? x_.buffer : Buffer{};
  const Buffer scale = input_scale_, shift = input_shift_;
  const Buffer sum = input_norm ? input_norm->reduced_sum : Buffer{},
               sum_z = input_norm ? input_norm->reduced_sum_z : Buffer{};
  const StepWeights weights(graph, name_, operation);
  const Buffer workspace = graph.plan.buffer(name_ + ".workspace", operation->workspace_bytes());
  graph.plan.step(
      name_ + " backward data",
      {dy.buffer, dx.buffer, weights.plain, z, scale, shift, sum, sum_z, weights.packed, workspace},
      [=](const Plan::Memory& m) {
        ConvBackwardDataArguments a;
        a.dy = m[dy.buffer];
        a.weights = weights.ready(m);
        a.dx = m[dx.buffer];
        a.z = m.or_null(z);
        a.scale = m.f32_or_null(scale);
        a.shift = m.f32_or_null(shift);
        a.sum = sum.valid() ? m.f64(sum) : nullptr;
        a.sum_z = sum_z.valid() ? m.f64(sum_z) : nullptr;
        a.workspace = m[workspace];
        operation->run(a, m.stream);
      },
      operation->cost);
}

}  // namespace sandglass
