// Max pooling on the cpu device: one pass over memory, vectorised over the channels of a block.
#include <algorithm>
#include <bit>

#include "kernels/max_pool/max_pool.h"
#include "kernels/reduce/channel_pieces_cpu.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

// Places within the window are handled as 32-bit numbers, as wide as the floats they belong to, in runs of this many
// elements, and converted from or to bytes a run at a time: the compiler vectorises loops of one element size only.
constexpr int kRun = 512;

// Calls body(q, q_end, c, c_end) for runs of at most kRun elements that are contiguous in a row of `columns` pixels.
template <typename Width, typename Body>
void for_each_run(int columns, Width width, const Body& body) {
  const int pixels = std::max(1, kRun / width);
  for (int c = 0; c < width; c += kRun)
    for (int q = 0; q < columns; q += pixels) body(q, std::min(columns, q + pixels), c, std::min<int>(width, c + kRun));
}

void forward(const MaxPoolForward& spec, const MaxPoolForwardArguments& a, Stream) {
  const int height = spec.x.shape.h, rows = spec.y.shape.h, columns = spec.y.shape.w;
  const int64_t planes = int64_t{spec.x.shape.n} * spec.x.blocks(), x_row = int64_t{spec.x.shape.w} * spec.x.block;
  with_constant_width(spec.x.block, [&](auto width) {
#pragma omp parallel for collapse(2)
    for (int64_t plane = 0; plane < planes; ++plane)
      for (int p = 0; p < rows; ++p) {
        const float* x_rows = f32(a.x) + (plane * height + 2 * p) * x_row;
        const int64_t y_row = (plane * rows + p) * columns * width;
        for_each_run(columns, width, [&](int q_begin, int q_end, int c_begin, int c_end) {
          int places[kRun];
          int* place = places;
          for (int q = q_begin; q < q_end; ++q, place += c_end - c_begin) {
            const float* x = x_rows + int64_t{2} * q * width;
            float* y = f32(a.y) + y_row + int64_t{q} * width;
#pragma omp simd
            for (int c = c_begin; c < c_end; ++c) {
              float best = x[c];
              int best_place = 0;
              best_place = x[width + c] > best ? 1 : best_place;
              best = x[width + c] > best ? x[width + c] : best;
              best_place = x[x_row + c] > best ? 2 : best_place;
              best = x[x_row + c] > best ? x[x_row + c] : best;
              best_place = x[x_row + width + c] > best ? 3 : best_place;
              best = x[x_row + width + c] > best ? x[x_row + width + c] : best;
              y[c] = best;
              place[c - c_begin] = best_place;
            }
          }
          if (a.argmax) std::copy(places, place, a.argmax + y_row + int64_t{q_begin} * width + c_begin);
        });
      }
  });
}

// keep ? v : 0 without a branch, which would keep the loop around it from being vectorised.
float keep_if(bool keep, float v) { return std::bit_cast<float>(std::bit_cast<int32_t>(v) & -int32_t{keep}); }

void backward(const MaxPoolBackward& spec, const MaxPoolBackwardArguments& a, Stream) {
  const int height = spec.dx.shape.h, rows = spec.dy.shape.h, columns = spec.dy.shape.w;
  const int64_t planes = int64_t{spec.dx.shape.n} * spec.dx.blocks(), dx_row = int64_t{spec.dx.shape.w} * spec.dx.block;
  const auto scatter = [&](auto width, auto accumulate) {
#pragma omp parallel for collapse(2)
    for (int64_t plane = 0; plane < planes; ++plane)
      for (int p = 0; p < rows; ++p) {
        float* dx_rows = f32(a.dx) + (plane * height + 2 * p) * dx_row;
        const int64_t dy_row = (plane * rows + p) * columns * width;
        for_each_run(columns, width, [&](int q_begin, int q_end, int c_begin, int c_end) {
          int places[kRun];
          const uint8_t* argmax = a.argmax + dy_row + int64_t{q_begin} * width + c_begin;
          std::copy_n(argmax, (q_end - q_begin) * (c_end - c_begin), places);
          const int* place = places;
          for (int q = q_begin; q < q_end; ++q, place += c_end - c_begin) {
            float* dx = dx_rows + int64_t{2} * q * width;
            const float* dy = f32(a.dy) + dy_row + int64_t{q} * width;
#pragma omp simd
            for (int c = c_begin; c < c_end; ++c) {
              const int at = place[c - c_begin];
              const float v = dy[c];
              dx[c] = (accumulate ? dx[c] : 0.0f) + keep_if(at == 0, v);
              dx[width + c] = (accumulate ? dx[width + c] : 0.0f) + keep_if(at == 1, v);
              dx[dx_row + c] = (accumulate ? dx[dx_row + c] : 0.0f) + keep_if(at == 2, v);
              dx[dx_row + width + c] = (accumulate ? dx[dx_row + width + c] : 0.0f) + keep_if(at == 3, v);
            }
          }
        });
        if (accumulate) continue;
        // The odd last column and row, which no window reaches.
        for (int i = 0; i < 2; ++i)
          std::fill(dx_rows + i * dx_row + int64_t{2} * columns * width, dx_rows + (i + 1) * dx_row, 0.0f);
        if (p == rows - 1) std::fill(dx_rows + 2 * dx_row, dx_rows + (height - 2 * p) * dx_row, 0.0f);
      }
  };
  with_constant_width(spec.dx.block, [&](auto width) {
    if (spec.accumulate)
      scatter(width, std::true_type());
    else
      scatter(width, std::false_type());
  });
}

}  // namespace

void register_max_pool_cpu() {
  register_function<MaxPoolForward>(DeviceKind::cpu, "openmp", forward);
  register_function<MaxPoolBackward>(DeviceKind::cpu, "openmp", backward);
}

}  // namespace sandglass
