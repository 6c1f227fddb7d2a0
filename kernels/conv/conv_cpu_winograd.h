// Winograd convolution of the cpu device: 3x3, stride 1, padding 1, float32, AVX2 + FMA or AVX-512.
//
// Source: Lavin & Gray, "Fast algorithms for convolutional neural networks" (arXiv 1509.09308), F(4x4, 3x3): an output
// tile of 4x4 pixels costs 36 multiplications per channel pair instead of 144. With d a 6x6 input tile, g a 3x3 filter:
//   forward           Y  = A^T [ sum over c of     (G g G^T) * (B^T d B) ] A
//   backward weights  dg = G^T [ sum over tiles of (B^T d B) * (A dY A^T) ] G
//   backward data     the forward pass on dy with the filter rotated by 180 degrees and c, k exchanged
// where * is element by element, so that each of the 36 elements is a matrix product of its own.
//
// Tensors: x is N x C x H x W and y is N x K x H x W, both in channel blocks of B = 8 (AVX2) or 16 (AVX-512): element
// (n, c, h, w) lies at (((n * C/B + c/B) * H + h) * W + w) * B + c%B. C and K are multiples of B. Weights are KRSC:
// (k, r, s, c), c contiguous.
//
// Rounding: against float64, on ReLU-like inputs with C = 128, the error is 9e-7 of the output's root mean square
// (1.7e-7 for direct float32 sums; 1.9e-6 for Winograd with the usual points 0, +-1, +-2; see conv_cpu_winograd.cpp).
// NaN and infinity anywhere in a 6x6 input tile reach all 4x4 outputs of the tile, as NaN.
// Determinism: every result has the same bits in every run and for every number of threads.
#pragma once

#include <memory>

#include "kernels/conv/conv.h"

namespace sandglass {

/// A 3x3 convolution prepared for one shape. Const calls may run at the same time, each with a workspace of its own.
class WinogradConv3x3 {
 public:
  /// What happens to the sums before they are stored: y = relu(conv + bias[k] + residual).
  struct Epilogue {
    const float* bias = nullptr;      ///< K values
    const float* residual = nullptr;  ///< laid out like y, which it may be
    bool relu = false;
    double* sum = nullptr;          ///< K values, overwritten: sum of conv over n, h, w, before bias, residual and ReLU
    double* sum_squares = nullptr;  ///< K values, overwritten: the same of conv^2; given with `sum` or not at all
  };

  /// Whether this class can compute the shape with channel blocks of `block`: sizes of at least 1, N H W up to 2^30, C
  /// and K multiples of the block up to 65536, and a block of 8 on a processor with AVX2 and FMA or of 16 on one with
  /// AVX-512.
  static bool possible(int n, int h, int w, int c, int k, int block);
  /// The dispatch rule: possible, and measured faster than oneDNN's direct convolution (rule and figures in the .cpp).
  static bool supported(int n, int h, int w, int c, int k, int block);

  /// The same for backward_weights(), which needs more tiles to pay.
  static bool supports_backward_weights(int n, int h, int w, int c, int k, int block);

  /// Prepares for x of N x C x H x W and y of N x K x H x W, with at most the present omp_get_max_threads() threads.
  /// Throws Error unless possible(n, h, w, c, k, block).
  static std::unique_ptr<WinogradConv3x3> create(int n, int h, int w, int c, int k, int block);
  virtual ~WinogradConv3x3() = default;

  virtual size_t packed_weight_bytes() const = 0;
  /// Bytes that `workspace` of forward() needs, for all its threads. What it holds before and after is of no meaning.
  virtual size_t workspace_bytes() const = 0;
  /// The same for backward_weights().
  virtual size_t backward_weights_workspace_bytes() const = 0;

  /// Transforms weights (K x 3 x 3 x C) for forward(), each filter k multiplied by scale[k] unless scale is null.
  /// With `for_backward_data` the weights are those of the convolution whose dx this one computes from its dy: they are
  /// C x 3 x 3 x K in this object's letters (scale has C values), and this object's x is dy and its y is dx.
  virtual void pack_weights(const float* weights, const float* scale, bool for_backward_data, float* packed) const = 0;

  /// y = epilogue(conv(input(x))), overwriting y. `packed` and `workspace` are 64-byte aligned; y may not overlap x.
  virtual void forward(const float* x, const float* packed, float* y, const InputTransform& input,
                       const Epilogue& epilogue, void* workspace) const = 0;

  /// dw (K x 3 x 3 x C, overwritten) = gradient of the loss with respect to the weights, from x (through `input`, as in
  /// forward()) and dy (laid out like y). `workspace` is 64-byte aligned.
  virtual void backward_weights(const float* x, const float* dy, float* dw, const InputTransform& input,
                                void* workspace) const = 0;
};

}  // namespace sandglass
