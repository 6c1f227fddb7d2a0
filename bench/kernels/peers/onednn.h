// oneDNN's own primitives as operations: what a user of its public API gets for the same feature maps, in the layout
// that Sandglass keeps them in on the cpu device (blocked), with weights in the layout that oneDNN likes best.
//
// Options of a spec that oneDNN does not have must be off. Throw Error where oneDNN has only its reference
// implementation.
#pragma once

#include <memory>
#include <vector>

#include "bench/kernels/contest.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv/conv.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/residual/residual.h"
#include "kernels/upsample/upsample.h"

namespace sandglass::bench {

/// Whether this build has oneDNN; without it the functions below throw.
bool has_onednn();

/// Direct convolution; bias, ReLU and the residual in its place are in its epilogue.
std::unique_ptr<ConvForward::Operation> onednn_operation(const ConvForward& spec);
std::unique_ptr<ConvBackwardData::Operation> onednn_operation(const ConvBackwardData& spec);
/// Bias is allowed.
std::unique_ptr<ConvBackwardWeights::Operation> onednn_operation(const ConvBackwardWeights& spec);
/// Batch normalisation with given statistics, and ReLU.
std::unique_ptr<BatchNormApply::Operation> onednn_operation(const BatchNormApply& spec);
/// Binary multiplication by the scale, with the shift, the shortcut and ReLU as what comes after.
std::unique_ptr<ResidualForward::Operation> onednn_operation(const ResidualForward& spec);
/// `argmax`: as in training, with a workspace, which is of oneDNN's form.
std::unique_ptr<MaxPoolForward::Operation> onednn_operation(const MaxPoolForward& spec, bool argmax);
std::unique_ptr<MaxPoolBackward::Operation> onednn_operation(const MaxPoolBackward& spec);
/// Resampling with the skip branch, which lies where the result goes, added after.
std::unique_ptr<UpsampleAddForward::Operation> onednn_operation(const UpsampleAddForward& spec);
std::unique_ptr<UpsampleBackward::Operation> onednn_operation(const UpsampleBackward& spec);

/// oneDNN as a peer, on the cpu device of builds that have it. `part`: what it computes of the operation.
template <typename Spec, typename... More>
std::vector<Peer<Spec>> onednn_peer(const Device& device, const Spec& part, More... more) {
  if (device.kind() != DeviceKind::cpu || !has_onednn()) return {};
  return {{"onednn", part, [part, more...] { return onednn_operation(part, more...); }}};
}

/// Floating-point operations a second of oneDNN's sgemm of 1024 x 1024 x 1024 on all OpenMP threads, in each of 21
/// runs.
std::vector<double> onednn_sgemm_rates();

}  // namespace sandglass::bench
