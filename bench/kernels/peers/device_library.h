// The cuda device's convolutions by NVIDIA's libraries, as `--conv cudnn` and `--conv cublas` choose them: the whole
// contract, with passes of their own for what the library does not have.
#pragma once

#include <vector>

#include "bench/kernels/contest.h"
#include "bench/kernels/devices.h"
#include "kernels/conv/conv.h"

namespace sandglass::bench {

/// Nothing is added if this build lacks the library.
template <typename Spec>
void add_device_library(std::vector<Peer<Spec>>& peers, Device& device, const Spec& spec, ConvLibrary library) {
  if (!why_unavailable(library).empty()) return;
  Device& other = shared_device(device.kind(), {device.precision(), library});
  peers.push_back({name_of(library), spec, [&other, spec] { return make_operation(other, spec); }});
}

}  // namespace sandglass::bench
