// The convolutions on tensor cores (conv_tensor_core_cuda.cu), for the dispatch in conv_cuda.cu.
#pragma once

#include <memory>

#include "kernels/conv/conv.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// The operation on tensor cores, or null where the device's precision is fp32 or the shape is beyond the limits that
/// conv_tensor_core_cuda.cu states.
std::unique_ptr<ConvForward::Operation> make_tensor_core_conv(Device& device, const ConvForward& spec);
std::unique_ptr<ConvBackwardData::Operation> make_tensor_core_conv(Device& device, const ConvBackwardData& spec);
std::unique_ptr<ConvBackwardWeights::Operation> make_tensor_core_conv(Device& device, const ConvBackwardWeights& spec);

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
