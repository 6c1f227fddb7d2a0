// Forward and backward data as operations around an implicit GEMM: what all hand-written versions on GPUs share beyond
// the product itself.
//
// A Gemm is made of (const ConvShape&, const TensorDesc& from, const TensorDesc& to, DataType weights, bool sums) and
// has implementation(), workspace_bytes(), packed_weight_bytes(), pack_weights(weights, packed, stream) and
//   run(operation, map, weights, transform, epilogue, sum, sum_of_products, workspace, stream)
#pragma once

#include "kernels/conv/conv.h"

namespace sandglass {

/// What becomes of a sum of products: out = relu?(sum + bias? + addend?), and with z:
/// out = z*scale + shift > 0 ? out : 0. Maps are as the operation's out is.
struct Epilogue {
  void* out = nullptr;
  const void* addend = nullptr;  ///< may be out
  const float* bias = nullptr;   ///< a float for each channel, as scale and shift
  bool relu = false;
  const void* z = nullptr;
  const float *scale = nullptr, *shift = nullptr;
  double* partial = nullptr;  ///< blocks' sums of out and of out * (z or out) per channel, if they are asked for
};

inline Epilogue epilogue_of(const ConvForward& spec, const ConvForwardArguments& a) {
  Epilogue epilogue;
  epilogue.out = a.y;
  if (spec.residual) epilogue.addend = a.residual;
  if (spec.bias) epilogue.bias = a.bias;
  epilogue.relu = spec.relu;
  return epilogue;
}
inline Epilogue epilogue_of(const ConvBackwardData& spec, const ConvBackwardDataArguments& a) {
  Epilogue epilogue;
  epilogue.out = a.dx;
  if (spec.accumulate) epilogue.addend = a.dx;
  if (spec.mask) epilogue.z = a.z, epilogue.scale = a.scale, epilogue.shift = a.shift;
  return epilogue;
}

/// What both have in common.
template <typename Spec, typename Gemm>
class GemmOperation : public Spec::Operation {
 public:
  std::string implementation() const override { return gemm_.implementation(); }
  size_t workspace_bytes() const override { return gemm_.workspace_bytes(); }
  size_t packed_weight_bytes() const override { return gemm_.packed_weight_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream stream) override {
    gemm_.pack_weights(weights, packed, stream);
  }

 protected:
  GemmOperation(const Spec& spec, const TensorDesc& from, const TensorDesc& to, bool sums)
      : spec_(spec), gemm_(spec.shape, from, to, spec.weights, sums) {}

  Spec spec_;
  Gemm gemm_;
};

template <typename Gemm>
class GemmForward final : public GemmOperation<ConvForward, Gemm> {
 public:
  explicit GemmForward(const ConvForward& spec)
      : GemmOperation<ConvForward, Gemm>(spec, spec.x, spec.y, spec.statistics) {}
  void run(const ConvForwardArguments& a, Stream stream) override {
    const ConvForward& spec = this->spec_;
    this->gemm_.run(ConvForward::kName, a.x, a.weights, spec.input_transform ? a.transform : InputTransform(),
                    epilogue_of(spec, a), a.sum, a.sum_squares, a.workspace, stream);
  }
};

template <typename Gemm>
class GemmBackwardData final : public GemmOperation<ConvBackwardData, Gemm> {
 public:
  explicit GemmBackwardData(const ConvBackwardData& spec)
      : GemmOperation<ConvBackwardData, Gemm>(spec, spec.dy, spec.dx, spec.mask) {}
  void run(const ConvBackwardDataArguments& a, Stream stream) override {
    this->gemm_.run(ConvBackwardData::kName, a.dy, a.weights, {}, epilogue_of(this->spec_, a), a.sum, a.sum_z,
                    a.workspace, stream);
  }
};

}  // namespace sandglass
