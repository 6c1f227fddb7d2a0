// The end of a bottleneck on the cuda device: one pass over memory each way. Limits: plain NHWC, 16-byte aligned maps
// where C is a multiple of 4.
#include "kernels/residual/residual.h"

#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int64_t kPixelsPerThread = 4;

// y = relu(z * scale + shift + shortcut), the shortcut with a scale and shift of its own if kTransform;
// maps: pixels x channels, y may be z or shortcut. 4 blocks: left alone, ptxas aims at 6 and spills for it.
template <int kWidth, bool kTransform>
__global__ void __launch_bounds__(kPassThreads, 4)
    residual_forward(int64_t pixels, int channels, ResidualForwardArguments a) {
  const int c = pass_channel<kWidth>();
  if (c >= channels) return;
  const auto scale = load_coefficients<kWidth>(a.scale + c), shift = load_coefficients<kWidth>(a.shift + c);
  Channels<kWidth> scale2, shift2;
  if constexpr (kTransform) {
    scale2 = load_coefficients<kWidth>(a.shortcut_scale + c);
    shift2 = load_coefficients<kWidth>(a.shortcut_shift + c);
  }
  for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
    const int64_t at = pixel * channels + c;
    const auto z = load<kWidth>(a.z, at), shortcut = load<kWidth>(a.shortcut, at);
    Channels<kWidth> y;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      float added = shortcut.v[i];
      if constexpr (kTransform) added = fmaf(added, scale2.v[i], shift2.v[i]);
      y.v[i] = relu(fmaf(z.v[i], scale.v[i], shift.v[i]) + added);
    }
    store(a.y, at, y);
  }
}

template <int kWidth>
void launch_forward(const ResidualForward& spec, const ResidualForwardArguments& a, Stream stream) {
  const Shape& s = spec.z.shape;
  const PassShape pass = pixel_pass(s.pixels(), s.c, kWidth, kPixelsPerThread);
  launch(spec.shortcut_transform ? KERNEL(residual_forward<kWidth, true>) : KERNEL(residual_forward<kWidth, false>),
         pass.grid, pass.block, 0, stream, s.pixels(), s.c, a);
}

void forward(const ResidualForward& spec, const ResidualForwardArguments& a, Stream stream) {
  const int width = vector_width(spec.z.shape.c);
  check_nhwc(ResidualForward::kName, "z", spec.z);
  check_aligned(ResidualForward::kName, width, {a.z, a.shortcut, a.y});
  width == 4 ? launch_forward<4>(spec, a, stream) : launch_forward<1>(spec, a, stream);
}

// g = y > 0 ? dy : 0; the block's sums of g, g * z and, if kTransform, g * shortcut. Maps: pixels x channels, g may be
// dy.
template <int kWidth, bool kTransform>
__global__ void __launch_bounds__(kPassThreads)
    residual_backward(int64_t pixels, int channels, ResidualBackwardArguments a, double* partial) {
  const int c = pass_channel<kWidth>();
  double sums[kTransform ? 3 : 2][kWidth] = {};
  if (c < channels) {
    for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
      const int64_t at = pixel * channels + c;
      const auto y = load<kWidth>(a.y, at), z = load<kWidth>(a.z, at);
      Channels<kWidth> g = load<kWidth>(a.dy, at), shortcut;
      if constexpr (kTransform) shortcut = load<kWidth>(a.shortcut, at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        g.v[i] = y.v[i] > 0 ? g.v[i] : 0.0f;
        const double gradient = g.v[i];
        sums[0][i] += gradient;
        sums[1][i] += gradient * z.v[i];
        if constexpr (kTransform) sums[2][i] += gradient * shortcut.v[i];
      }
      store(a.g, at, g);
    }
  }
  store_block_sums(sums, channels, partial);
}

template <bool kTransform>
class Backward final : public ResidualBackward::Operation {
 public:
  Backward(Device& device, const ResidualBackward& spec)
      : shape_(spec.z.shape), sums_(device, shape_.pixels(), shape_.c) {
    check_nhwc(ResidualBackward::kName, "z", spec.z);
  }
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  void run(const ResidualBackwardArguments& a, Stream stream) override {
    const int width = vector_width(shape_.c);
    check_aligned(ResidualBackward::kName, width, {a.dy, a.y, a.z, kTransform ? a.shortcut : nullptr, a.g});
    launch(width == 4 ? KERNEL(residual_backward<4, kTransform>) : KERNEL(residual_backward<1, kTransform>),
           sums_.pass().grid, sums_.pass().block, 0, stream, shape_.pixels(), shape_.c, a, sums_.partial());
    sums_.add_up(a.sum, a.sum_z, kTransform ? a.sum_shortcut : nullptr, stream);
  }

 private:
  Shape shape_;
  ChannelSums<kTransform ? 3 : 2> sums_;
};

}  // namespace

void SANDGLASS_REGISTER(residual)() {
  register_function<ResidualForward>(kTargetDevice, "nhwc_pass", forward);
  implementations<ResidualBackward>()[kTargetDevice] =
      [](Device& device, const ResidualBackward& spec) -> std::unique_ptr<ResidualBackward::Operation> {
    if (spec.shortcut_transform) return std::make_unique<Backward<true>>(device, spec);
    return std::make_unique<Backward<false>>(device, spec);
  };
}

}  // namespace sandglass
