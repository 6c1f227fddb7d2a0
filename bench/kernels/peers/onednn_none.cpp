// In builds without oneDNN.
#include "bench/kernels/peers/onednn.h"

namespace sandglass::bench {
namespace {
[[noreturn]] void lacking() { fail("this build has no oneDNN"); }
}  // namespace

bool has_onednn() { return false; }

std::unique_ptr<ConvForward::Operation> onednn_operation(const ConvForward&) { lacking(); }
std::unique_ptr<ConvBackwardData::Operation> onednn_operation(const ConvBackwardData&) { lacking(); }
std::unique_ptr<ConvBackwardWeights::Operation> onednn_operation(const ConvBackwardWeights&) { lacking(); }
std::unique_ptr<BatchNormApply::Operation> onednn_operation(const BatchNormApply&) { lacking(); }
std::unique_ptr<ResidualForward::Operation> onednn_operation(const ResidualForward&) { lacking(); }
std::unique_ptr<MaxPoolForward::Operation> onednn_operation(const MaxPoolForward&, bool) { lacking(); }
std::unique_ptr<MaxPoolBackward::Operation> onednn_operation(const MaxPoolBackward&) { lacking(); }
std::unique_ptr<UpsampleAddForward::Operation> onednn_operation(const UpsampleAddForward&) { lacking(); }
std::unique_ptr<UpsampleBackward::Operation> onednn_operation(const UpsampleBackward&) { lacking(); }
std::vector<double> onednn_sgemm_rates() { lacking(); }

}  // namespace sandglass::bench
