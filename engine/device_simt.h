// The simt device: the cuda device's kernels executed on the CPU (kernels/simt), in memory that is watched
// (simt_memory.h), by a queue that works late (simt_queue.h).
#pragma once

#include "engine/device.h"

namespace sandglass {

std::unique_ptr<Device> open_simt_device(const DeviceOptions& options);

}  // namespace sandglass
