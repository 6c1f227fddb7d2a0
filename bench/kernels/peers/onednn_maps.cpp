// oneDNN's passes over feature maps.
#include <vector>

#include "bench/kernels/peers/onednn_support.h"

namespace sandglass::bench {
namespace {

// A primitive with the memory objects of its arguments; addresses are set before each run.
template <typename Arguments>
class MapOperation : public Operation<Arguments> {
 public:
  std::string implementation() const override { return name_; }

 protected:
  template <typename Descriptor>
  MapOperation(const Descriptor& desc, dnnl::primitive primitive, DnnlArguments arguments, const std::string& text)
      : name_(checked_name(desc, text)), primitive_(std::move(primitive)), arguments_(std::move(arguments)) {}
  void bind_argument(int argument, const void* address) { bind(arguments_.at(argument), address); }
  void execute() {
    primitive_.execute(cpu_stream(), arguments_);
    cpu_stream().wait();
  }

 private:
  std::string name_;
  dnnl::primitive primitive_;
  DnnlArguments arguments_;
};

// With mean 0 and variance 1 (and no epsilon) scale and shift are what is left of batch normalisation.
class Apply final : public MapOperation<BatchNormApplyArguments> {
 public:
  using Desc = dnnl::batch_normalization_forward::primitive_desc;
  static Desc desc(const BatchNormApply& spec) {
    using dnnl::normalization_flags;
    // Inference has the ReLU as an operation that comes after.
    dnnl::primitive_attr attributes;
    dnnl::post_ops post;
    if (spec.relu) post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post);
    return {{dnnl::prop_kind::forward_inference, map_desc(spec.z), 0.0f,
             normalization_flags::use_global_stats | normalization_flags::use_scale | normalization_flags::use_shift},
            attributes,
            cpu_engine()};
  }
  Apply(const BatchNormApply& spec, const Desc& desc)
      : MapOperation(desc, dnnl::batch_normalization_forward(desc),
                     {{DNNL_ARG_SRC, unbound(desc.src_desc())},
                      {DNNL_ARG_DST, unbound(desc.dst_desc())},
                      {DNNL_ARG_SCALE, unbound(channel_desc(spec.z.shape.c))},
                      {DNNL_ARG_SHIFT, unbound(channel_desc(spec.z.shape.c))},
                      {DNNL_ARG_MEAN, unbound(channel_desc(spec.z.shape.c))},
                      {DNNL_ARG_VARIANCE, unbound(channel_desc(spec.z.shape.c))}},
                     spec.text()),
        zeros_(static_cast<size_t>(spec.z.padded_channels()), 0.0f),
        ones_(zeros_.size(), 1.0f) {
    bind_argument(DNNL_ARG_MEAN, zeros_.data());
    bind_argument(DNNL_ARG_VARIANCE, ones_.data());
  }
  void run(const BatchNormApplyArguments& a, Stream) override {
    bind_argument(DNNL_ARG_SRC, a.z);
    bind_argument(DNNL_ARG_DST, a.y);
    bind_argument(DNNL_ARG_SCALE, a.scale);
    bind_argument(DNNL_ARG_SHIFT, a.shift);
    execute();
  }

 private:
  std::vector<float> zeros_, ones_;
};

constexpr int kShift = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1;
constexpr int kShortcut = DNNL_ARG_ATTR_MULTIPLE_POST_OP(1) | DNNL_ARG_SRC_1;

class Residual final : public MapOperation<ResidualForwardArguments> {
 public:
  using Desc = dnnl::binary::primitive_desc;
  static Desc desc(const ResidualForward& spec) {
    dnnl::primitive_attr attributes;
    dnnl::post_ops post;
    post.append_binary(dnnl::algorithm::binary_add, broadcast_desc(spec.z));
    post.append_binary(dnnl::algorithm::binary_add, map_desc(spec.z));
    post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post);
    return {{dnnl::algorithm::binary_mul, map_desc(spec.z), broadcast_desc(spec.z), map_desc(spec.z)},
            attributes,
            cpu_engine()};
  }
  Residual(const ResidualForward& spec, const Desc& desc)
      : MapOperation(desc, dnnl::binary(desc),
                     {{DNNL_ARG_SRC_0, unbound(map_desc(spec.z))},
                      {DNNL_ARG_SRC_1, unbound(broadcast_desc(spec.z))},
                      {kShift, unbound(broadcast_desc(spec.z))},
                      {kShortcut, unbound(map_desc(spec.z))},
                      {DNNL_ARG_DST, unbound(map_desc(spec.z))}},
                     spec.text()) {}
  void run(const ResidualForwardArguments& a, Stream) override {
    bind_argument(DNNL_ARG_SRC_0, a.z);
    bind_argument(DNNL_ARG_SRC_1, a.scale);
    bind_argument(kShift, a.shift);
    bind_argument(kShortcut, a.shortcut);
    bind_argument(DNNL_ARG_DST, a.y);
    execute();
  }
};

const memory::dims kWindow = {2, 2}, kNoPadding = {0, 0};

dnnl::pooling_forward::primitive_desc pool_desc(const TensorDesc& x, const TensorDesc& y, bool training) {
  return {{training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
           dnnl::algorithm::pooling_max, map_desc(x), map_desc(y), kWindow, kWindow, kNoPadding, kNoPadding},
          cpu_engine()};
}

// oneDNN's workspace for a window of four is a byte an element, like Sandglass's places: 2 i + j, in the layout of y.
void check_places(const memory::desc& workspace, const TensorDesc& y, const std::string& text) {
  check(workspace.get_size() == y.elements(), "{}: oneDNN keeps {} bytes for the places of {} maxima", text,
        workspace.get_size(), y.elements());
}

class PoolForward final : public MapOperation<MaxPoolForwardArguments> {
 public:
  using Desc = dnnl::pooling_forward::primitive_desc;
  PoolForward(const MaxPoolForward& spec, bool argmax, const Desc& desc)
      : MapOperation(desc, dnnl::pooling_forward(desc), arguments(spec, argmax, desc), spec.text()), argmax_(argmax) {}
  void run(const MaxPoolForwardArguments& a, Stream) override {
    bind_argument(DNNL_ARG_SRC, a.x);
    bind_argument(DNNL_ARG_DST, a.y);
    if (argmax_) bind_argument(DNNL_ARG_WORKSPACE, a.argmax);
    execute();
  }

 private:
  static DnnlArguments arguments(const MaxPoolForward& spec, bool argmax, const Desc& desc) {
    DnnlArguments all = {{DNNL_ARG_SRC, unbound(desc.src_desc())}, {DNNL_ARG_DST, unbound(desc.dst_desc())}};
    if (argmax) {
      check_places(desc.workspace_desc(), spec.y, spec.text());
      all[DNNL_ARG_WORKSPACE] = unbound(desc.workspace_desc());
    }
    return all;
  }
  bool argmax_;
};

class PoolBackward final : public MapOperation<MaxPoolBackwardArguments> {
 public:
  using Desc = dnnl::pooling_backward::primitive_desc;
  static Desc desc(const MaxPoolBackward& spec) {
    return {
        {dnnl::algorithm::pooling_max, map_desc(spec.dx), map_desc(spec.dy), kWindow, kWindow, kNoPadding, kNoPadding},
        cpu_engine(),
        pool_desc(spec.dx, spec.dy, true)};
  }
  PoolBackward(const MaxPoolBackward& spec, const Desc& desc)
      : MapOperation(desc, dnnl::pooling_backward(desc),
                     {{DNNL_ARG_DIFF_DST, unbound(desc.diff_dst_desc())},
                      {DNNL_ARG_DIFF_SRC, unbound(desc.diff_src_desc())},
                      {DNNL_ARG_WORKSPACE, unbound(desc.workspace_desc())}},
                     spec.text()) {
    check_places(desc.workspace_desc(), spec.dy, spec.text());
  }
  void run(const MaxPoolBackwardArguments& a, Stream) override {
    bind_argument(DNNL_ARG_DIFF_DST, a.dy);
    bind_argument(DNNL_ARG_DIFF_SRC, a.dx);
    bind_argument(DNNL_ARG_WORKSPACE, a.argmax);
    execute();
  }
};

constexpr auto kNearest = dnnl::algorithm::resampling_nearest;

class UpsampleAdd final : public MapOperation<UpsampleAddForwardArguments> {
 public:
  using Desc = dnnl::resampling_forward::primitive_desc;
  static Desc desc(const UpsampleAddForward& spec) {
    dnnl::primitive_attr attributes;
    dnnl::post_ops post;
    post.append_sum();
    attributes.set_post_ops(post);
    return {{dnnl::prop_kind::forward_inference, kNearest, {2.0f, 2.0f}, map_desc(spec.low), map_desc(spec.y)},
            attributes,
            cpu_engine()};
  }
  UpsampleAdd(const UpsampleAddForward& spec, const Desc& desc)
      : MapOperation(desc, dnnl::resampling_forward(desc),
                     {{DNNL_ARG_SRC, unbound(desc.src_desc())}, {DNNL_ARG_DST, unbound(desc.dst_desc())}},
                     spec.text()) {}
  void run(const UpsampleAddForwardArguments& a, Stream) override {
    bind_argument(DNNL_ARG_SRC, a.low);
    bind_argument(DNNL_ARG_DST, a.y);
    execute();
  }
};

class UpsampleGradient final : public MapOperation<UpsampleBackwardArguments> {
 public:
  using Desc = dnnl::resampling_backward::primitive_desc;
  static Desc desc(const UpsampleBackward& spec) {
    const std::vector<float> factors = {2.0f, 2.0f};
    const dnnl::resampling_forward::primitive_desc hint(
        {dnnl::prop_kind::forward_training, kNearest, factors, map_desc(spec.dlow), map_desc(spec.dy)}, cpu_engine());
    return {{kNearest, factors, map_desc(spec.dlow), map_desc(spec.dy)}, cpu_engine(), hint};
  }
  UpsampleGradient(const UpsampleBackward& spec, const Desc& desc)
      : MapOperation(
            desc, dnnl::resampling_backward(desc),
            {{DNNL_ARG_DIFF_DST, unbound(desc.diff_dst_desc())}, {DNNL_ARG_DIFF_SRC, unbound(desc.diff_src_desc())}},
            spec.text()) {}
  void run(const UpsampleBackwardArguments& a, Stream) override {
    bind_argument(DNNL_ARG_DIFF_DST, a.dy);
    bind_argument(DNNL_ARG_DIFF_SRC, a.dlow);
    execute();
  }
};

}  // namespace

std::unique_ptr<BatchNormApply::Operation> onednn_operation(const BatchNormApply& spec) {
  return std::make_unique<Apply>(spec, Apply::desc(spec));
}
std::unique_ptr<ResidualForward::Operation> onednn_operation(const ResidualForward& spec) {
  return std::make_unique<Residual>(spec, Residual::desc(spec));
}
std::unique_ptr<MaxPoolForward::Operation> onednn_operation(const MaxPoolForward& spec, bool argmax) {
  return std::make_unique<PoolForward>(spec, argmax, pool_desc(spec.x, spec.y, argmax));
}
std::unique_ptr<MaxPoolBackward::Operation> onednn_operation(const MaxPoolBackward& spec) {
  return std::make_unique<PoolBackward>(spec, PoolBackward::desc(spec));
}
std::unique_ptr<UpsampleAddForward::Operation> onednn_operation(const UpsampleAddForward& spec) {
  return std::make_unique<UpsampleAdd>(spec, UpsampleAdd::desc(spec));
}
std::unique_ptr<UpsampleBackward::Operation> onednn_operation(const UpsampleBackward& spec) {
  return std::make_unique<UpsampleGradient>(spec, UpsampleGradient::desc(spec));
}

}  // namespace sandglass::bench
