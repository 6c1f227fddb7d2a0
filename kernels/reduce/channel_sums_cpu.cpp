#include "kernels/reduce/channel_sums_cpu.h"

#include <algorithm>

namespace sandglass {
namespace {

constexpr int kMaxBlock = 16;

// One picture's plane of up to kMaxBlock channels, `stride` floats from pixel to pixel. Everything in double: a variance is
// the small difference of two large sums where a channel's mean is far from zero.
template <int kBlock>
void add_plane(const float* y, int64_t pixels, int64_t stride, int channels, double* sum, double* sum_squares) {
  const int count = kBlock ? kBlock : channels;
  double s[kMaxBlock] = {}, q[kMaxBlock] = {};
  for (int64_t i = 0; i < pixels; ++i)
    for (int c = 0; c < count; ++c) {
      const double v = y[i * stride + c];
      s[c] += v;
      q[c] += v * v;
    }
  for (int c = 0; c < count; ++c) {
    sum[c] = s[c];
    sum_squares[c] = q[c];
  }
}

}  // namespace

ChannelSums::ChannelSums(const TensorDesc& desc)
    : desc_(desc), partial_(static_cast<size_t>(desc.shape.n) * desc.padded_channels() * 2) {}

void ChannelSums::run(const float* y, double* sum, double* sum_squares) {
  const int block = desc_.block, blocks = desc_.blocks(), n = desc_.shape.n, channels = desc_.shape.c;
  const int64_t pixels = int64_t{desc_.shape.h} * desc_.shape.w;
#pragma omp parallel for collapse(2)
  for (int i = 0; i < n; ++i)
    for (int b = 0; b < blocks; ++b) {
      const float* plane = y + (int64_t{i} * blocks + b) * pixels * block;
      double* partial = &partial_[(static_cast<size_t>(i) * blocks + b) * 2 * block];
      if (block == 8) {
        add_plane<8>(plane, pixels, block, block, partial, partial + block);
      } else {
        for (int c = 0; c < block; c += kMaxBlock)
          add_plane<0>(plane + c, pixels, block, std::min(kMaxBlock, block - c), partial + c, partial + block + c);
      }
    }
  for (int c = 0; c < channels; ++c) {
    double s = 0, q = 0;
    for (int i = 0; i < n; ++i) {
      const double* partial = &partial_[(static_cast<size_t>(i) * blocks + c / block) * 2 * block + c % block];
      s += partial[0];
      q += partial[block];
    }
    if (sum) sum[c] = s;
    if (sum_squares) sum_squares[c] = q;
  }
}

}  // namespace sandglass
