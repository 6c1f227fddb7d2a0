// Devices are opened once each and stay open.
#pragma once

#include "engine/device.h"

namespace sandglass::bench {

Device& shared_device(DeviceKind kind, const DeviceOptions& options);

}  // namespace sandglass::bench
