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

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::tf32:
      return "tf32";
    case Precision::bf16:
      return "bf16";
  }
  return "unknown";
}

Precision parse_precision(std::string_view text) {
  for (Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16})
    if (text == name_of(precision)) return precision;
  fail("unknown precision '{}': choose fp32, tf32 or bf16", text);
}

const char* name_of(ConvLibrary library) {
  switch (library) {
    case ConvLibrary::hand:
      return "hand";
    case ConvLibrary::cudnn:
      return "cudnn";
    case ConvLibrary::cublas:
      return "cublas";
  }
  return "unknown";
}

ConvLibrary parse_conv_library(std::string_view text) {
  for (ConvLibrary library : {ConvLibrary::hand, ConvLibrary::cudnn, ConvLibrary::cublas})
    if (text == name_of(library)) return library;
  fail("unknown implementation of convolutions '{}': choose hand, cudnn or cublas", text);
}

TensorDesc gpu_activation(Shape shape, Precision precision) {
  return nhwc(shape, precision == Precision::bf16 ? DataType::bfloat16 : DataType::float32);
}

TensorDesc gpu_picture(Shape shape, Precision precision) {
  return {shape, gpu_activation(shape, precision).type, (shape.c + 3) / 4 * 4};
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

std::string why_unavailable(ConvLibrary library) {
#ifdef SANDGLASS_CUDNN
  constexpr bool kCudnn = true;
#else
  constexpr bool kCudnn = false;
#endif
#ifdef SANDGLASS_CUBLAS
  constexpr bool kCublas = true;
#else
  constexpr bool kCublas = false;
#endif
  if (library == ConvLibrary::hand || (library == ConvLibrary::cudnn && kCudnn) ||
      (library == ConvLibrary::cublas && kCublas))
    return "";
  return fmt::format(
      "this build has no convolutions of {}, which was not found when it was configured; it has hand{}{}",
      name_of(library), kCudnn ? ", cudnn" : "", kCublas ? ", cublas" : "");
}

std::vector<DeviceKind> available_devices() {
  std::vector<DeviceKind> devices;
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt})
    if (why_unavailable(kind).empty()) devices.push_back(kind);
  return devices;
}

std::unique_ptr<Device> open_device(DeviceKind kind, const DeviceOptions& options) {
  const std::string reason = why_unavailable(kind);
  if (!reason.empty()) {
    std::string present;
    for (DeviceKind other : available_devices())
      present += fmt::format("{}{}", present.empty() ? "" : ", ", name_of(other));
    fail("device '{}' is not available: {}; available: {}", name_of(kind), reason, present);
  }
  check(kind != DeviceKind::cpu || options.precision == Precision::fp32,
        "the cpu device has no precision '{}': it computes in fp32", name_of(options.precision));
  check(kind == DeviceKind::cuda || options.conv == ConvLibrary::hand,
        "device '{}' has no convolutions of {}: only the cuda device lets you choose, '{}' has its own ('hand')",
        name_of(kind), name_of(options.conv), name_of(kind));
  const std::string no_library = why_unavailable(options.conv);
  check(no_library.empty(), "{}", no_library);
#ifdef SANDGLASS_CUDA
  if (kind == DeviceKind::cuda) return open_cuda_device(options);
#endif
#ifdef SANDGLASS_SIMT
  if (kind == DeviceKind::simt) return open_simt_device(options);
#endif
  return open_cpu_device();
}

DeviceKind parse_device_kind(std::string_view name) {
  if (name == "auto") return why_unavailable(DeviceKind::cuda).empty() ? DeviceKind::cuda : DeviceKind::cpu;
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt})
    if (name == name_of(kind)) return kind;
  fail("unknown device '{}': choose auto, cpu, cuda or simt", name);
}

std::unique_ptr<Device> open_device(std::string_view name, const DeviceOptions& options) {
  return open_device(parse_device_kind(name), options);
}

std::unique_ptr<Device> open_device(const DeviceChoice& choice) {
  const DeviceKind kind = parse_device_kind(choice.name);
  DeviceOptions options;
  options.precision = choice.precision != "auto" ? parse_precision(choice.precision)
                      : kind == DeviceKind::cuda ? Precision::bf16
                                                 : Precision::fp32;
  options.conv = parse_conv_library(choice.conv);
  return open_device(kind, options);
}

}  // namespace sandglass
