// Per-channel sums over a feature map, for the cpu device: batch norm's statistics and bias gradients.
#pragma once

#include "kernels/reduce/channel_pieces_cpu.h"

namespace sandglass {

/// Prepared for one shape; run() allocates nothing.
///   sum[c] = sum over n,h,w of y,   sum_squares[c] = sum over n,h,w of y^2
/// All in double: a variance is the small difference of the two where a channel's mean is far from zero.
class ChannelSums {
 public:
  explicit ChannelSums(const TensorDesc& desc) : sums_(desc) {}
  /// sum, sum_squares: [C]; either may be null.
  void run(const float* y, double* sum, double* sum_squares) {
    sums_.pieces().for_each([&](const ChannelPiece& piece, auto width) {
      const float* p = y + piece.offset;
      double sums[2][kPieceChannels] = {};
      for (int i = 0; i < piece.pixels; ++i, p += piece.stride)
#pragma omp simd
        for (int c = 0; c < width; ++c) {
          const double v = p[c];
          sums[0][c] += v;
          sums[1][c] += v * v;
        }
      sums_.set(piece, sums);
    });
    sums_.add_up({sum, sum_squares});
  }

 private:
  ChannelPieceSums<2> sums_;
};

}  // namespace sandglass
