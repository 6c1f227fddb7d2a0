#include "model/hourglass.h"

#include "kernels/average_pool/average_pool.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/residual/residual.h"
#include "kernels/upsample/upsample.h"
#include "model/onnx_export.h"

namespace sandglass {
namespace {

void append_max_pool_backward(Plan& plan, const std::string& name, const PlanTensor& dy, Buffer argmax,
                              const PlanTensor& dx, bool accumulate) {
  std::shared_ptr<MaxPoolBackward::Operation> operation =
      make_operation(plan.device(), MaxPoolBackward{dx.desc, dy.desc, accumulate});
  plan.step(
      name, {dy.buffer, argmax, dx.buffer},
      [=](const Plan::Memory& m) {
        operation->run({m[dy.buffer], m[argmax], m[dx.buffer]}, m.stream);
      },
      operation->cost);
}

// From the raw map z of `norm` (called `norm_name`) to a finished map called `name`.
PlanTensor append_finish(TrainingGraph& graph, const std::string& norm_name, const std::string& name,
                         const PlanTensor& z, const BatchNormLayer& norm) {
  const PlanTensor y = graph.map(name, z.desc.shape);
  std::shared_ptr<BatchNormApply::Operation> apply = make_operation(graph.device(), BatchNormApply{z.desc, true});
  const Buffer scale = norm.scale, shift = norm.shift;
  graph.plan.step(
      norm_name + " apply", {z.buffer, scale, shift, y.buffer},
      [=](const Plan::Memory& m) {
        apply->run({m[z.buffer], m.f32(scale), m.f32(shift), m[y.buffer]}, m.stream);
      },
      apply->cost);
  return y;
}

// The gradient g of such a finished map becomes that before its ReLU, and leaves its reductions in `norm`.
void append_finish_backward(TrainingGraph& graph, const std::string& norm_name, const PlanTensor& g,
                            const PlanTensor& z, BatchNormLayer& norm) {
  norm.declare_reductions(graph);
  const Buffer scale = norm.scale, shift = norm.shift, sum = norm.reduced_sum, sum_z = norm.reduced_sum_z;
  std::shared_ptr<BatchNormBackwardReduce::Operation> reduce =
      make_operation(graph.device(), BatchNormBackwardReduce{z.desc});
  graph.plan.step(
      norm_name + " backward reduce", {g.buffer, z.buffer, scale, shift, sum, sum_z},
      [=](const Plan::Memory& m) {
        reduce->run({m[g.buffer], m[z.buffer], m.f32(scale), m.f32(shift), m.f64(sum), m.f64(sum_z)}, m.stream);
      },
      reduce->cost);
}

}  // namespace

Bottleneck::Bottleneck(const std::string& name, int c_in, int c_out)
    : name_(name),
      c_in_(c_in),
      c_out_(c_out),
      conv1_(name + ".conv1", c_out / 2, 1, 1, false),
      conv2_(name + ".conv2", c_out / 2, 3, 1, false),
      conv3_(name + ".conv3", c_out, 1, 1, false),
      downsample_(name + ".downsample.0", c_out, 1, 1, false),
      norm1_(name + ".bn1", c_out / 2),
      norm2_(name + ".bn2", c_out / 2),
      norm3_(name + ".bn3", c_out),
      downsample_norm_(name + ".downsample.1", c_out) {}

PlanTensor Bottleneck::forward(TrainingGraph& graph, const PlanTensor& x) {
  const int64_t pixels = x.desc.shape.pixels();
  z1_ = conv1_.forward(graph, x, nullptr, &norm1_);
  norm1_.finalize(graph, pixels);
  z2_ = conv2_.forward(graph, z1_, &norm1_, &norm2_);
  norm2_.finalize(graph, pixels);
  z3_ = conv3_.forward(graph, z2_, &norm2_, &norm3_);
  norm3_.finalize(graph, pixels);
  if (has_downsample()) {
    downsample_z_ = downsample_.forward(graph, x, nullptr, &downsample_norm_);
    downsample_norm_.finalize(graph, pixels);
  }
  y_ = graph.map(name_, z3_.desc.shape);
  const PlanTensor z = z3_, y = y_, shortcut = has_downsample() ? downsample_z_ : x;
  const Buffer scale = norm3_.scale, shift = norm3_.shift, scale2 = downsample_norm_.scale,
               shift2 = downsample_norm_.shift;
  std::shared_ptr<ResidualForward::Operation> operation =
      make_operation(graph.device(), ResidualForward{z.desc, has_downsample()});
  graph.plan.step(
      name_ + " residual", {z.buffer, scale, shift, shortcut.buffer, scale2, shift2, y.buffer},
      [=](const Plan::Memory& m) {
        operation->run({m[z.buffer], m.f32(scale), m.f32(shift), m[shortcut.buffer], m.f32_or_null(scale2),
                        m.f32_or_null(shift2), m[y.buffer]},
                       m.stream);
      },
      operation->cost);
  graph.record_output(name_, y_);
  return y_;
}

PlanTensor Bottleneck::backward(TrainingGraph& graph, const PlanTensor& dy) {
  norm3_.declare_reductions(graph);
  if (has_downsample()) downsample_norm_.declare_reductions(graph);
  const PlanTensor y = y_, z = z3_, shortcut = downsample_z_;
  const Buffer sum = norm3_.reduced_sum, sum_z = norm3_.reduced_sum_z, sum_shortcut = downsample_norm_.reduced_sum_z;
  std::shared_ptr<ResidualBackward::Operation> operation =
      make_operation(graph.device(), ResidualBackward{z.desc, has_downsample()});
  graph.plan.step(
      name_ + " residual backward", {dy.buffer, y.buffer, z.buffer, shortcut.buffer, sum, sum_z, sum_shortcut},
      [=](const Plan::Memory& m) {
        ResidualBackwardArguments a;
        a.dy = m[dy.buffer];
        a.y = m[y.buffer];
        a.z = m[z.buffer];
        a.shortcut = m.or_null(shortcut.buffer);
        a.g = m[dy.buffer];
        a.sum = m.f64(sum);
        a.sum_z = m.f64(sum_z);
        a.sum_shortcut = sum_shortcut.valid() ? m.f64(sum_shortcut) : nullptr;
        operation->run(a, m.stream);
      },
      operation->cost);
  const PlanTensor g = dy;  // now the gradient of both summands

  const PlanTensor dz3 = graph.map(name_ + ".dz3", z3_.desc.shape);
  norm3_.backward(graph, g, z3_, dz3);
  conv3_.backward_weights(graph, dz3);
  const PlanTensor dz2 = graph.map(name_ + ".dz2", z2_.desc.shape);
  conv3_.backward_data(graph, dz3, dz2, false, &norm2_);
  norm2_.backward(graph, dz2, z2_, dz2);
  conv2_.backward_weights(graph, dz2);
  const PlanTensor dz1 = graph.map(name_ + ".dz1", z1_.desc.shape);
  conv2_.backward_data(graph, dz2, dz1, false, &norm1_);
  norm1_.backward(graph, dz1, z1_, dz1);
  conv1_.backward_weights(graph, dz1);
  if (!has_downsample()) {
    conv1_.backward_data(graph, dz1, g, true, nullptr);
    return g;
  }
  // Both batch norms get the same g; its plain sum serves both.
  downsample_norm_.reduced_sum = norm3_.reduced_sum;
  downsample_norm_.backward(graph, g, downsample_z_, g);
  downsample_.backward_weights(graph, g);
  const PlanTensor dx = graph.map(name_ + ".dx", {g.desc.shape.n, g.desc.shape.h, g.desc.shape.w, c_in_});
  downsample_.backward_data(graph, g, dx, false, nullptr);
  conv1_.backward_data(graph, dz1, dx, true, nullptr);
  return dx;
}

template <typename Graph>
typename Graph::Map Bottleneck::infer(Graph& graph, const typename Graph::Map& x) const {
  const int middle = c_out_ / 2;
  typename Graph::Map y = graph.conv(name_ + ".conv1", name_ + ".bn1", x, middle, 1, 1, true);
  y = graph.conv(name_ + ".conv2", name_ + ".bn2", y, middle, 3, 1, true);
  typename Graph::Map shortcut = x;
  if (has_downsample()) shortcut = graph.conv(name_ + ".downsample.0", name_ + ".downsample.1", x, c_out_, 1, 1, false);
  return graph.conv(name_ + ".conv3", name_ + ".bn3", y, c_out_, 1, 1, true, &shortcut);
}

HourglassLevel::HourglassLevel(const std::string& name, int level, int width)
    : name_(fmt::format("{}.level_{}", name, level)),
      skip_(fmt::format("{}.b1_{}", name, level), width, width),
      before_(fmt::format("{}.b2_{}", name, level), width, width),
      after_(fmt::format("{}.b3_{}", name, level), width, width) {
  if (level > 1) {
    inner_ = std::make_unique<HourglassLevel>(name, level - 1, width);
  } else {
    innermost_ = std::make_unique<Bottleneck>(name + ".b2_plus_1", width, width);
  }
}

PlanTensor HourglassLevel::forward(TrainingGraph& graph, const PlanTensor& x) {
  const PlanTensor skip = skip_.forward(graph, x);
  pooled_ = append_max_pool(graph.plan, name_ + " pool", x, &argmax_);
  PlanTensor low = before_.forward(graph, pooled_);
  low = inner_ ? inner_->forward(graph, low) : innermost_->forward(graph, low);
  low = after_.forward(graph, low);
  const PlanTensor y = graph.map(name_, x.desc.shape);
  append_upsample_add(graph.plan, name_ + " upsample", low, skip, y);
  return y;
}

PlanTensor HourglassLevel::backward(TrainingGraph& graph, const PlanTensor& dy) {
  PlanTensor low = graph.map(name_ + ".dlow", pooled_.desc.shape);
  append_map_step(graph.plan, name_ + " upsample backward", UpsampleBackward{low.desc, dy.desc}, dy.buffer, low.buffer);
  low = after_.backward(graph, low);
  low = inner_ ? inner_->backward(graph, low) : innermost_->backward(graph, low);
  low = before_.backward(graph, low);
  const PlanTensor dx = skip_.backward(graph, dy);
  append_max_pool_backward(graph.plan, name_ + " pool backward", low, argmax_, dx, true);
  return dx;
}

template <typename Graph>
typename Graph::Map HourglassLevel::infer(Graph& graph, const typename Graph::Map& x) const {
  typename Graph::Map low = graph.max_pool(name_ + " pool", x);
  const typename Graph::Map skip = skip_.infer(graph, x);  // takes x's memory, so after the pooling
  low = before_.infer(graph, low);
  low = inner_ ? inner_->infer(graph, low) : innermost_->infer(graph, low);
  low = after_.infer(graph, low);
  return graph.upsample_add(name_ + " upsample", low, skip);
}

HeatmapNet::HeatmapNet(const NetworkConfig& config)
    : width_(config.width),
      heatmaps_(config.heatmaps),
      regression_(config.head == Head::regression),
      stem_("conv1", config.width / 4, 7, 2, true),
      stem_norm_("bn1", config.width / 4),
      conv2_("conv2", config.width / 4, config.width / 2),
      conv3_("conv3", config.width / 2, config.width / 2),
      conv4_("conv4", config.width / 2, config.width),
      hourglass_("m0", config.depth, config.width),
      top_("top_m_0", config.width, config.width),
      last_("conv_last0", config.width, 1, 1, true),
      last_norm_("bn_end0", config.width),
      head_("l0", config.heatmaps, 1, 1, true) {
  config.check();
}

PlanTensor HeatmapNet::forward(TrainingGraph& graph, const PlanTensor& picture) {
  stem_z_ = stem_.forward(graph, picture, nullptr, &stem_norm_);
  stem_norm_.finalize(graph, stem_z_.desc.shape.pixels());
  // Two convolutions read the stem's output, so it is worth finishing once.
  stem_y_ = append_finish(graph, "bn1", "stem", stem_z_, stem_norm_);
  PlanTensor x = conv2_.forward(graph, stem_y_);
  x = append_max_pool(graph.plan, "pool", x, &argmax_);
  pooled_ = x;
  x = conv3_.forward(graph, x);
  x = conv4_.forward(graph, x);
  x = hourglass_.forward(graph, x);
  x = top_.forward(graph, x);
  last_z_ = last_.forward(graph, x, nullptr, &last_norm_);
  last_norm_.finalize(graph, last_z_.desc.shape.pixels());
  if (!regression_) return head_.forward(graph, last_z_, &last_norm_, nullptr, true);
  averages_ = append_average_pool(graph.plan, append_finish(graph, "bn_end0", "conv_last0.y", last_z_, last_norm_));
  return head_.forward(graph, averages_, nullptr, nullptr, true);
}

void HeatmapNet::backward(TrainingGraph& graph, const PlanTensor& dy) {
  head_.backward_weights(graph, dy);
  const PlanTensor dlast = graph.map("conv_last0.dz", last_z_.desc.shape);
  if (regression_) {
    const PlanTensor daverages = graph.map("average.dy", averages_.desc.shape);
    head_.backward_data(graph, dy, daverages, false, nullptr);
    append_map_step(graph.plan, "average pool backward", AveragePoolBackward{dlast.desc, daverages.desc},
                    daverages.buffer, dlast.buffer);
    append_finish_backward(graph, "bn_end0", dlast, last_z_, last_norm_);
  } else {
    head_.backward_data(graph, dy, dlast, false, &last_norm_);
  }
  last_norm_.backward(graph, dlast, last_z_, dlast);
  last_.backward_weights(graph, dlast);
  PlanTensor dx = graph.map("top_m_0.dy", last_z_.desc.shape);
  last_.backward_data(graph, dlast, dx, false, nullptr);
  dx = top_.backward(graph, dx);
  dx = hourglass_.backward(graph, dx);
  dx = conv4_.backward(graph, dx);
  dx = conv3_.backward(graph, dx);
  Shape unpooled = stem_z_.desc.shape;
  unpooled.c = pooled_.desc.shape.c;
  const PlanTensor dconv2 = graph.map("conv2.dy", unpooled);
  append_max_pool_backward(graph.plan, "pool backward", dx, argmax_, dconv2, false);
  const PlanTensor g = conv2_.backward(graph, dconv2);

  append_finish_backward(graph, "bn1", g, stem_z_, stem_norm_);
  stem_norm_.backward(graph, g, stem_z_, g);
  stem_.backward_weights(graph, g);
}

template <typename Graph>
typename Graph::Map HeatmapNet::infer(Graph& graph, const typename Graph::Map& picture) const {
  typename Graph::Map x = graph.conv("conv1", "bn1", picture, width_ / 4, 7, 2, true);
  x = conv2_.infer(graph, x);
  x = graph.max_pool("pool", x);
  x = conv3_.infer(graph, x);
  x = conv4_.infer(graph, x);
  x = hourglass_.infer(graph, x);
  x = top_.infer(graph, x);
  x = graph.conv("conv_last0", "bn_end0", x, width_, 1, 1, true);
  if (regression_) x = graph.average_pool(x);
  return graph.heatmaps("l0", x, heatmaps_);
}

template PlanTensor HeatmapNet::infer(InferenceGraph& graph, const PlanTensor& picture) const;
template OnnxGraph::Map HeatmapNet::infer(OnnxGraph& graph, const OnnxGraph::Map& picture) const;

}  // namespace sandglass
