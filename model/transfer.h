// Transfer: starting from weights that were learnt for something else, and learning parts of a network slower or not at
// all.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/weights.h"

namespace sandglass {

/// What became of a file's tensors.
struct TransferReport {
  int taken = 0;                      ///< tensors that the network took
  std::vector<std::string> anew;      ///< the network's tensors that keep their fresh values
  std::vector<std::string> left_out;  ///< the file's tensors that the network has no use for
};

/// `fresh` with every tensor of `file` that has its name and shape. The last layer (l0) is taken only if Action Units,
/// their order and the head are the same; what a file lacks, such as levels of a deeper hourglass, keeps its fresh
/// values. Throws Error naming `source` and the tensor if another one has a different shape (then the networks differ
/// in width), or if nothing fits.
Weights transferred(Weights fresh, const TensorFile& file, const std::string& source, TransferReport& report);

/// Factors of the learning rate as kernels/optimizer/optimizer.h takes them; empty if all are 1. A part is
///   stem        conv1, bn1, conv2, conv3, conv4
///   hourglass   m0
///   top         top_m_0, conv_last0, bn_end0
///   head        l0
/// or the beginning of tensor names up to a dot: "m0.b1_4", "conv4.bn1.weight". Of several factors that fit a tensor,
/// that of a tensor name wins over that of a part, and a longer name over a shorter one; `frozen` wins over all. Throws
/// Error if a name fits nothing, or if everything is frozen.
std::vector<float> rate_factors(const ParameterTable& table, const std::vector<std::string>& frozen,
                                const std::map<std::string, double>& factors);

}  // namespace sandglass
