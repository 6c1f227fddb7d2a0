#include "bench/kernels/machine.h"

#include <omp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

#include "bench/kernels/data.h"
#include "bench/kernels/peers/onednn.h"
#include "bench/kernels/timing.h"
#include "cli/build_info.h"
#include "cli/library_versions.h"
#include "kernels/conv/conv_library.h"
#ifdef SANDGLASS_CUDA
#include <cuda_runtime_api.h>
#endif

namespace sandglass::bench {
namespace {

using nlohmann::ordered_json;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

ordered_json or_null(const std::string& text) { return text.empty() ? ordered_json() : ordered_json(text); }

// What a command prints in its first line; empty if it cannot be run.
std::string output_of(const char* command) {
  FILE* const pipe = popen(command, "r");
  if (!pipe) return "";
  char line[512] = "";
  const bool read = std::fgets(line, sizeof(line), pipe) != nullptr;
  const bool good = pclose(pipe) == 0;
  line[std::strcspn(line, "\n")] = 0;
  return read && good ? line : "";
}

std::string date_and_time() {
  char text[64];
  const std::time_t now = std::time(nullptr);
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", std::localtime(&now));
  return text;
}

// Calls part(first, count) on each thread with its share of some floats; what the fastest run moved in a second.
template <typename Part>
double host_rate(size_t count, double bytes, const Part& part) {
  constexpr int kWarmUp = 1, kRuns = 9;
  std::vector<double> rates;
  for (int run = 0; run < kRuns + kWarmUp; ++run) {
    const auto start = std::chrono::steady_clock::now();
#pragma omp parallel
    {
      const auto thread = static_cast<size_t>(omp_get_thread_num());
      const size_t share = count / static_cast<size_t>(omp_get_num_threads());
      part(thread * share, share);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (run >= kWarmUp) rates.push_back(bytes / seconds);
  }
  return spread(rates).largest;
}

// Bytes a second that all threads read and write together: the larger of a copy, memcpy, and an update in place,
// y = x + y, which saves a processor the reading of lines that it overwrites.
double host_memory_rate(size_t bytes) {
  const size_t count = bytes / sizeof(float);
  std::vector<float> from(count, 1.0f), to(count, 0.0f);
  const double copy = host_rate(count, 2.0 * static_cast<double>(bytes), [&](size_t first, size_t share) {
    std::memcpy(to.data() + first, from.data() + first, share * sizeof(float));
  });
  const double update = host_rate(count, 3.0 * static_cast<double>(bytes), [&](size_t first, size_t share) {
#pragma omp simd
    for (size_t i = first; i < first + share; ++i) to[i] += from[i];
  });
  return std::max(copy, update);
}

// Work that is no operation, timed as one.
class Work final : public Contender {
 public:
  explicit Work(std::function<void(Stream)> work) : work_(std::move(work)) {}
  std::string implementation() const override { return ""; }
  Cost cost() const override { return {}; }
  void run(int, Stream stream) override { work_(stream); }
  std::string wrong() override { return ""; }

 private:
  std::function<void(Stream)> work_;
};
double least_seconds(Device& device, std::function<void(Stream)> work) {
  constexpr double kSeconds = 0.2;
  constexpr int kLeastSamples = 5;
  Work contender(std::move(work));
  return spread(time_by_turns(device, {&contender}, 1, kSeconds, kLeastSamples)[0].seconds).least;
}

double device_copy_rate(Device& device, size_t bytes) {
  const DeviceMemory from(device, bytes), to(device, bytes);
  device.fill(from.data(), 1, bytes);
  const double seconds =
      least_seconds(device, [&](Stream stream) { device.copy(to.data(), from.data(), bytes, stream); });
  return 2 * static_cast<double>(bytes) / seconds;
}

#ifdef SANDGLASS_CUBLAS
double cublas_rate(Device& device) {
  const bool bf16 = device.precision() == Precision::bf16;
  const int size = device.precision() == Precision::fp32 ? 4096 : 8192;
  const TensorDesc matrix = nhwc({1, 1, size, size}, bf16 ? DataType::bfloat16 : DataType::float32);
  const Array a(device, matrix, Numbers{}, 1, 1), b(device, matrix, Numbers{}, 2, 1), c(device, matrix, 1);
  const Gemm gemm = cublas_gemm();
  const DeviceMemory workspace(device, gemm.workspace_bytes);
  GemmSpec spec;
  spec.transpose_a = true;
  spec.m = spec.n = spec.k = spec.lda = spec.ldb = spec.ldc = size;
  spec.operands = spec.result = matrix.type;
  spec.precision = device.precision();
  const double seconds = least_seconds(
      device, [&](Stream stream) { gemm.run(spec, a.at(0), b.at(0), c.at(0), workspace.data(), stream); });
  return 2.0 * size * size * size / seconds;
}
#else
double cublas_rate(Device&) { return 0; }
#endif

ordered_json clocks(const Device& device) {
  ordered_json clocks;
  if (device.kind() == DeviceKind::cuda) {
    clocks["nvidia_smi"] = or_null(output_of(
        "nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit,"
        "temperature.gpu,persistence_mode --format=csv,noheader -i 0 2>/dev/null"));
    return clocks;
  }
  clocks["governor"] = or_null(first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  std::ifstream cpuinfo("/proc/cpuinfo");
  clocks["mhz"] = nullptr;
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("cpu MHz")) {
      clocks["mhz"] = std::atof(line.substr(line.find(':') + 1).c_str());
      break;
    }
  double load[3] = {};
  if (getloadavg(load, 3) == 3) clocks["load_average"] = load;
  return clocks;
}

}  // namespace

Ceilings measure_ceilings(Device& device) {
  Ceilings ceilings;
  const size_t copied = std::max<size_t>(size_t{64} << 20, 4 * last_level_cache_bytes(device));
  if (device.kind() == DeviceKind::cpu) {
    ceilings.bytes_per_s = host_memory_rate(copied);
    if (has_onednn()) ceilings.operations_per_s = spread(onednn_sgemm_rates()).largest;
  }
  if (device.kind() == DeviceKind::cuda) {
    ceilings.bytes_per_s = device_copy_rate(device, copied);
    ceilings.operations_per_s = cublas_rate(device);
  }
  return ceilings;
}

size_t last_level_cache_bytes(const Device& device) {
#ifdef SANDGLASS_CUDA
  int bytes = 0;
  if (device.kind() == DeviceKind::cuda && cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0) == cudaSuccess)
    return static_cast<size_t>(bytes);
#endif
  (void)device;
  // Not sysconf(): on a virtual machine it tells of the whole processor, of which this one has a part.
  constexpr size_t kUnknown = size_t{32} << 20;
  const std::string kibibytes = first_line("/sys/devices/system/cpu/cpu0/cache/index3/size");  // "32768K"
  const long found = std::atol(kibibytes.c_str());
  return found > 0 ? static_cast<size_t>(found) << 10 : kUnknown;
}

ordered_json describe_machine(const Device& device) {
  ordered_json machine;
  machine["date"] = date_and_time();
  machine["device"] = name_of(device.kind());
  machine["description"] = device.description();
  machine["threads"] = omp_get_max_threads();
  utsname system{};
  uname(&system);
  machine["system"] = fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  machine["version"] = kVersion;
  machine["commit"] = or_null(kCommit);
  machine["compiler"] = kCompiler;
  machine["build"] = kBuildType;
  machine["native"] = kNative;
  machine["onednn"] = or_null(onednn_version());
  machine["cudnn"] = or_null(cudnn_version_or_none());
  machine["cublas"] = or_null(cublas_version_or_none());
  machine["cuda_driver"] = machine["cuda_runtime"] = nullptr;
#ifdef SANDGLASS_CUDA
  int version = 0;
  const auto text = [&] { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); };
  if (cudaDriverGetVersion(&version) == cudaSuccess && version > 0) machine["cuda_driver"] = text();
  if (cudaRuntimeGetVersion(&version) == cudaSuccess) machine["cuda_runtime"] = text();
#endif
  machine["last_level_cache_bytes"] = last_level_cache_bytes(device);
  machine["clocks"] = clocks(device);
  return machine;
}

}  // namespace sandglass::bench
