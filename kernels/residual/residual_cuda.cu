// The end of a bottleneck on the cuda device: one pass over memory each way. Limits: plain NHWC, maps aligned to 16
// bytes where a pixel fills a multiple of them.
#include "kernels/residual/residual.h"

#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int64_t kPixelsPerThread = 4;

// y = relu(z * scale + shift + shortcut), the shortcut with a scale and shift of its own if kTransform;
// maps: pixels x channels, y may be z or shortcut. Blocks a
// multiprocessor: left alone, ptxas aims at 6 and spills for it.
template <typename T, int kWidth, bool kTransform>
__global__ void __launch_bounds__(kPassThreads, kWidth == 8 ? 3 : 4)
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
    const auto z = load<T, kWidth>(a.z, at), shortcut = load<T, kWidth>(a.shortcut, at);
    Channels<kWidth> y;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      float added = shortcut.v[i];
      if constexpr (kTransform) added = fmaf(added, scale2.v[i], shift2.v[i]);
      y.v[i] = relu(fmaf(z.v[i], scale.v[i], shift.v[i]) + added);
    }
    store<T>(a.y, at, y);
  }
}

template <typename T, int kWidth>
void launch_forward(const ResidualForward& spec, const ResidualForwardArguments& a, Stream stream) {
  const Shape& s = spec.z.shape;
  const PassShape pass = pixel_pass(s.pixels(), s.c, kWidth, kPixelsPerThread);
  launch(
      spec.shortcut_transform ? KERNEL(residual_forward<T, kWidth, true>) : KERNEL(residual_forward<T, kWidth, false>),
      pass.grid, pass.block, 0, stream, s.pixels(), s.c, a);
}

void forward(const ResidualForward& spec, const ResidualForwardArguments& a, Stream stream) {
  check_nhwc(ResidualForward::kName, "z", spec.z);
  with_elements(spec.z.type, spec.z.shape.c, [&]<typename T, int kWidth>() {
    check_aligned(ResidualForward::kName, kWidth, {a.z, a.shortcut, a.y}, spec.z.type);
    launch_forward<T, kWidth>(spec, a, stream);
  });
}

// g = y > 0 ? dy : 0; the block's sums of g, g * z and, if kTransform, g * shortcut. Maps: pixels x channels, g may be
// dy.
template <typename T, int kWidth, bool kTransform>
__global__ void __launch_bounds__(kPassThreads)
    residual_backward(int64_t pixels, int channels, ResidualBackwardArguments a, double* partial) {
  const int c = pass_channel<kWidth>();
  double sums[kTransform ? 3 : 2][kWidth] = {};
  if (c < channels) {
    for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
      const int64_t at = pixel * channels + c;
      const auto y = load<T, kWidth>(a.y, at), z = load<T, kWidth>(a.z, at);
      Channels<kWidth> g = load<T, kWidth>(a.dy, at), shortcut;
      if constexpr (kTransform) shortcut = load<T, kWidth>(a.shortcut, at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        g.v[i] = y.v[i] > 0 ? g.v[i] : 0.0f;
        const double gradient = g.v[i];
        sums[0][i] += gradient;
        sums[1][i] += gradient * z.v[i];
        if constexpr (kTransform) sums[2][i] += gradient * shortcut.v[i];
      }
      store<T>(a.g, at, g);
    }
  }
  store_block_sums(sums, channels, partial);
}

template <bool kTransform>
class Backward final : public ResidualBackward::Operation {
 public:
  Backward(Device& device, const ResidualBackward& spec)
      : shape_(spec.z.shape),
        type_(spec.z.type),
        sums_(device, shape_.pixels(), shape_.c, vector_width(shape_.c, type_)) {
    check_nhwc(ResidualBackward::kName, "z", spec.z);
  }
  std::string implementation() const override { return "nhwc_two_stage_double"; }
  void run(const ResidualBackwardArguments& a, Stream stream) override {
    with_elements(type_, shape_.c, [&]<typename T, int kWidth>() {
      check_aligned(ResidualBackward::kName, kWidth, {a.dy, a.y, a.z, kTransform ? a.shortcut : nullptr, a.g}, type_);
      launch(KERNEL(residual_backward<T, kWidth, kTransform>), sums_.pass().grid, sums_.pass().block, 0, stream,
             shape_.pixels(), shape_.c, a, sums_.partial());
    });
    sums_.add_up(a.sum, a.sum_z, kTransform ? a.sum_shortcut : nullptr, stream);
  }

 private:
  Shape shape_;
  DataType type_;
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
