#include "engine/device.h"

#include "engine/device_cpu.h"
#include "engine/error.h"
#ifdef SANDGLASS_CUDA
#include "engine/device_cuda.h"
#endif
#ifdef SANDGLASS_SIMT
#include "engine/device_simt.h"
#endif

namespace sandglass {

const char* name_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::cuda:
      return "cuda";
    case DeviceKind::simt:
      return "simt";
  }
  return "unknown";
}

DeviceMemory::DeviceMemory(Device& device, size_t bytes)
    : device_(&device), data_(static_cast<uint8_t*>(device.allocate(bytes))), bytes_(bytes) {}

DeviceMemory::~DeviceMemory() {
  if (data_) device_->free(data_);
}

std::string why_unavailable(DeviceKind kind) {
  if (kind == DeviceKind::cpu) return "";
  if (kind == DeviceKind::cuda) {
#ifdef SANDGLASS_CUDA
    return why_cuda_is_unavailable();
#else
    return "this build leaves out the cuda device (configure with --preset cuda)";
#endif
  }
#ifdef SANDGLASS_SIMT
  return "";
#else
  return "this build leaves out the simt device (configure with --preset simt)";
#endif
}

std::vector<DeviceKind> available_devices() {
  std::vector<DeviceKind> devices;
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt})
    if (why_unavailable(kind).empty()) devices.push_back(kind);
  return devices;
}

std::unique_ptr<Device> open_device(DeviceKind kind) {
  const std::string reason = why_unavailable(kind);
  if (!reason.empty()) {
    std::string present;
    for (DeviceKind other : available_devices())
      present += fmt::format("{}{}", present.empty() ? "" : ", ", name_of(other));
    fail("device '{}' is not available: {}; available: {}", name_of(kind), reason, present);
  }
#ifdef SANDGLASS_CUDA
  if (kind == DeviceKind::cuda) return open_cuda_device();
#endif
#ifdef SANDGLASS_SIMT
  if (kind == DeviceKind::simt) return open_simt_device();
#endif
  return open_cpu_device();
}

std::unique_ptr<Device> open_device(std::string_view name) {
  if (name == "auto")
    return open_device(why_unavailable(DeviceKind::cuda).empty() ? DeviceKind::cuda : DeviceKind::cpu);
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt})
    if (name == name_of(kind)) return open_device(kind);
  fail("unknown device '{}': choose auto, cpu, cuda or simt", name);
}

}  // namespace sandglass
