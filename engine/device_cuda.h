// The cuda device: an NVIDIA GPU by way of CUDA's runtime API.
#pragma once

#include "engine/device.h"

namespace sandglass {

/// The first GPU (choose another with CUDA_VISIBLE_DEVICES). Throws Error if there is none that fits.
std::unique_ptr<Device> open_cuda_device(const DeviceOptions& options);

/// Why the first GPU cannot be used (no driver, driver too old, no GPU, its architecture is not in this build), for
/// people; empty if it can.
std::string why_cuda_is_unavailable();

/// CUDA's answer to whether this build holds code that the current GPU can run: cudaSuccess or
/// cudaErrorNoKernelImageForDevice. An int, so that this header needs no CUDA.
int probe_cuda_architecture();

}  // namespace sandglass
