#pragma once

namespace sandglass {

/// What every batch norm of this family of networks adds to its variance. PyTorch's and ONNX's default, too.
inline constexpr double kBatchNormEpsilon = 1e-5;

}  // namespace sandglass
