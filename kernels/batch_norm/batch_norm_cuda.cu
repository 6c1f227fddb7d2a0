// Batch norm on the cuda device. The passes over maps read and write each element once; limits: plain NHWC, maps
// aligned to 16 bytes where a pixel fills a multiple of them.
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kFinalizeThreads = 64;
constexpr int64_t kPixelsPerThread = 4;

dim3 finalize_grid(int channels) { return dim3((channels + kFinalizeThreads - 1) / kFinalizeThreads); }

// mean, inv_std, scale, shift [C] and the running statistics from sum, sum_squares [C]; one thread a channel, in
// double.
__global__ void __launch_bounds__(kFinalizeThreads)
    batch_norm_finalize(int channels, double count, float epsilon, float momentum_float, BatchNormFinalizeArguments a) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= channels) return;
  const double momentum = momentum_float, mean = a.sum[c] / count;
  const double difference = a.sum_squares[c] / count - mean * mean, var = difference > 0.0 ? difference : 0.0;
  const double inv_std = 1 / sqrt(var + epsilon);
  const float scale = static_cast<float>(a.gamma[c] * inv_std);
  a.mean[c] = static_cast<float>(mean);
  a.inv_std[c] = static_cast<float>(inv_std);
  a.scale[c] = scale;
  // With the scale as stored, so that its rounding error meets z - mean and not z.
  a.shift[c] = static_cast<float>(a.beta[c] - mean * scale);
  a.running_mean[c] = static_cast<float>((1 - momentum) * a.running_mean[c] + momentum * mean);
  a.running_var[c] = static_cast<float>((1 - momentum) * a.running_var[c] + momentum * var * count / (count - 1));
}

void finalize(const BatchNormFinalize& spec, const BatchNormFinalizeArguments& a, Stream stream) {
  launch(KERNEL(batch_norm_finalize), finalize_grid(spec.channels), kFinalizeThreads, 0, stream, spec.channels,
         static_cast<double>(spec.count), spec.epsilon, spec.momentum, a);
}

// y = relu?(z * scale + shift); z, y: pixels x channels, may be the same.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    batch_norm_apply(int64_t pixels, int channels, BatchNormApplyArguments a, bool with_relu) {
  const int c = pass_channel<kWidth>();
  if (c >= channels) return;
  const auto scale = load_coefficients<kWidth>(a.scale + c), shift = load_coefficients<kWidth>(a.shift + c);
  for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
    const int64_t at = pixel * channels + c;
    Channels<kWidth> y = load<T, kWidth>(a.z, at);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      y.v[i] = fmaf(y.v[i], scale.v[i], shift.v[i]);
      if (with_relu) y.v[i] = relu(y.v[i]);
    }
    store<T>(a.y, at, y);
  }
}

void apply(const BatchNormApply& spec, const BatchNormApplyArguments& a, Stream stream) {
  const Shape& s = spec.z.shape;
  check_nhwc(BatchNormApply::kName, "z", spec.z);
  with_elements(spec.z.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(BatchNormApply::kName, kWidth, {a.z, a.y}, spec.z.type);
    const PassShape pass = pixel_pass(s.pixels(), s.c, kWidth, kPixelsPerThread);
    launch(KERNEL(batch_norm_apply<T, kWidth>), pass.grid, pass.block, 0, stream, s.pixels(), s.c, a, spec.relu);
  });
}

// g = z * scale + shift > 0 ? g : 0 in place; the block's sums of g and g * z.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    batch_norm_backward_reduce(int64_t pixels, int channels, BatchNormBackwardReduceArguments a, double* partial) {
  const int c = pass_channel<kWidth>();
  double sums[2][kWidth] = {};
  if (c < channels) {
    const auto scale = load_coefficients<kWidth>(a.scale + c), shift = load_coefficients<kWidth>(a.shift + c);
    for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
      const int64_t at = pixel * channels + c;
      const auto z = load<T, kWidth>(a.z, at);
      auto g = load<T, kWidth>(a.g, at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        g.v[i] = fmaf(z.v[i], scale.v[i], shift.v[i]) > 0 ? g.v[i] : 0.0f;
        const double gradient = g.v[i];
        sums[0][i] += gradient;
        sums[1][i] += gradient * z.v[i];
      }
      store<T>(a.g, at, g);
    }
  }
  store_block_sums(sums, channels, partial);
}

class BackwardReduce final : public BatchNormBackwardReduce::Operation {
 public:
  BackwardReduce(Device& device, const BatchNormBackwardReduce& spec)
      : shape_(spec.z.shape),
        type_(spec.z.type),
        sums_(device, shape_.pixels(), shape_.c, vector_width(shape_.c, type_)) {
    check_nhwc(BatchNormBackwardReduce::kName, "z", spec.z);
  }
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  void run(const BatchNormBackwardReduceArguments& a, Stream stream) override {
    with_elements(type_, shape_.c, [&]<typename T, int kWidth>() {
      check_aligned(BatchNormBackwardReduce::kName, kWidth, {a.g, a.z}, type_);
      launch(KERNEL(batch_norm_backward_reduce<T, kWidth>), sums_.pass().grid, sums_.pass().block, 0, stream,
             shape_.pixels(), shape_.c, a, sums_.partial());
    });
    sums_.add_up(a.sum, a.sum_z, nullptr, stream);
  }

 private:
  Shape shape_;
  DataType type_;
  ChannelSums<2> sums_;
};

// dgamma, dbeta and the coefficients of dz = a * g + b * z + c, all [C]; one thread a channel, in double.
__global__ void __launch_bounds__(kFinalizeThreads)
    batch_norm_backward_finalize(int channels, double count, BatchNormBackwardFinalizeArguments arguments) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= channels) return;
  const double mean = arguments.mean[i], inv_std = arguments.inv_std[i];
  const double dbeta = arguments.sum[i], dgamma = (arguments.sum_z[i] - mean * dbeta) * inv_std;
  const double a = arguments.gamma[i] * inv_std;
  const float b = static_cast<float>(-a * inv_std * dgamma / count);
  arguments.dgamma[i] = static_cast<float>(dgamma);
  arguments.dbeta[i] = static_cast<float>(dbeta);
  arguments.a[i] = static_cast<float>(a);
  arguments.b[i] = b;
  // With b as stored, so that its rounding error meets z - mean and not z.
  arguments.c[i] = static_cast<float>(-a * dbeta / count - mean * b);
}

void backward_finalize(const BatchNormBackwardFinalize& spec, const BatchNormBackwardFinalizeArguments& a,
                       Stream stream) {
  launch(KERNEL(batch_norm_backward_finalize), finalize_grid(spec.channels), kFinalizeThreads, 0, stream, spec.channels,
         static_cast<double>(spec.count), a);
}

// dz = a * g + b * z + c; pixels x channels, dz may be g.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    batch_norm_backward_apply(int64_t pixels, int channels, BatchNormBackwardApplyArguments arguments) {
  const int channel = pass_channel<kWidth>();
  if (channel >= channels) return;
  const auto a = load_coefficients<kWidth>(arguments.a + channel), b = load_coefficients<kWidth>(arguments.b + channel),
             c = load_coefficients<kWidth>(arguments.c + channel);
  for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
    const int64_t at = pixel * channels + channel;
    const auto z = load<T, kWidth>(arguments.z, at);
    auto dz = load<T, kWidth>(arguments.g, at);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) dz.v[i] = fmaf(a.v[i], dz.v[i], fmaf(b.v[i], z.v[i], c.v[i]));
    store<T>(arguments.dz, at, dz);
  }
}

void backward_apply(const BatchNormBackwardApply& spec, const BatchNormBackwardApplyArguments& a, Stream stream) {
  const Shape& s = spec.z.shape;
  check_nhwc(BatchNormBackwardApply::kName, "z", spec.z);
  with_elements(spec.z.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(BatchNormBackwardApply::kName, kWidth, {a.g, a.z, a.dz}, spec.z.type);
    const PassShape pass = pixel_pass(s.pixels(), s.c, kWidth, kPixelsPerThread);
    launch(KERNEL(batch_norm_backward_apply<T, kWidth>), pass.grid, pass.block, 0, stream, s.pixels(), s.c, a);
  });
}

}  // namespace

void SANDGLASS_REGISTER(batch_norm)() {
  register_function<BatchNormFinalize>(kTargetDevice, "thread_per_channel", finalize);
  register_function<BatchNormApply>(kTargetDevice, "nhwc_pass", apply);
  implementations<BatchNormBackwardReduce>()[kTargetDevice] = [](Device& device, const BatchNormBackwardReduce& spec) {
    return std::make_unique<BackwardReduce>(device, spec);
  };
  register_function<BatchNormBackwardFinalize>(kTargetDevice, "thread_per_channel", backward_finalize);
  register_function<BatchNormBackwardApply>(kTargetDevice, "nhwc_pass", backward_apply);
}

}  // namespace sandglass
