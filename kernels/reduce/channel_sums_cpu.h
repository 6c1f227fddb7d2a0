// Per-channel sums over a feature map, for the cpu device: batch norm's statistics and bias gradients.
#pragma once

#include <vector>

#include "engine/tensor.h"

namespace sandglass {

/// Prepared for one shape; run() allocates nothing.
///   sum[c] = sum over n,h,w of y,   sum_squares[c] = sum over n,h,w of y^2
/// Added in double, in an order that does not depend on the number of threads.
class ChannelSums {
 public:
  explicit ChannelSums(const TensorDesc& desc);
  /// sum, sum_squares: [C]; either may be null.
  void run(const float* y, double* sum, double* sum_squares);

 private:
  TensorDesc desc_;
  std::vector<double> partial_;  ///< [n][blocks][2][block]
};

}  // namespace sandglass
