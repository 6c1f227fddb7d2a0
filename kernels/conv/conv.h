// Convolution, forward and backward. Letters of the field: N H W C input, K R S filters, P Q output.
//
//   y[n,p,q,k] = sum over r,s,c of  t(x[n, p*stride + r - padding, q*stride + s - padding, c]) * w[k,r,s,c]
//
// where x outside the picture counts as 0 *after* the transform t. Source of the fused forms: docs/design.md, "Traffic
// is the limit". Weights are KRSC (c fastest), float32 or bfloat16; their gradients float32.
#pragma once

#include "kernels/operation.h"

namespace sandglass {

/// P = (H + 2 padding - R) / stride + 1, Q likewise.
struct ConvShape {
  int n = 0, h = 0, w = 0, c = 0, k = 0, r = 1, s = 1, stride = 1, padding = 0;

  bool operator==(const ConvShape&) const = default;
  int p() const { return (h + 2 * padding - r) / stride + 1; }
  int q() const { return (w + 2 * padding - s) / stride + 1; }
  Shape input() const { return {n, h, w, c}; }
  Shape output() const { return {n, p(), q(), k}; }
  size_t weight_elements() const { return static_cast<size_t>(k) * r * s * c; }
  /// Multiply-adds of one direction.
  double macs() const { return double(n) * p() * q() * k * r * s * c; }
  /// Throws Error unless all sizes are positive and the output is not empty.
  void check() const;
};

/// "n4_h64_w64_c128_k128_r3_s3_stride1"
std::string to_string(const ConvShape& shape);

/// t(v) = v * scale[c] + shift[c], then max(0, .) if relu; t(v) = v where scale is null. Batch norm of the producer,
/// applied as the operand is loaded. scale and shift: float[C].
struct InputTransform {
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool relu = false;
};

template <typename Arguments>
class ConvOperation : public Operation<Arguments> {
 public:
  /// Memory for the weights in the form run() reads them; 0 where it reads KRSC itself.
  virtual size_t packed_weight_bytes() const = 0;
  /// Turns KRSC weights of type spec.weights into that form; to be called whenever they have changed. Not called where
  /// the size is 0.
  virtual void pack_weights(const void* weights, void* packed, Stream stream) = 0;
};

struct ConvForwardArguments {
  const void* x = nullptr;         ///< input(), layout spec.x
  const void* weights = nullptr;   ///< packed, or KRSC where packed_weight_bytes() is 0
  void* y = nullptr;               ///< output(), layout spec.y
  InputTransform transform;        ///< scale and shift given if and only if spec.input_transform
  const float* bias = nullptr;     ///< [K], added if spec.bias
  const void* residual = nullptr;  ///< layout of y, added if spec.residual; may be y itself
  double* sum = nullptr;           ///< [K], if spec.statistics: sum of y over n, p, q
  double* sum_squares = nullptr;   ///< [K], if spec.statistics
  void* workspace = nullptr;
};

/// y = relu?( conv(t(x), w) + bias? + residual? ). Statistics are of the stored y; they go with neither residual nor
/// relu.
struct ConvForward {
  using Arguments = ConvForwardArguments;
  using Operation = ConvOperation<Arguments>;
  static constexpr const char* kName = "conv_forward";
  ConvShape shape;
  TensorDesc x, y;
  bool input_transform = false, bias = false, residual = false, relu = false, statistics = false;
  DataType weights = DataType::float32;  ///< of the KRSC weights that run() or pack_weights() reads
  std::vector<TensorDesc> maps() const { return {x, y}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct ConvBackwardDataArguments {
  const void* dy = nullptr;       ///< output(), layout spec.dy
  const void* weights = nullptr;  ///< packed, or KRSC where packed_weight_bytes() is 0
  void* dx = nullptr;             ///< input(), layout spec.dx; read first if spec.accumulate
  const void* z = nullptr;        ///< if spec.mask: what the forward pass transformed, layout spec.dx
  const float* scale = nullptr;   ///< [C], if spec.mask
  const float* shift = nullptr;   ///< [C], if spec.mask
  double* sum = nullptr;          ///< [C], if spec.mask: sum of dx over n, h, w
  double* sum_z = nullptr;        ///< [C], if spec.mask: sum of dx * z
  void* workspace = nullptr;
};

///   dx[n,h,w,c] = (dx +)? sum over r,s,k of dy[n,p,q,k] * w[k,r,s,c],   p*stride + r - padding = h, q likewise
/// and with `mask` the backward pass of the ReLU before this convolution, and both reductions of its batch norm:
///   dx = z*scale + shift > 0 ? dx : 0;   sum += dx;   sum_z += dx * z.
struct ConvBackwardData {
  using Arguments = ConvBackwardDataArguments;
  using Operation = ConvOperation<Arguments>;
  static constexpr const char* kName = "conv_backward_data";
  ConvShape shape;
  TensorDesc dy, dx;
  bool accumulate = false, mask = false;
  DataType weights = DataType::float32;  ///< as in ConvForward
  std::vector<TensorDesc> maps() const { return {dy, dx}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct ConvBackwardWeightsArguments {
  const void* x = nullptr;   ///< input(), layout spec.x
  const void* dy = nullptr;  ///< output(), layout spec.dy
  float* dw = nullptr;       ///< KRSC
  float* db = nullptr;       ///< [K], if spec.bias: sum of dy over n, p, q
  InputTransform transform;  ///< as in the forward pass
  void* workspace = nullptr;
};

///   dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] * t(x[n, p*stride + r - padding, q*stride + s - padding, c])
struct ConvBackwardWeights {
  using Arguments = ConvBackwardWeightsArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "conv_backward_weights";
  ConvShape shape;
  TensorDesc x, dy;
  bool input_transform = false, bias = false;
  std::vector<TensorDesc> maps() const { return {x, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

/// The meaning of the three operations in float64 loops over plain NHWC arrays; for tests only.
/// `x` etc. as above with double elements; outputs are allocated by the caller.
namespace reference {
struct Transform {
  const double* scale = nullptr;
  const double* shift = nullptr;
  bool relu = false;
};
void conv_forward(const ConvShape& shape, const double* x, const double* w, const Transform& t, const double* bias,
                  const double* residual, bool relu, double* y);
/// Adds to dx.
void conv_backward_data(const ConvShape& shape, const double* dy, const double* w, double* dx);
void conv_backward_weights(const ConvShape& shape, const double* x, const double* dy, const Transform& t, double* dw);
}  // namespace reference

}  // namespace sandglass
