// Max pooling on the cuda device: a thread per window, each element read and written once. Limits: plain NHWC, 16-byte
// aligned maps where C is a multiple of 4, N * ceil(H / 2) < 2^31.
#include "kernels/max_pool/max_pool.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/window_pass.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

template <int kWidth>
struct Places {
  uint8_t v[kWidth];
};

template <int kWidth>
__device__ __forceinline__ Places<kWidth> load_places(const uint8_t* address) {
  if constexpr (kWidth == 4) {
    const uchar4 all = *reinterpret_cast<const uchar4*>(address);
    return {{all.x, all.y, all.z, all.w}};
  } else {
    return {{*address}};
  }
}

template <int kWidth>
__device__ __forceinline__ void store_places(uint8_t* address, const Places<kWidth>& places) {
  if constexpr (kWidth == 4)
    *reinterpret_cast<uchar4*>(address) = make_uchar4(places.v[0], places.v[1], places.v[2], places.v[3]);
  else
    *address = places.v[0];
}

// y[n,p,q] = max of x[n, 2p..2p+1, 2q..2q+1], argmax its first place; x: N x height x width x channels, y: N x height/2
// x width/2 x channels. Row blockIdx.x of y.
template <int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    max_pool_forward(int height, int width, int channels, MaxPoolForwardArguments a) {
  const int c = window_channel<kWidth>(), q = window_column(), rows = height / 2, columns = width / 2;
  if (c >= channels || q >= columns) return;
  const int n = static_cast<int>(blockIdx.x) / rows, p = static_cast<int>(blockIdx.x) % rows;
  const float* const x =
      static_cast<const float*>(a.x) + ((int64_t{n} * height + 2 * p) * width + 2 * q) * channels + c;
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
  store(a.y, at, best);
  if (a.argmax) store_places(a.argmax + at, place);
}

void forward(const MaxPoolForward& spec, const MaxPoolForwardArguments& a, Stream stream) {
  const Shape& s = spec.x.shape;
  const int width = vector_width(s.c);
  check_nhwc(MaxPoolForward::kName, "x", spec.x);
  check_aligned(MaxPoolForward::kName, width, {a.x, a.y});
  const PassShape pass = window_pass(int64_t{s.n} * spec.y.shape.h, spec.y.shape.w, s.c, width);
  launch(width == 4 ? KERNEL(max_pool_forward<4>) : KERNEL(max_pool_forward<1>), pass.grid, pass.block, 0, stream, s.h,
         s.w, s.c, a);
}

// dx[n, 2p+i, 2q+j] (+)= argmax[n,p,q] == 2i + j ? dy[n,p,q] : 0; dx: N x height x width x channels. The windows that
// an odd last row or column cuts off have no dy: their pixels become 0.
template <int kWidth>
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
    dy = load<kWidth>(a.dy, at);
    place = load_places<kWidth>(a.argmax + at);
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int h = 2 * p + j / 2, w = 2 * q + j % 2;
    if (h >= height || w >= width) continue;
    float* const to = static_cast<float*>(a.dx) + ((int64_t{n} * height + h) * width + w) * channels + c;
    Channels<kWidth> dx = {};
    if (accumulate) dx = load<kWidth>(to);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) dx.v[i] += place.v[i] == j ? dy.v[i] : 0.0f;
    store(to, dx);
  }
}

void backward(const MaxPoolBackward& spec, const MaxPoolBackwardArguments& a, Stream stream) {
  const Shape& s = spec.dx.shape;
  const int width = vector_width(s.c);
  check_nhwc(MaxPoolBackward::kName, "dx", spec.dx);
  check_aligned(MaxPoolBackward::kName, width, {a.dy, a.dx});
  const PassShape pass = window_pass(int64_t{s.n} * ((s.h + 1) / 2), (s.w + 1) / 2, s.c, width);
  launch(width == 4 ? KERNEL(max_pool_backward<4>) : KERNEL(max_pool_backward<1>), pass.grid, pass.block, 0, stream,
         s.h, s.w, s.c, a, spec.accumulate);
}

}  // namespace

void SANDGLASS_REGISTER(max_pool)() {
  register_function<MaxPoolForward>(kTargetDevice, "nhwc_window", forward);
  register_function<MaxPoolBackward>(kTargetDevice, "nhwc_window", backward);
}

}  // namespace sandglass
