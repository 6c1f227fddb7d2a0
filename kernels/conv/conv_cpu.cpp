// Convolution on the cpu device: oneDNN's direct convolutions on blocked layouts, and Winograd for 3x3 where it is
// faster.
//
// What the contract fuses and oneDNN does not becomes a pass of its own here: the input transform (BatchNormApply), the
// statistics (ChannelSums) and the mask of the backward pass (BatchNormBackwardReduce).
//
// The backward pass to the data with stride 1 is the forward convolution of dy with the filters rotated by 180 degrees
// and C and K exchanged, padding R - 1 - padding: oneDNN's forward kernels are 1.6 times faster than its backward ones
// here, and can accumulate.
//
// oneDNN is told of padded channel counts, so that odd ones need no slow path: padding channels hold zeros by contract.
#include <omp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_cpu_winograd.h"
#include "kernels/onednn.h"
#include "kernels/reduce/channel_sums_cpu.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

using dnnl::memory;

// Padding channels hold zeros and are computed like the others.
memory::desc map_desc(const TensorDesc& desc) { return map_desc(desc, desc.padded_channels()); }

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

void add_in_place(float* to, const float* from, size_t count) {
#pragma omp parallel for simd
  for (size_t i = 0; i < count; ++i) to[i] += from[i];
}

void copy(float* to, const float* from, size_t count) {
#pragma omp parallel for simd
  for (size_t i = 0; i < count; ++i) to[i] = from[i];
}

template <typename Descriptor>
std::string implementation_name(const Descriptor& descriptor, const ConvShape& shape) {
  const std::string name = descriptor.impl_info_str();
  // For maps of a few pixels oneDNN has nothing else; there it costs nothing. Anywhere else it would be a silent slow
  // path.
  check(!name.starts_with("ref") || shape.p() * shape.q() <= 36,
        "device 'cpu': oneDNN has only a reference implementation for conv {}", to_string(shape));
  return "oneDNN " + name;
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// Applies the contract's input transform into a buffer of the workspace.
class TransformPass {
 public:
  TransformPass(Device& device, const TensorDesc& x, bool needed) : bytes_(needed ? aligned(x.bytes()) : 0) {
    if (!needed) return;
    for (bool relu : {false, true}) apply_[relu] = make_operation(device, BatchNormApply{x, relu});
  }
  size_t bytes() const { return bytes_; }
  const float* run(const float* x, const InputTransform& transform, void* buffer, Stream stream) {
    if (!bytes_) return x;
    float* out = static_cast<float*>(buffer);
    apply_[transform.relu]->run({x, transform.scale, transform.shift, out}, stream);
    return out;
  }

 private:
  size_t bytes_;
  std::array<std::unique_ptr<BatchNormApply::Operation>, 2> apply_;
};

// y = relu?(conv(x) + bias? + y?) by oneDNN. `rotated`: the weights are those of the convolution whose dx this one
// computes.
class DirectConv {
 public:
  DirectConv(const ConvShape& shape, const TensorDesc& x, const TensorDesc& y, bool bias, bool accumulate, bool relu,
             bool rotated)
      : shape_(shape), rotated_(rotated), out_(y.padded_channels()), in_(x.padded_channels()) {
    auto attributes = user_scratchpad();
    dnnl::post_ops post;
    if (accumulate) post.append_sum();
    if (relu) post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post);
    const memory::dims strides = {shape.stride, shape.stride}, padding = {shape.padding, shape.padding};
    const memory::desc weights({out_, in_, shape.r, shape.s}, memory::data_type::f32, memory::format_tag::any);
    const memory::desc bias_desc =
        bias ? memory::desc({out_}, memory::data_type::f32, memory::format_tag::a) : memory::desc();
    const dnnl::convolution_forward::primitive_desc descriptor(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, map_desc(x), weights, bias_desc,
         map_desc(y), strides, padding, padding},
        attributes, cpu_engine());
    implementation_ = implementation_name(descriptor, shape);
    convolution_ = dnnl::convolution_forward(descriptor);
    x_ = unbound(descriptor.src_desc());
    y_ = unbound(descriptor.dst_desc());
    weights_ = unbound(descriptor.weights_desc());
    scratchpad_ = unbound(descriptor.scratchpad_desc());
    arguments_ = {
        {DNNL_ARG_SRC, x_}, {DNNL_ARG_DST, y_}, {DNNL_ARG_WEIGHTS, weights_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}};
    if (bias) {
      padded_bias_.resize(out_);
      arguments_.insert({DNNL_ARG_BIAS, memory(descriptor.bias_desc(), cpu_engine(), padded_bias_.data())});
    }
    const memory::dims plain = {int64_t{in_} * shape.r * shape.s, 1, int64_t{in_} * shape.s, in_};
    plain_weights_ = unbound(memory::desc({out_, in_, shape.r, shape.s}, memory::data_type::f32, plain));
    reorder_ = dnnl::reorder(plain_weights_, weights_);
    if (rotated || out_ != shape.k || in_ != shape.c) staging_.resize(size_t(out_) * shape.r * shape.s * in_);
  }

  const std::string& implementation() const { return implementation_; }
  size_t packed_weight_bytes() const { return weights_.get_desc().get_size(); }
  size_t workspace_bytes() const { return aligned(scratchpad_.get_desc().get_size()); }

  void pack_weights(const float* weights, void* packed) {
    const float* plain = weights;
    if (!staging_.empty()) {
      const int r = shape_.r, s = shape_.s;
#pragma omp parallel for
      for (int o = 0; o < shape_.k; ++o)
        for (int tap = 0; tap < r * s; ++tap)
          for (int i = 0; i < shape_.c; ++i)
            staging_[(size_t(o) * r * s + tap) * in_ + i] =
                rotated_ ? weights[(size_t(i) * r * s + (r * s - 1 - tap)) * shape_.k + o]
                         : weights[(size_t(o) * r * s + tap) * shape_.c + i];
      plain = staging_.data();
    }
    plain_weights_.set_data_handle(const_cast<float*>(plain));
    weights_.set_data_handle(packed);
    reorder_.execute(cpu_stream(), plain_weights_, weights_);
  }

  void run(const float* x, const void* weights, const float* bias, float* y, void* workspace) {
    if (bias) std::copy_n(bias, shape_.k, padded_bias_.data());
    x_.set_data_handle(const_cast<float*>(x));
    y_.set_data_handle(y);
    weights_.set_data_handle(const_cast<void*>(weights));
    scratchpad_.set_data_handle(workspace);
    convolution_.execute(cpu_stream(), arguments_);
  }

 private:
  ConvShape shape_;
  bool rotated_;
  int out_, in_;  // padded channel counts
  std::string implementation_;
  dnnl::convolution_forward convolution_;
  memory x_, y_, weights_, scratchpad_, plain_weights_;
  std::unordered_map<int, memory> arguments_;
  dnnl::reorder reorder_;
  std::vector<float> padded_bias_, staging_;
};

// Whether Winograd could serve at all; where it is faster is WinogradConv3x3's to say.
bool is_winograd_shape(const ConvShape& s, const TensorDesc& a, const TensorDesc& b) {
  return s.r == 3 && s.s == 3 && s.stride == 1 && s.padding == 1 && a.block == b.block;
}

bool winograd_serves(const ConvShape& s, const TensorDesc& a, const TensorDesc& b) {
  return is_winograd_shape(s, a, b) && WinogradConv3x3::supported(s.n, s.h, s.w, s.c, s.k, a.block);
}

std::unique_ptr<WinogradConv3x3> winograd(const ConvShape& s, const TensorDesc& x) {
  return WinogradConv3x3::create(s.n, s.h, s.w, s.c, s.k, x.block);
}

class ForwardDirect final : public ConvForward::Operation {
 public:
  ForwardDirect(Device& device, const ConvForward& spec)
      : spec_(spec),
        transform_(device, spec.x, spec.input_transform),
        conv_(spec.shape, spec.x, spec.y, spec.bias, spec.residual, spec.relu, false),
        sums_(spec.y) {}
  std::string implementation() const override { return conv_.implementation(); }
  size_t packed_weight_bytes() const override { return conv_.packed_weight_bytes(); }
  size_t workspace_bytes() const override { return transform_.bytes() + conv_.workspace_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream) override { conv_.pack_weights(f32(weights), packed); }
  void run(const ConvForwardArguments& a, Stream stream) override {
    if (spec_.residual && a.residual != a.y) copy(f32(a.y), f32(a.residual), spec_.y.elements());
    const float* x = transform_.run(f32(a.x), a.transform, a.workspace, stream);
    conv_.run(x, a.weights, spec_.bias ? a.bias : nullptr, f32(a.y),
              static_cast<char*>(a.workspace) + transform_.bytes());
    if (spec_.statistics) sums_.run(f32(a.y), a.sum, a.sum_squares);
  }

 private:
  ConvForward spec_;
  TransformPass transform_;
  DirectConv conv_;
  ChannelSums sums_;
};

class ForwardWinograd final : public ConvForward::Operation {
 public:
  explicit ForwardWinograd(const ConvForward& spec) : spec_(spec), conv_(winograd(spec.shape, spec.x)), sums_(spec.y) {}
  std::string implementation() const override { return "winograd_f4x4"; }
  size_t packed_weight_bytes() const override { return conv_->packed_weight_bytes(); }
  size_t workspace_bytes() const override { return conv_->workspace_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream) override {
    conv_->pack_weights(f32(weights), nullptr, false, static_cast<float*>(packed));
  }
  void run(const ConvForwardArguments& a, Stream) override {
    const InputTransform input = spec_.input_transform ? a.transform : InputTransform{};
    WinogradConv3x3::Epilogue epilogue;
    if (spec_.bias) epilogue.bias = a.bias;
    if (spec_.residual) epilogue.residual = f32(a.residual);
    epilogue.relu = spec_.relu;
    const bool fused_sums = spec_.statistics && !spec_.bias;  // Winograd's sums are those before the bias
    if (fused_sums) epilogue.sum = a.sum, epilogue.sum_squares = a.sum_squares;
    conv_->forward(f32(a.x), static_cast<const float*>(a.weights), f32(a.y), input, epilogue, a.workspace);
    if (spec_.statistics && !fused_sums) sums_.run(f32(a.y), a.sum, a.sum_squares);
  }

 private:
  ConvForward spec_;
  std::unique_ptr<WinogradConv3x3> conv_;
  ChannelSums sums_;
};

// The shape of the forward convolution that computes dx from dy where the stride is 1.
ConvShape rotated(const ConvShape& s) { return {s.n, s.p(), s.q(), s.k, s.c, s.r, s.s, 1, s.r - 1 - s.padding}; }

// The mask and both reductions of ConvBackwardData, as a pass over dx.
class MaskPass {
 public:
  MaskPass(Device& device, const ConvBackwardData& spec) {
    if (spec.mask) reduce_ = make_operation(device, BatchNormBackwardReduce{spec.dx});
  }
  void run(const ConvBackwardDataArguments& a, Stream stream) {
    if (reduce_) reduce_->run({a.dx, a.z, a.scale, a.shift, a.sum, a.sum_z}, stream);
  }

 private:
  std::unique_ptr<BatchNormBackwardReduce::Operation> reduce_;
};

class BackwardDataDirect final : public ConvBackwardData::Operation {
 public:
  BackwardDataDirect(Device& device, const ConvBackwardData& spec)
      : conv_(rotated(spec.shape), spec.dy, spec.dx, false, spec.accumulate, false, true), mask_(device, spec) {}
  std::string implementation() const override { return conv_.implementation() + " (as forward)"; }
  size_t packed_weight_bytes() const override { return conv_.packed_weight_bytes(); }
  size_t workspace_bytes() const override { return conv_.workspace_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream) override { conv_.pack_weights(f32(weights), packed); }
  void run(const ConvBackwardDataArguments& a, Stream stream) override {
    conv_.run(f32(a.dy), a.weights, nullptr, f32(a.dx), a.workspace);
    mask_.run(a, stream);
  }

 private:
  DirectConv conv_;
  MaskPass mask_;
};

class BackwardDataWinograd final : public ConvBackwardData::Operation {
 public:
  BackwardDataWinograd(Device& device, const ConvBackwardData& spec)
      : accumulate_(spec.accumulate), conv_(winograd(rotated(spec.shape), spec.dy)), mask_(device, spec) {}
  std::string implementation() const override { return "winograd_f4x4"; }
  size_t packed_weight_bytes() const override { return conv_->packed_weight_bytes(); }
  size_t workspace_bytes() const override { return conv_->workspace_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream) override {
    conv_->pack_weights(f32(weights), nullptr, true, static_cast<float*>(packed));
  }
  void run(const ConvBackwardDataArguments& a, Stream stream) override {
    WinogradConv3x3::Epilogue epilogue;
    if (accumulate_) epilogue.residual = f32(a.dx);
    conv_->forward(f32(a.dy), static_cast<const float*>(a.weights), f32(a.dx), {}, epilogue, a.workspace);
    mask_.run(a, stream);
  }

 private:
  bool accumulate_;
  std::unique_ptr<WinogradConv3x3> conv_;
  MaskPass mask_;
};

// Strides above 1: oneDNN's own backward pass, which overwrites.
class BackwardDataStrided final : public ConvBackwardData::Operation {
 public:
  BackwardDataStrided(Device& device, const ConvBackwardData& spec) : spec_(spec), mask_(device, spec) {
    const ConvShape& shape = spec.shape;
    const int out = spec.dy.padded_channels(), in = spec.dx.padded_channels();
    const memory::dims strides = {shape.stride, shape.stride}, padding = {shape.padding, shape.padding};
    // Rows and columns that no filter reaches count as padding on the right.
    const memory::dims right = {(shape.p() - 1) * shape.stride + shape.r - shape.h - shape.padding,
                                (shape.q() - 1) * shape.stride + shape.s - shape.w - shape.padding};
    const memory::desc weights({out, in, shape.r, shape.s}, memory::data_type::f32, memory::format_tag::any);
    const dnnl::convolution_forward::primitive_desc hint(
        {dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, map_desc(spec.dx), weights,
         map_desc(spec.dy), strides, padding, right},
        cpu_engine());
    const dnnl::convolution_backward_data::primitive_desc descriptor(
        {dnnl::algorithm::convolution_direct, map_desc(spec.dx), weights, map_desc(spec.dy), strides, padding, right},
        user_scratchpad(), cpu_engine(), hint);
    implementation_ = implementation_name(descriptor, shape);
    convolution_ = dnnl::convolution_backward_data(descriptor);
    dy_ = unbound(descriptor.diff_dst_desc());
    dx_ = unbound(descriptor.diff_src_desc());
    weights_ = unbound(descriptor.weights_desc());
    scratchpad_ = unbound(descriptor.scratchpad_desc());
    const memory::dims plain = {int64_t{in} * shape.r * shape.s, 1, int64_t{in} * shape.s, in};
    staging_.resize(size_t(out) * shape.r * shape.s * in);
    plain_weights_ =
        memory(memory::desc({out, in, shape.r, shape.s}, memory::data_type::f32, plain), cpu_engine(), staging_.data());
    reorder_ = dnnl::reorder(plain_weights_, weights_);
  }
  std::string implementation() const override { return implementation_; }
  size_t packed_weight_bytes() const override { return weights_.get_desc().get_size(); }
  size_t workspace_bytes() const override {
    return aligned(scratchpad_.get_desc().get_size()) + (spec_.accumulate ? spec_.dx.bytes() : 0);
  }
  void pack_weights(const void* weights, void* packed, Stream) override {
    const int in = spec_.dx.padded_channels();
    const size_t rows = size_t(spec_.shape.k) * spec_.shape.r * spec_.shape.s;
    for (size_t row = 0; row < rows; ++row)
      std::copy_n(f32(weights) + row * spec_.shape.c, spec_.shape.c, &staging_[row * in]);
    weights_.set_data_handle(packed);
    reorder_.execute(cpu_stream(), plain_weights_, weights_);
  }
  void run(const ConvBackwardDataArguments& a, Stream stream) override {
    char* workspace = static_cast<char*>(a.workspace);
    float* dx =
        spec_.accumulate ? reinterpret_cast<float*>(workspace + aligned(scratchpad_.get_desc().get_size())) : f32(a.dx);
    dy_.set_data_handle(const_cast<float*>(f32(a.dy)));
    dx_.set_data_handle(dx);
    weights_.set_data_handle(const_cast<void*>(a.weights));
    scratchpad_.set_data_handle(workspace);
    convolution_.execute(cpu_stream(), {{DNNL_ARG_DIFF_DST, dy_},
                                        {DNNL_ARG_DIFF_SRC, dx_},
                                        {DNNL_ARG_WEIGHTS, weights_},
                                        {DNNL_ARG_SCRATCHPAD, scratchpad_}});
    if (spec_.accumulate) add_in_place(f32(a.dx), dx, spec_.dx.elements());
    mask_.run(a, stream);
  }

 private:
  ConvBackwardData spec_;
  MaskPass mask_;
  std::string implementation_;
  dnnl::convolution_backward_data convolution_;
  memory dy_, dx_, weights_, scratchpad_, plain_weights_;
  dnnl::reorder reorder_;
  std::vector<float> staging_;
};

class BackwardWeightsDirect final : public ConvBackwardWeights::Operation {
 public:
  BackwardWeightsDirect(Device& device, const ConvBackwardWeights& spec)
      : spec_(spec), transform_(device, spec.x, spec.input_transform), sums_(spec.dy), bias_sums_(spec.dy.shape.c) {
    const ConvShape& shape = spec.shape;
    out_ = spec.dy.padded_channels();
    in_ = spec.x.padded_channels();
    const memory::dims strides = {shape.stride, shape.stride}, padding = {shape.padding, shape.padding};
    const memory::dims right = {(shape.p() - 1) * shape.stride + shape.r - shape.h - shape.padding,
                                (shape.q() - 1) * shape.stride + shape.s - shape.w - shape.padding};
    const memory::desc any({out_, in_, shape.r, shape.s}, memory::data_type::f32, memory::format_tag::any);
    const dnnl::convolution_forward::primitive_desc hint(
        {dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, map_desc(spec.x), any,
         map_desc(spec.dy), strides, padding, right},
        cpu_engine());
    const dnnl::convolution_backward_weights::primitive_desc descriptor(
        {dnnl::algorithm::convolution_direct, map_desc(spec.x), any, map_desc(spec.dy), strides, padding, right},
        user_scratchpad(), cpu_engine(), hint);
    implementation_ = implementation_name(descriptor, shape);
    convolution_ = dnnl::convolution_backward_weights(descriptor);
    x_ = unbound(descriptor.src_desc());
    dy_ = unbound(descriptor.diff_dst_desc());
    dw_ = unbound(descriptor.diff_weights_desc());
    scratchpad_ = unbound(descriptor.scratchpad_desc());
    const memory::dims plain = {int64_t{in_} * shape.r * shape.s, 1, int64_t{in_} * shape.s, in_};
    plain_dw_ = unbound(memory::desc({out_, in_, shape.r, shape.s}, memory::data_type::f32, plain));
    reorder_ = dnnl::reorder(dw_, plain_dw_);
    if (out_ != shape.k || in_ != shape.c) staging_.resize(size_t(out_) * shape.r * shape.s * in_);
  }
  std::string implementation() const override { return implementation_; }
  size_t workspace_bytes() const override {
    return transform_.bytes() + aligned(dw_.get_desc().get_size()) + aligned(scratchpad_.get_desc().get_size());
  }
  void run(const ConvBackwardWeightsArguments& a, Stream stream) override {
    char* workspace = static_cast<char*>(a.workspace);
    const float* x = transform_.run(f32(a.x), a.transform, workspace, stream);
    workspace += transform_.bytes();
    x_.set_data_handle(const_cast<float*>(x));
    dy_.set_data_handle(const_cast<float*>(f32(a.dy)));
    dw_.set_data_handle(workspace);
    scratchpad_.set_data_handle(workspace + aligned(dw_.get_desc().get_size()));
    convolution_.execute(cpu_stream(), {{DNNL_ARG_SRC, x_},
                                        {DNNL_ARG_DIFF_DST, dy_},
                                        {DNNL_ARG_DIFF_WEIGHTS, dw_},
                                        {DNNL_ARG_SCRATCHPAD, scratchpad_}});
    plain_dw_.set_data_handle(staging_.empty() ? a.dw : staging_.data());
    reorder_.execute(cpu_stream(), dw_, plain_dw_);
    if (!staging_.empty()) {
      const size_t rows = size_t(spec_.shape.k) * spec_.shape.r * spec_.shape.s;
      for (size_t row = 0; row < rows; ++row)
        std::copy_n(&staging_[row * in_], spec_.shape.c, a.dw + row * spec_.shape.c);
    }
    if (spec_.bias) {
      sums_.run(f32(a.dy), bias_sums_.data(), nullptr);
      std::copy(bias_sums_.begin(), bias_sums_.end(), a.db);
    }
  }

 private:
  ConvBackwardWeights spec_;
  TransformPass transform_;
  ChannelSums sums_;
  std::vector<double> bias_sums_;
  int out_ = 0, in_ = 0;  // padded channel counts
  std::string implementation_;
  dnnl::convolution_backward_weights convolution_;
  memory x_, dy_, dw_, scratchpad_, plain_dw_;
  dnnl::reorder reorder_;
  std::vector<float> staging_;
};

class BackwardWeightsWinograd final : public ConvBackwardWeights::Operation {
 public:
  explicit BackwardWeightsWinograd(const ConvBackwardWeights& spec)
      : spec_(spec), conv_(winograd(spec.shape, spec.x)), sums_(spec.dy), bias_sums_(spec.dy.shape.c) {}
  std::string implementation() const override { return "winograd_f4x4"; }
  size_t workspace_bytes() const override { return conv_->backward_weights_workspace_bytes(); }
  void run(const ConvBackwardWeightsArguments& a, Stream) override {
    const InputTransform input = spec_.input_transform ? a.transform : InputTransform{};
    conv_->backward_weights(f32(a.x), f32(a.dy), a.dw, input, a.workspace);
    if (spec_.bias) {
      sums_.run(f32(a.dy), bias_sums_.data(), nullptr);
      std::copy(bias_sums_.begin(), bias_sums_.end(), a.db);
    }
  }

 private:
  ConvBackwardWeights spec_;
  std::unique_ptr<WinogradConv3x3> conv_;
  ChannelSums sums_;
  std::vector<double> bias_sums_;
};

void check_weights(const char* operation, DataType type) {
  check(type == DataType::float32, "{}: the cpu device takes weights in float32, not {}", operation, name_of(type));
}

}  // namespace

void register_conv_cpu() {
  implementations<ConvForward>()[DeviceKind::cpu] =
      [](Device& device, const ConvForward& spec) -> std::unique_ptr<ConvForward::Operation> {
    check_weights(ConvForward::kName, spec.weights);
    if (winograd_serves(spec.shape, spec.x, spec.y)) return std::make_unique<ForwardWinograd>(spec);
    return std::make_unique<ForwardDirect>(device, spec);
  };
  implementations<ConvBackwardData>()[DeviceKind::cpu] =
      [](Device& device, const ConvBackwardData& spec) -> std::unique_ptr<ConvBackwardData::Operation> {
    check_weights(ConvBackwardData::kName, spec.weights);
    const ConvShape& s = spec.shape;
    if (s.stride != 1 || s.padding >= s.r || s.padding >= s.s || s.r != s.s)
      return std::make_unique<BackwardDataStrided>(device, spec);
    if (winograd_serves(rotated(s), spec.dy, spec.dx)) return std::make_unique<BackwardDataWinograd>(device, spec);
    return std::make_unique<BackwardDataDirect>(device, spec);
  };
  implementations<ConvBackwardWeights>()[DeviceKind::cpu] =
      [](Device& device, const ConvBackwardWeights& spec) -> std::unique_ptr<ConvBackwardWeights::Operation> {
    const ConvShape& s = spec.shape;
    const bool winograd_shape = is_winograd_shape(s, spec.x, spec.dy);
    if (winograd_shape && WinogradConv3x3::supports_backward_weights(s.n, s.h, s.w, s.c, s.k, spec.x.block))
      return std::make_unique<BackwardWeightsWinograd>(spec);
    auto direct = std::make_unique<BackwardWeightsDirect>(device, spec);
    // Maps of 2x2: with AVX2 oneDNN has only its reference loops, which take some 100 instructions a product.
    if (winograd_shape && WinogradConv3x3::possible(s.n, s.h, s.w, s.c, s.k, spec.x.block) &&
        direct->implementation().starts_with("oneDNN ref"))
      return std::make_unique<BackwardWeightsWinograd>(spec);
    return direct;
  };
}

}  // namespace sandglass
