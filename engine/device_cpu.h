// The cpu device: host memory, work done at once by OpenMP threads.
#pragma once

#include "engine/device.h"

namespace sandglass {

std::unique_ptr<Device> open_cpu_device();

/// "AMD EPYC 7B13" from /proc/cpuinfo, or "unknown processor".
std::string processor_name();

}  // namespace sandglass
