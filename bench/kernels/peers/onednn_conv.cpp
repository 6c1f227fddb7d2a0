// oneDNN's direct convolutions.
#include "bench/kernels/peers/onednn_support.h"

namespace sandglass::bench {
namespace {

struct Geometry {
  explicit Geometry(const ConvShape& s)
      : strides{s.stride, s.stride},
        left{s.padding, s.padding},
        // Rows and columns that no filter reaches count as padding on the right.
        right{(s.p() - 1) * s.stride + s.r - s.h - s.padding, (s.q() - 1) * s.stride + s.s - s.w - s.padding} {}
  memory::dims strides, left, right;
};

memory::desc any_weights(const ConvShape& s) {
  return {{s.k, s.c, s.r, s.s}, memory::data_type::f32, memory::format_tag::any};
}

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_desc(const ConvShape& shape, const TensorDesc& x, const TensorDesc& y,
                                                       bool training, bool bias,
                                                       const dnnl::primitive_attr& attributes) {
  const Geometry g(shape);
  return {{training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, kDirect, map_desc(x),
           any_weights(shape), bias ? channel_desc(shape.k) : memory::desc(), map_desc(y), g.strides, g.left, g.right},
          attributes,
          cpu_engine()};
}

// KRSC weights, and the form that the convolution reads.
class Weights {
 public:
  Weights(const ConvShape& s, const memory::desc& packed)
      : packed_(unbound(packed)),
        krsc_(unbound({{s.k, s.c, s.r, s.s}, memory::data_type::f32, memory::format_tag::ohwi})) {}
  size_t bytes() const { return packed_.get_desc().get_size(); }
  void pack(const void* weights, void* packed) {
    bind(krsc_, weights);
    bind(packed_, packed);
    dnnl::reorder(krsc_, packed_).execute(cpu_stream(), krsc_, packed_);
    cpu_stream().wait();
  }
  memory& packed() { return packed_; }
  memory& krsc() { return krsc_; }

 private:
  memory packed_, krsc_;
};

class Forward final : public ConvForward::Operation {
 public:
  explicit Forward(const ConvForward& spec) : bias_(spec.bias) {
    dnnl::primitive_attr attributes;
    dnnl::post_ops post;
    if (spec.residual) post.append_sum();
    if (spec.relu) post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post);
    const auto desc = forward_desc(spec.shape, spec.x, spec.y, false, spec.bias, attributes);
    name_ = checked_name(desc, spec.text());
    primitive_ = dnnl::convolution_forward(desc);
    weights_ = std::make_unique<Weights>(spec.shape, desc.weights_desc());
    arguments_ = {{DNNL_ARG_SRC, unbound(desc.src_desc())},
                  {DNNL_ARG_DST, unbound(desc.dst_desc())},
                  {DNNL_ARG_WEIGHTS, weights_->packed()}};
    if (bias_) arguments_[DNNL_ARG_BIAS] = unbound(desc.bias_desc());
  }
  std::string implementation() const override { return name_; }
  size_t packed_weight_bytes() const override { return weights_->bytes(); }
  void pack_weights(const void* weights, void* packed, Stream) override { weights_->pack(weights, packed); }
  void run(const ConvForwardArguments& a, Stream) override {
    bind(arguments_[DNNL_ARG_SRC], a.x);
    bind(arguments_[DNNL_ARG_DST], a.y);
    bind(arguments_[DNNL_ARG_WEIGHTS], a.weights);
    if (bias_) bind(arguments_[DNNL_ARG_BIAS], a.bias);
    primitive_.execute(cpu_stream(), arguments_);
    cpu_stream().wait();
  }

 private:
  bool bias_;
  std::string name_;
  dnnl::convolution_forward primitive_;
  std::unique_ptr<Weights> weights_;
  DnnlArguments arguments_;
};

class BackwardData final : public ConvBackwardData::Operation {
 public:
  explicit BackwardData(const ConvBackwardData& spec) {
    const Geometry g(spec.shape);
    const auto hint = forward_desc(spec.shape, spec.dx, spec.dy, true, false, {});
    const dnnl::convolution_backward_data::primitive_desc desc(
        {kDirect, map_desc(spec.dx), any_weights(spec.shape), map_desc(spec.dy), g.strides, g.left, g.right},
        cpu_engine(), hint);
    name_ = checked_name(desc, spec.text());
    primitive_ = dnnl::convolution_backward_data(desc);
    weights_ = std::make_unique<Weights>(spec.shape, desc.weights_desc());
    arguments_ = {{DNNL_ARG_DIFF_DST, unbound(desc.diff_dst_desc())},
                  {DNNL_ARG_DIFF_SRC, unbound(desc.diff_src_desc())},
                  {DNNL_ARG_WEIGHTS, weights_->packed()}};
  }
  std::string implementation() const override { return name_; }
  size_t packed_weight_bytes() const override { return weights_->bytes(); }
  void pack_weights(const void* weights, void* packed, Stream) override { weights_->pack(weights, packed); }
  void run(const ConvBackwardDataArguments& a, Stream) override {
    bind(arguments_[DNNL_ARG_DIFF_DST], a.dy);
    bind(arguments_[DNNL_ARG_DIFF_SRC], a.dx);
    bind(arguments_[DNNL_ARG_WEIGHTS], a.weights);
    primitive_.execute(cpu_stream(), arguments_);
    cpu_stream().wait();
  }

 private:
  std::string name_;
  dnnl::convolution_backward_data primitive_;
  std::unique_ptr<Weights> weights_;
  DnnlArguments arguments_;
};

// The gradient ends as KRSC, as Sandglass's does: the reorder to it is timed.
class BackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeights(const ConvBackwardWeights& spec) : bias_(spec.bias) {
    const Geometry g(spec.shape);
    const auto hint = forward_desc(spec.shape, spec.x, spec.dy, true, spec.bias, {});
    const dnnl::convolution_backward_weights::primitive_desc desc(
        {kDirect, map_desc(spec.x), any_weights(spec.shape), bias_ ? channel_desc(spec.shape.k) : memory::desc(),
         map_desc(spec.dy), g.strides, g.left, g.right},
        cpu_engine(), hint);
    name_ = checked_name(desc, spec.text());
    primitive_ = dnnl::convolution_backward_weights(desc);
    gradient_ = memory(desc.diff_weights_desc(), cpu_engine());
    krsc_ = unbound(
        {{spec.shape.k, spec.shape.c, spec.shape.r, spec.shape.s}, memory::data_type::f32, memory::format_tag::ohwi});
    reorder_ = dnnl::reorder(gradient_, krsc_);
    arguments_ = {{DNNL_ARG_SRC, unbound(desc.src_desc())},
                  {DNNL_ARG_DIFF_DST, unbound(desc.diff_dst_desc())},
                  {DNNL_ARG_DIFF_WEIGHTS, gradient_}};
    if (bias_) arguments_[DNNL_ARG_DIFF_BIAS] = unbound(desc.diff_bias_desc());
  }
  std::string implementation() const override { return name_; }
  void run(const ConvBackwardWeightsArguments& a, Stream) override {
    bind(arguments_[DNNL_ARG_SRC], a.x);
    bind(arguments_[DNNL_ARG_DIFF_DST], a.dy);
    if (bias_) bind(arguments_[DNNL_ARG_DIFF_BIAS], a.db);
    primitive_.execute(cpu_stream(), arguments_);
    bind(krsc_, a.dw);
    reorder_.execute(cpu_stream(), gradient_, krsc_);
    cpu_stream().wait();
  }

 private:
  bool bias_;
  std::string name_;
  dnnl::convolution_backward_weights primitive_;
  memory gradient_, krsc_;
  dnnl::reorder reorder_;
  DnnlArguments arguments_;
};

}  // namespace

std::unique_ptr<ConvForward::Operation> onednn_operation(const ConvForward& spec) {
  return std::make_unique<Forward>(spec);
}
std::unique_ptr<ConvBackwardData::Operation> onednn_operation(const ConvBackwardData& spec) {
  return std::make_unique<BackwardData>(spec);
}
std::unique_ptr<ConvBackwardWeights::Operation> onednn_operation(const ConvBackwardWeights& spec) {
  return std::make_unique<BackwardWeights>(spec);
}

}  // namespace sandglass::bench
