// The bare convolution by cuDNN's graph interface with every engine that cuDNN proposes tried, and the fastest kept.
//
// `--conv cudnn` (kernels/conv/conv_cudnn.cpp) takes what cuDNN's heuristics put first among its deterministic
// algorithms. Here also algorithms that are not deterministic count: it is the time to beat.
#pragma once

#include <memory>

#include "kernels/conv/conv.h"

namespace sandglass::bench {

/// Whether this build has cuDNN; without it the functions below throw.
bool has_cudnn();

/// All options of the spec must be off. Throw Error if no engine takes the convolution.
std::unique_ptr<ConvForward::Operation> cudnn_best_engine(Device& device, const ConvForward& spec);
std::unique_ptr<ConvBackwardData::Operation> cudnn_best_engine(Device& device, const ConvBackwardData& spec);
std::unique_ptr<ConvBackwardWeights::Operation> cudnn_best_engine(Device& device, const ConvBackwardWeights& spec);

}  // namespace sandglass::bench
