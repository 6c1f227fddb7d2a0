// In builds without cuDNN.
#include "bench/kernels/peers/cudnn.h"

namespace sandglass::bench {
namespace {
[[noreturn]] void lacking() { fail("this build has no cuDNN"); }
}  // namespace

bool has_cudnn() { return false; }
std::unique_ptr<ConvForward::Operation> cudnn_best_engine(Device&, const ConvForward&) { lacking(); }
std::unique_ptr<ConvBackwardData::Operation> cudnn_best_engine(Device&, const ConvBackwardData&) { lacking(); }
std::unique_ptr<ConvBackwardWeights::Operation> cudnn_best_engine(Device&, const ConvBackwardWeights&) { lacking(); }

}  // namespace sandglass::bench
