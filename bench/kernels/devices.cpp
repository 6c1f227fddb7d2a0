#include "bench/kernels/devices.h"

#include <map>
#include <tuple>

namespace sandglass::bench {

Device& shared_device(DeviceKind kind, const DeviceOptions& options) {
  static std::map<std::tuple<DeviceKind, Precision, ConvLibrary>, std::unique_ptr<Device>> devices;
  auto& device = devices[{kind, options.precision, options.conv}];
  if (!device) device = open_device(kind, options);
  return *device;
}

}  // namespace sandglass::bench
