// What the tests of the convolutions work on.
#pragma once

#include "kernels/conv/conv.h"
#include "tests/kernels/suite.h"

namespace sandglass::test {

struct ConvInputs {
  Values x, w, dy, scale, shift, bias, residual, before, z, mask_scale, mask_shift;
};

// Small enough that every operand is exact in bfloat16 and every sum in float.
inline ConvInputs integer_inputs(const ConvShape& shape) {
  const auto inputs = static_cast<size_t>(shape.input().elements()),
             outputs = static_cast<size_t>(shape.output().elements());
  const size_t c = shape.c, k = shape.k;
  return {integers(inputs, -3, 3, 1),    integers(shape.weight_elements(), -3, 3, 2),
          integers(outputs, -3, 3, 3),   integers(c, -2, 2, 4),
          integers(c, -3, 3, 5),         integers(k, -50, 50, 6),
          integers(outputs, -50, 50, 7), integers(inputs, -50, 50, 8),
          integers(inputs, -9, 9, 9),    integers(c, -3, 3, 10),
          integers(c, -9, 9, 11)};
}

inline ConvInputs random_inputs(const ConvShape& shape) {
  ConvInputs result = integer_inputs(shape);  // keeps z * scale + shift, whose sign decides, exact
  result.x = uniform(result.x.size(), -1, 2, 12);
  result.w = uniform(result.w.size(), -0.1, 0.1, 13);
  result.dy = uniform(result.dy.size(), -1, 1, 14);
  result.scale = uniform(result.scale.size(), -1, 2, 15);
  result.shift = uniform(result.shift.size(), -1, 1, 16);
  result.bias = uniform(result.bias.size(), -1, 1, 17);
  result.residual = uniform(result.residual.size(), -1, 1, 18);
  result.before = uniform(result.before.size(), -1, 1, 19);
  return result;
}

/// Device copy of KRSC weights as the operation reads them: of type spec.weights, packed if it packs them.
template <typename Spec>
const void* weights_for(OperationRun<Spec>& run, const Values& w, DataType type) {
  const void* plain = type == DataType::bfloat16 ? static_cast<const void*>(run.template input<bfloat16>(w))
                                                 : run.template input<float>(w);
  const size_t bytes = run.operation().packed_weight_bytes();
  if (bytes == 0) return plain;
  void* const packed = run.prepared(bytes);
  run.operation().pack_weights(plain, packed, {});
  return packed;
}

}  // namespace sandglass::test
