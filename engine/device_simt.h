// The simt device: the cuda device's kernels executed on the CPU (kernels/simt), in host memory that is watched.
#pragma once

#include "engine/device.h"

namespace sandglass {

std::unique_ptr<Device> open_simt_device(const DeviceOptions& options);

/// What was written outside of the device's allocations since the last call, for people: "allocation 3 (1024 bytes): 4
/// bytes behind it, ..."; empty if nothing was. The emulator asks after each kernel.
std::string find_simt_memory_damage();

/// The allocations that are not freed yet, for people: "2 allocations, 1536 bytes: allocation 3 (1024 bytes), ...";
/// empty if there are none. Printed to stderr at the program's end.
std::string simt_memory_in_use();

}  // namespace sandglass
