// Batch norm on the cpu device: one pass over memory for each operation, vectorised over the channels of a block.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/reduce/channel_pieces_cpu.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

void finalize(const BatchNormFinalize& spec, const BatchNormFinalizeArguments& a, Stream) {
  const double count = static_cast<double>(spec.count), momentum = spec.momentum;
  for (int c = 0; c < spec.channels; ++c) {
    const double mean = a.sum[c] / count;
    const double var = std::max(0.0, a.sum_squares[c] / count - mean * mean);
    const double inv_std = 1 / std::sqrt(var + spec.epsilon);
    a.mean[c] = static_cast<float>(mean);
    a.inv_std[c] = static_cast<float>(inv_std);
    a.scale[c] = static_cast<float>(a.gamma[c] * inv_std);
    // With the scale as stored, so that its rounding error meets z - mean and not z.
    a.shift[c] = static_cast<float>(a.beta[c] - mean * a.scale[c]);
    a.running_mean[c] = static_cast<float>((1 - momentum) * a.running_mean[c] + momentum * mean);
    a.running_var[c] = static_cast<float>((1 - momentum) * a.running_var[c] + momentum * var * count / (count - 1));
  }
}

void apply(const BatchNormApply& spec, const BatchNormApplyArguments& a, Stream) {
  ChannelPieces(spec.z).for_each([&](const ChannelPiece& piece, auto width) {
    const auto scale = piece.coefficients(a.scale), shift = piece.coefficients(a.shift);
    const float* z = f32(a.z) + piece.offset;
    float* y = f32(a.y) + piece.offset;
    if (spec.relu) {
      for (int i = 0; i < piece.pixels; ++i, z += piece.stride, y += piece.stride)
#pragma omp simd
        for (int c = 0; c < width; ++c) y[c] = relu(z[c] * scale[c] + shift[c]);
    } else {
      for (int i = 0; i < piece.pixels; ++i, z += piece.stride, y += piece.stride)
#pragma omp simd
        for (int c = 0; c < width; ++c) y[c] = z[c] * scale[c] + shift[c];
    }
  });
}

class BackwardReduce final : public BatchNormBackwardReduce::Operation {
 public:
  explicit BackwardReduce(const BatchNormBackwardReduce& spec) : sums_(spec.z) {}
  std::string implementation() const override { return "openmp"; }
  void run(const BatchNormBackwardReduceArguments& a, Stream) override {
    sums_.pieces().for_each([&](const ChannelPiece& piece, auto width) {
      const auto scale = piece.coefficients(a.scale), shift = piece.coefficients(a.shift);
      const float* z = f32(a.z) + piece.offset;
      float* g = f32(a.g) + piece.offset;
      double sums[2][kPieceChannels] = {};
      for (int i = 0; i < piece.pixels; ++i, z += piece.stride, g += piece.stride)
#pragma omp simd
        for (int c = 0; c < width; ++c) {
          g[c] = z[c] * scale[c] + shift[c] > 0 ? g[c] : 0.0f;
          sums[0][c] += g[c];
          sums[1][c] += static_cast<double>(g[c]) * z[c];
        }
      sums_.set(piece, sums);
    });
    sums_.add_up({a.sum, a.sum_z});
  }

 private:
  ChannelPieceSums<2> sums_;
};

void backward_finalize(const BatchNormBackwardFinalize& spec, const BatchNormBackwardFinalizeArguments& arguments,
                       Stream) {
  const double count = static_cast<double>(spec.count);
  for (int i = 0; i < spec.channels; ++i) {
    const double mean = arguments.mean[i], inv_std = arguments.inv_std[i];
    const double dbeta = arguments.sum[i], dgamma = (arguments.sum_z[i] - mean * dbeta) * inv_std;
    const double a = arguments.gamma[i] * inv_std, b = -a * inv_std * dgamma / count;
    arguments.dgamma[i] = static_cast<float>(dgamma);
    arguments.dbeta[i] = static_cast<float>(dbeta);
    arguments.a[i] = static_cast<float>(a);
    arguments.b[i] = static_cast<float>(b);
    // With b as stored, so that its rounding error meets z - mean and not z.
    arguments.c[i] = static_cast<float>(-a * dbeta / count - mean * arguments.b[i]);
  }
}

void backward_apply(const BatchNormBackwardApply& spec, const BatchNormBackwardApplyArguments& arguments, Stream) {
  ChannelPieces(spec.z).for_each([&](const ChannelPiece& piece, auto width) {
    const auto a = piece.coefficients(arguments.a), b = piece.coefficients(arguments.b),
               shift = piece.coefficients(arguments.c);
    const float* g = f32(arguments.g) + piece.offset;
    const float* z = f32(arguments.z) + piece.offset;
    float* dz = f32(arguments.dz) + piece.offset;
    for (int i = 0; i < piece.pixels; ++i, g += piece.stride, z += piece.stride, dz += piece.stride)
#pragma omp simd
      for (int c = 0; c < width; ++c) dz[c] = a[c] * g[c] + (b[c] * z[c] + shift[c]);
  });
}

}  // namespace

void register_batch_norm_cpu() {
  register_function<BatchNormFinalize>(DeviceKind::cpu, "loop", finalize);
  register_function<BatchNormApply>(DeviceKind::cpu, "openmp", apply);
  implementations<BatchNormBackwardReduce>()[DeviceKind::cpu] = [](Device&, const BatchNormBackwardReduce& spec) {
    return std::make_unique<BackwardReduce>(spec);
  };
  register_function<BatchNormBackwardFinalize>(DeviceKind::cpu, "loop", backward_finalize);
  register_function<BatchNormBackwardApply>(DeviceKind::cpu, "openmp", backward_apply);
}

}  // namespace sandglass
