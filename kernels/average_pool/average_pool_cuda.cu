// Global average pooling on the cuda device: each element of the large map read or written once, sums in double and in
// a fixed order. Limits: plain NHWC, maps aligned to 16 bytes where a pixel fills a multiple of them.
#include "kernels/average_pool/average_pool.h"

#include <algorithm>

#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// A block's threads: kColumns groups of kWidth channels (128 bytes of a pixel) times kRows pixels. Few channels a block
// make many blocks of a small batch.
constexpr int kThreads = 256, kColumns = 8, kRows = kThreads / kColumns;
constexpr int kPixelsPerThread = 8;  // of the backward pass

// blockIdx.x: picture, blockIdx.y: channels.
struct PoolThread {
  int column, row;
  int channel;  // the first of kWidth; may be beyond the last
};
template <int kWidth>
__device__ __forceinline__ PoolThread pool_thread() {
  const int thread = static_cast<int>(threadIdx.x), column = thread % kColumns;
  return {column, thread / kColumns, (static_cast<int>(blockIdx.y) * kColumns + column) * kWidth};
}

unsigned channel_blocks(int channels, int width) {
  return static_cast<unsigned>((channels / width + kColumns - 1) / kColumns);
}

// y[n, c] = sum over pixels of x[n, pixel, c] / pixels; x: N x pixels x channels.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    average_pool_forward(int64_t pixels, int channels, AveragePoolForwardArguments a) {
  SIMT_SHARED(double, partial, [kThreads][kWidth]);
  const PoolThread t = pool_thread<kWidth>();
  double sum[kWidth] = {};
  if (t.channel < channels)
    for (int64_t pixel = t.row; pixel < pixels; pixel += kRows) {
      const auto x = load<T, kWidth>(a.x, (blockIdx.x * pixels + pixel) * channels + t.channel);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sum[i] += x.v[i];
    }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) partial[threadIdx.x][i] = sum[i];
  __syncthreads();
  if (t.row != 0 || t.channel >= channels) return;
  Channels<kWidth> y;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    for (int row = 1; row < kRows; ++row) sum[i] += partial[row * kColumns + t.column][i];
    y.v[i] = static_cast<float>(sum[i] / static_cast<double>(pixels));
  }
  store<T>(a.y, int64_t{blockIdx.x} * channels + t.channel, y);
}

void forward(const AveragePoolForward& spec, const AveragePoolForwardArguments& a, Stream stream) {
  const Shape& s = spec.x.shape;
  check_nhwc(AveragePoolForward::kName, "x", spec.x);
  with_elements(spec.x.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(AveragePoolForward::kName, kWidth, {a.x, a.y}, spec.x.type);
    launch(KERNEL(average_pool_forward<T, kWidth>), dim3(s.n, channel_blocks(s.c, kWidth)), kThreads, 0, stream,
           int64_t{s.h} * s.w, s.c, a);
  });
}

// dx[n, pixel, c] = dy[n, c] / pixels; dx: N x pixels x channels. blockIdx.z: pixels.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    average_pool_backward(int64_t pixels, int channels, AveragePoolBackwardArguments a) {
  const PoolThread t = pool_thread<kWidth>();
  if (t.channel >= channels) return;
  auto share = load<T, kWidth>(a.dy, int64_t{blockIdx.x} * channels + t.channel);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) share.v[i] /= static_cast<float>(pixels);
  for (int64_t pixel = int64_t{blockIdx.z} * kRows + t.row; pixel < pixels; pixel += int64_t{gridDim.z} * kRows)
    store<T>(a.dx, (blockIdx.x * pixels + pixel) * channels + t.channel, share);
}

void backward(const AveragePoolBackward& spec, const AveragePoolBackwardArguments& a, Stream stream) {
  const Shape& s = spec.dx.shape;
  check_nhwc(AveragePoolBackward::kName, "dx", spec.dx);
  const int64_t pixels = int64_t{s.h} * s.w, per_block = kRows * kPixelsPerThread;
  const auto along = static_cast<unsigned>(std::min<int64_t>((pixels + per_block - 1) / per_block, 65535));
  with_elements(spec.dx.type, s.c, [&]<typename T, int kWidth>() {
    check_aligned(AveragePoolBackward::kName, kWidth, {a.dy, a.dx}, spec.dx.type);
    launch(KERNEL(average_pool_backward<T, kWidth>), dim3(s.n, channel_blocks(s.c, kWidth), along), kThreads, 0, stream,
           pixels, s.c, a);
  });
}

}  // namespace

void SANDGLASS_REGISTER(average_pool)() {
  register_function<AveragePoolForward>(kTargetDevice, "nhwc_block_sums", forward);
  register_function<AveragePoolBackward>(kTargetDevice, "nhwc_broadcast", backward);
}

}  // namespace sandglass
