// The convolutions by libraries (conv_library_cuda.cu), for the dispatch in conv_cuda.cu and for tests.
#pragma once

#include "kernels/conv/conv_library.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// Convolutions as products by `gemm` with matrices of patches in the workspace, where the filter is more than 1x1 with
/// stride 1: for each row of them, R * S * C elements.
BareConvs gemm_convs(const Gemm& gemm, const std::string& name);

/// What the device's ConvLibrary offers. Throws Error if this build leaves it out.
BareConvs library_convs(ConvLibrary library);

/// The operation by a library. All maps are plain NHWC, x also with padded channels.
std::unique_ptr<ConvForward::Operation> make_library_conv(Device& device, const ConvForward& spec,
                                                          const BareConvs& convs);
std::unique_ptr<ConvBackwardData::Operation> make_library_conv(Device& device, const ConvBackwardData& spec,
                                                               const BareConvs& convs);
std::unique_ptr<ConvBackwardWeights::Operation> make_library_conv(Device& device, const ConvBackwardWeights& spec,
                                                                  const BareConvs& convs);

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
