// Upsampling on the cpu device: one pass over memory, vectorised over the channels of a block.
#include "kernels/reduce/channel_pieces_cpu.h"
#include "kernels/registry.h"
#include "kernels/upsample/upsample.h"

namespace sandglass {
namespace {

void add_forward(const UpsampleAddForward& spec, const UpsampleAddForwardArguments& a, Stream) {
  const int columns = spec.low.shape.w;
  const int64_t rows = int64_t{spec.low.shape.n} * spec.low.blocks() * spec.low.shape.h;  // of `low`
  with_constant_width(spec.low.block, [&](auto width) {
    const int64_t row = int64_t{columns} * width;
#pragma omp parallel for
    for (int64_t i = 0; i < rows; ++i) {
      const float* low = f32(a.low) + i * row;
      for (int64_t j : {2 * i, 2 * i + 1}) {
        const float* skip = f32(a.skip) + j * 2 * row;
        float* y = f32(a.y) + j * 2 * row;
        for (int q = 0; q < columns; ++q)
#pragma omp simd
          for (int c = 0; c < width; ++c) {
            const float value = low[q * width + c];
            y[2 * q * width + c] = skip[2 * q * width + c] + value;
            y[(2 * q + 1) * width + c] = skip[(2 * q + 1) * width + c] + value;
          }
      }
    }
  });
}

void backward(const UpsampleBackward& spec, const UpsampleBackwardArguments& a, Stream) {
  const int columns = spec.dlow.shape.w;
  const int64_t rows = int64_t{spec.dlow.shape.n} * spec.dlow.blocks() * spec.dlow.shape.h;  // of `dlow`
  with_constant_width(spec.dlow.block, [&](auto width) {
    const int64_t row = int64_t{columns} * width;
#pragma omp parallel for
    for (int64_t i = 0; i < rows; ++i) {
      const float* upper = f32(a.dy) + 2 * i * 2 * row;
      const float* lower = upper + 2 * row;
      float* dlow = f32(a.dlow) + i * row;
      for (int q = 0; q < columns; ++q)
#pragma omp simd
        for (int c = 0; c < width; ++c) {
          const int left = 2 * q * width + c, right = left + width;
          dlow[q * width + c] = (upper[left] + upper[right]) + (lower[left] + lower[right]);
        }
    }
  });
}

}  // namespace

void register_upsample_cpu() {
  register_function<UpsampleAddForward>(DeviceKind::cpu, "openmp", add_forward);
  register_function<UpsampleBackward>(DeviceKind::cpu, "openmp", backward);
}

}  // namespace sandglass
