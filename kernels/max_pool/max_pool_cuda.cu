// Max pooling on the cuda device: a thread per window, each element read and written once. Limits: plain NHWC, maps
// aligned to 16 bytes where a pixel fills a multiple of them, N * ceil(H / 2) < 2^31.
#include "kernels/max_pool/max_pool.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/window_pass.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// Places of the maxima of a thread's channels.
template <int kWidth>
using Places = PackedChannels<uint8_t, kWidth>;

// y[n,p,q] = max of x[n, 2p..2p+1, 2q..2q+1], argmax its first place; x: N x height x width x channels, y: N x height/2
// x width/2 x channels. Row blockIdx.x of y.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    max_pool_forward(int height, int width, int channels, MaxPoolForwardArguments a) {
  const int c = window_channel<kWidth>(), q = window_column(), rows = height / 2, columns = width / 2;
  if (c >= channels || q >= columns) return;
  const int n = static_cast<int>(blockIdx.x) / rows, p = static_cast<int>(blockIdx.x) % rows;
  const T* const x = static_cast<const T*>(a.x) + ((int64_t{n} * height + 2 * p) * width + 2 * q) * channels + c;
  const int64_t below = int64_t{width} * channels;
  const Channels<kWidth> window[4] = {load<kWidth>(x), load<kWidth>(x + channels), load<kWidth>(x + below),
                                      load<kWidth>(x + below + channels)};
  Channels<kWidth> best = window[0];
  Places<kWidth> place = {};
#pragma unroll
  for (int j = 1; j < 4; ++j)
#pragma unroll
    for (int i = 0; i < kWidth; ++i)
      if (window[j].v[i] > best.v[i]) {
        best.v[i] = window[j].v[i];
        place.v[i] = static_cast<uint8_t>(j);
      }
  const int64_t at = (int64_t{blockIdx.x} * columns + q) * channels + c;
  store<T>(a.y, at, best);
  if (a.argmax) *reinterpret_cast<Places<kWidth>*>(a.argmax + at) = place;
}

void forward(const MaxPoolForward& spec, const MaxPoolForwardArguments& a, Stream stream) {
  const Shape& s = spec.x.shape;
  check_nhwc(MaxPoolForward::kName, "x", spec.x);
  with_elements(spec.x.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(MaxPoolForward::kName, kWidth, {a.x, a.y}, spec.x.type);
    check_aligned(MaxPoolForward::kName, kWidth, {a.argmax}, DataType::uint8);
    const PassShape pass = window_pass(int64_t{s.n} * spec.y.shape.h, spec.y.shape.w, s.c, kWidth);
    launch(KERNEL(max_pool_forward<T, kWidth>), pass.grid, pass.block, 0, stream, s.h, s.w, s.c, a);
  });
}

// dx[n, 2p+i, 2q+j] (+)= argmax[n,p,q] == 2i + j ? dy[n,p,q] : 0; dx: N x height x width x channels. The windows that
// an odd last row or column cuts off have no dy: their pixels become 0.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    max_pool_backward(int height, int width, int channels, MaxPoolBackwardArguments a, bool accumulate) {
  const int c = window_channel<kWidth>(), q = window_column(), rows = (height + 1) / 2;
  if (c >= channels || q >= (width + 1) / 2) return;
  const int n = static_cast<int>(blockIdx.x) / rows, p = static_cast<int>(blockIdx.x) % rows;
  const bool whole = 2 * p + 1 < height && 2 * q + 1 < width;
  if (!whole && accumulate) return;
  Channels<kWidth> dy = {};
  Places<kWidth> place = {};
  if (whole) {
    const int64_t at = ((int64_t{n} * (height / 2) + p) * (width / 2) + q) * channels + c;
    dy = load<T, kWidth>(a.dy, at);
    place = *reinterpret_cast<const Places<kWidth>*>(a.argmax + at);
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int h = 2 * p + j / 2, w = 2 * q + j % 2;
    if (h >= height || w >= width) continue;
    T* const to = static_cast<T*>(a.dx) + ((int64_t{n} * height + h) * width + w) * channels + c;
    Channels<kWidth> dx = {};
    if (accumulate) dx = load<kWidth>(to);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) dx.v[i] += place.v[i] == j ? dy.v[i] : 0.0f;
    store(to, dx);
  }
}

void backward(const MaxPoolBackward& spec, const MaxPoolBackwardArguments& a, Stream stream) {
  const Shape& s = spec.dx.shape;
  check_nhwc(MaxPoolBackward::kName, "dx", spec.dx);
  with_elements(spec.dx.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(MaxPoolBackward::kName, kWidth, {a.dy, a.dx}, spec.dx.type);
    check_aligned(MaxPoolBackward::kName, kWidth, {a.argmax}, DataType::uint8);
    const PassShape pass = window_pass(int64_t{s.n} * ((s.h + 1) / 2), (s.w + 1) / 2, s.c, kWidth);
    launch(KERNEL(max_pool_backward<T, kWidth>), pass.grid, pass.block, 0, stream, s.h, s.w, s.c, a, spec.accumulate);
  });
}

}  // namespace

void SANDGLASS_REGISTER(max_pool)() {
  register_function<MaxPoolForward>(kTargetDevice, "nhwc_window", forward);
  register_function<MaxPoolBackward>(kTargetDevice, "nhwc_window", backward);
}

}  // namespace sandglass
