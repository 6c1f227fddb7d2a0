// Upsampling on the cuda device: a thread per pixel of the small map, each element read and written once. Limits: plain
// NHWC, 16-byte aligned maps where C is a multiple of 4, N * H < 2^31 for H of the small map.
#include "kernels/upsample/upsample.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/window_pass.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// y[2r+i, 2q+j] = skip[2r+i, 2q+j] + low[r, q]; low: rows x columns x channels, y and skip: 2 rows x 2 columns x
// channels (the rows of all pictures follow each other). Row blockIdx.x of low; y may be skip.
template <int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    upsample_add_forward(int columns, int channels, UpsampleAddForwardArguments a) {
  const int c = window_channel<kWidth>(), q = window_column();
  if (c >= channels || q >= columns) return;
  const auto low = load<kWidth>(a.low, (int64_t{blockIdx.x} * columns + q) * channels + c);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int64_t at = ((2 * int64_t{blockIdx.x} + j / 2) * (2 * columns) + 2 * q + j % 2) * channels + c;
    Channels<kWidth> y = load<kWidth>(a.skip, at);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) y.v[i] += low.v[i];
    store(a.y, at, y);
  }
}

void add_forward(const UpsampleAddForward& spec, const UpsampleAddForwardArguments& a, Stream stream) {
  const Shape& s = spec.low.shape;
  const int width = vector_width(s.c);
  check_nhwc(UpsampleAddForward::kName, "low", spec.low);
  check_aligned(UpsampleAddForward::kName, width, {a.low, a.skip, a.y});
  const PassShape pass = window_pass(int64_t{s.n} * s.h, s.w, s.c, width);
  launch(width == 4 ? KERNEL(upsample_add_forward<4>) : KERNEL(upsample_add_forward<1>), pass.grid, pass.block, 0,
         stream, s.w, s.c, a);
}

// dlow[r, q] = (dy[2r, 2q] + dy[2r, 2q+1]) + (dy[2r+1, 2q] + dy[2r+1, 2q+1]); shapes as above.
template <int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    upsample_backward(int columns, int channels, UpsampleBackwardArguments a) {
  const int c = window_channel<kWidth>(), q = window_column();
  if (c >= channels || q >= columns) return;
  const int64_t below = int64_t{2} * columns * channels;
  const float* const dy =
      static_cast<const float*>(a.dy) + 2 * int64_t{blockIdx.x} * below + int64_t{2} * q * channels + c;
  const auto left = load<kWidth>(dy), right = load<kWidth>(dy + channels), left_below = load<kWidth>(dy + below),
             right_below = load<kWidth>(dy + below + channels);
  Channels<kWidth> dlow;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) dlow.v[i] = (left.v[i] + right.v[i]) + (left_below.v[i] + right_below.v[i]);
  store(a.dlow, (int64_t{blockIdx.x} * columns + q) * channels + c, dlow);
}

void backward(const UpsampleBackward& spec, const UpsampleBackwardArguments& a, Stream stream) {
  const Shape& s = spec.dlow.shape;
  const int width = vector_width(s.c);
  check_nhwc(UpsampleBackward::kName, "dlow", spec.dlow);
  check_aligned(UpsampleBackward::kName, width, {a.dy, a.dlow});
  const PassShape pass = window_pass(int64_t{s.n} * s.h, s.w, s.c, width);
  launch(width == 4 ? KERNEL(upsample_backward<4>) : KERNEL(upsample_backward<1>), pass.grid, pass.block, 0, stream,
         s.w, s.c, a);
}

}  // namespace

void SANDGLASS_REGISTER(upsample)() {
  register_function<UpsampleAddForward>(kTargetDevice, "nhwc_window", add_forward);
  register_function<UpsampleBackward>(kTargetDevice, "nhwc_window", backward);
}

}  // namespace sandglass
