// Upsampling on the cuda device: a thread per pixel of the small map, each element read and written once. Limits: plain
// NHWC, maps aligned to 16 bytes where a pixel fills a multiple of them, N * H < 2^31 for H of the small map.
#include "kernels/upsample/upsample.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/window_pass.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// y[2r+i, 2q+j] = skip[2r+i, 2q+j] + low[r, q]; low: rows x columns x channels, y and skip: 2 rows x 2 columns x
// channels (the rows of all pictures follow each other). Row blockIdx.x of low; y may be skip.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    upsample_add_forward(int columns, int channels, UpsampleAddForwardArguments a) {
  const int c = window_channel<kWidth>(), q = window_column();
  if (c >= channels || q >= columns) return;
  const auto low = load<T, kWidth>(a.low, (int64_t{blockIdx.x} * columns + q) * channels + c);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int64_t at = ((2 * int64_t{blockIdx.x} + j / 2) * (2 * columns) + 2 * q + j % 2) * channels + c;
    Channels<kWidth> y = load<T, kWidth>(a.skip, at);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) y.v[i] += low.v[i];
    store<T>(a.y, at, y);
  }
}

void add_forward(const UpsampleAddForward& spec, const UpsampleAddForwardArguments& a, Stream stream) {
  const Shape& s = spec.low.shape;
  check_nhwc(UpsampleAddForward::kName, "low", spec.low);
  with_elements(spec.low.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(UpsampleAddForward::kName, kWidth, {a.low, a.skip, a.y}, spec.low.type);
    const PassShape pass = window_pass(int64_t{s.n} * s.h, s.w, s.c, kWidth);
    launch(KERNEL(upsample_add_forward<T, kWidth>), pass.grid, pass.block, 0, stream, s.w, s.c, a);
  });
}

// dlow[r, q] = (dy[2r, 2q] + dy[2r, 2q+1]) + (dy[2r+1, 2q] + dy[2r+1, 2q+1]); shapes as above.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    upsample_backward(int columns, int channels, UpsampleBackwardArguments a) {
  const int c = window_channel<kWidth>(), q = window_column();
  if (c >= channels || q >= columns) return;
  const int64_t below = int64_t{2} * columns * channels;
  const T* const dy = static_cast<const T*>(a.dy) + 2 * int64_t{blockIdx.x} * below + int64_t{2} * q * channels + c;
  const auto left = load<kWidth>(dy), right = load<kWidth>(dy + channels), left_below = load<kWidth>(dy + below),
             right_below = load<kWidth>(dy + below + channels);
  Channels<kWidth> dlow;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) dlow.v[i] = (left.v[i] + right.v[i]) + (left_below.v[i] + right_below.v[i]);
  store<T>(a.dlow, (int64_t{blockIdx.x} * columns + q) * channels + c, dlow);
}

void backward(const UpsampleBackward& spec, const UpsampleBackwardArguments& a, Stream stream) {
  const Shape& s = spec.dlow.shape;
  check_nhwc(UpsampleBackward::kName, "dlow", spec.dlow);
  with_elements(spec.dlow.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(UpsampleBackward::kName, kWidth, {a.dy, a.dlow}, spec.dlow.type);
    const PassShape pass = window_pass(int64_t{s.n} * s.h, s.w, s.c, kWidth);
    launch(KERNEL(upsample_backward<T, kWidth>), pass.grid, pass.block, 0, stream, s.w, s.c, a);
  });
}

}  // namespace

void SANDGLASS_REGISTER(upsample)() {
  register_function<UpsampleAddForward>(kTargetDevice, "nhwc_window", add_forward);
  register_function<UpsampleBackward>(kTargetDevice, "nhwc_window", backward);
}

}  // namespace sandglass
