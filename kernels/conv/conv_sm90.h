// The convolutions on Hopper's tensor cores (conv_sm90_cuda.cu), for the dispatch in conv_cuda.cu.
#pragma once

#include <memory>

#include "kernels/conv/conv.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// The operation by TMA and wgmma, or null where the GPU is not of sm_90, this build has no code for sm_90a, the
/// device's precision is not bf16, or the shape is beyond the limits that conv_sm90_cuda.cu states.
std::unique_ptr<ConvForward::Operation> make_sm90_conv(Device& device, const ConvForward& spec);
std::unique_ptr<ConvBackwardData::Operation> make_sm90_conv(Device& device, const ConvBackwardData& spec);
std::unique_ptr<ConvBackwardWeights::Operation> make_sm90_conv(Device& device, const ConvBackwardWeights& spec);

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
