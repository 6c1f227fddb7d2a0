// The end of a bottleneck on the cpu device: one pass over memory, vectorised over the channels of a block.
#include "kernels/reduce/channel_pieces_cpu.h"
#include "kernels/registry.h"
#include "kernels/residual/residual.h"

namespace sandglass {
namespace {

void forward(const ResidualForward& spec, const ResidualForwardArguments& a, Stream) {
  ChannelPieces(spec.z).for_each([&](const ChannelPiece& piece, auto width) {
    const auto scale = piece.coefficients(a.scale), shift = piece.coefficients(a.shift);
    const float* z = f32(a.z) + piece.offset;
    const float* shortcut = f32(a.shortcut) + piece.offset;
    float* y = f32(a.y) + piece.offset;
    if (spec.shortcut_transform) {
      const auto scale2 = piece.coefficients(a.shortcut_scale), shift2 = piece.coefficients(a.shortcut_shift);
      for (int i = 0; i < piece.pixels; ++i, z += piece.stride, shortcut += piece.stride, y += piece.stride)
#pragma omp simd
        for (int c = 0; c < width; ++c) y[c] = relu(z[c] * scale[c] + shift[c] + (shortcut[c] * scale2[c] + shift2[c]));
    } else {
      for (int i = 0; i < piece.pixels; ++i, z += piece.stride, shortcut += piece.stride, y += piece.stride)
#pragma omp simd
        for (int c = 0; c < width; ++c) y[c] = relu(z[c] * scale[c] + shift[c] + shortcut[c]);
    }
  });
}

class Backward final : public ResidualBackward::Operation {
 public:
  explicit Backward(const ResidualBackward& spec) : shortcut_transform_(spec.shortcut_transform), sums_(spec.z) {}
  std::string implementation() const override { return "openmp"; }
  void run(const ResidualBackwardArguments& a, Stream) override {
    sums_.pieces().for_each([&](const ChannelPiece& piece, auto width) {
      const float* dy = f32(a.dy) + piece.offset;
      const float* y = f32(a.y) + piece.offset;
      const float* z = f32(a.z) + piece.offset;
      float* g = f32(a.g) + piece.offset;
      double sums[3][kPieceChannels] = {};
      if (shortcut_transform_) {
        const float* shortcut = f32(a.shortcut) + piece.offset;
        for (int i = 0; i < piece.pixels; ++i)
#pragma omp simd
          for (int c = 0; c < width; ++c) {
            const size_t at = static_cast<size_t>(i) * piece.stride + c;
            g[at] = y[at] > 0 ? dy[at] : 0.0f;
            sums[0][c] += g[at];
            sums[1][c] += static_cast<double>(g[at]) * z[at];
            sums[2][c] += static_cast<double>(g[at]) * shortcut[at];
          }
      } else {
        for (int i = 0; i < piece.pixels; ++i)
#pragma omp simd
          for (int c = 0; c < width; ++c) {
            const size_t at = static_cast<size_t>(i) * piece.stride + c;
            g[at] = y[at] > 0 ? dy[at] : 0.0f;
            sums[0][c] += g[at];
            sums[1][c] += static_cast<double>(g[at]) * z[at];
          }
      }
      sums_.set(piece, sums);
    });
    sums_.add_up({a.sum, a.sum_z, shortcut_transform_ ? a.sum_shortcut : nullptr});
  }

 private:
  bool shortcut_transform_;
  ChannelPieceSums<3> sums_;
};

}  // namespace

void register_residual_cpu() {
  register_function<ResidualForward>(DeviceKind::cpu, "openmp", forward);
  implementations<ResidualBackward>()[DeviceKind::cpu] = [](Device&, const ResidualBackward& spec) {
    return std::make_unique<Backward>(spec);
  };
}

}  // namespace sandglass
