// Global average pooling on the cpu device: a thread takes up to 16 channels of a picture at a time and keeps their
// sums in double, so that the result does not depend on the number of threads.
#include <algorithm>

#include "kernels/average_pool/average_pool.h"
#include "kernels/reduce/channel_pieces_cpu.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// Calls body(large, small, width) in parallel for up to kPieceChannels channels of a block at a time: where they begin
// in the large map and in the pooled one, and how many they are.
template <typename Body>
void for_each_column(const TensorDesc& large, const Body& body) {
  const int64_t blocks = int64_t{large.shape.n} * large.blocks(), pixels = int64_t{large.shape.h} * large.shape.w;
#pragma omp parallel for collapse(2)
  for (int64_t block = 0; block < blocks; ++block)
    for (int c = 0; c < large.block; c += kPieceChannels)
      with_constant_width(std::min(kPieceChannels, large.block - c),
                          [&](auto width) { body(block * pixels * large.block + c, block * large.block + c, width); });
}

void forward(const AveragePoolForward& spec, const AveragePoolForwardArguments& a, Stream) {
  const int64_t pixels = int64_t{spec.x.shape.h} * spec.x.shape.w;
  for_each_column(spec.x, [&](int64_t large, int64_t small, auto width) {
    const float* x = f32(a.x) + large;
    double sums[kPieceChannels] = {};
    for (int64_t pixel = 0; pixel < pixels; ++pixel, x += spec.x.block)
#pragma omp simd
      for (int c = 0; c < width; ++c) sums[c] += x[c];
    for (int c = 0; c < width; ++c) f32(a.y)[small + c] = static_cast<float>(sums[c] / static_cast<double>(pixels));
  });
}

void backward(const AveragePoolBackward& spec, const AveragePoolBackwardArguments& a, Stream) {
  const int64_t pixels = int64_t{spec.dx.shape.h} * spec.dx.shape.w;
  for_each_column(spec.dx, [&](int64_t large, int64_t small, auto width) {
    float share[kPieceChannels] = {};
    for (int c = 0; c < width; ++c) share[c] = f32(a.dy)[small + c] / static_cast<float>(pixels);
    float* dx = f32(a.dx) + large;
    for (int64_t pixel = 0; pixel < pixels; ++pixel, dx += spec.dx.block) std::copy_n(share, int{width}, dx);
  });
}

}  // namespace

void register_average_pool_cpu() {
  register_function<AveragePoolForward>(DeviceKind::cpu, "channel_sums", forward);
  register_function<AveragePoolBackward>(DeviceKind::cpu, "broadcast", backward);
}

}  // namespace sandglass
