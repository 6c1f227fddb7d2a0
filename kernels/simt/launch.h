// Launching a kernel on the emulator.
#pragma once

#include <cstddef>
#include <functional>

#include "engine/device.h"
#include "kernels/simt/architecture.h"
#include "kernels/simt/vector_types.h"

namespace sandglass::simt {

/// What a block may have at most.
constexpr unsigned kMaxThreads = 1024;
constexpr size_t kMaxStaticShared = 48 * 1024;
/// Static and dynamic shared memory together.
constexpr size_t max_shared_bytes(Architecture architecture) {
  return (architecture == Architecture::sm_90 ? 227 : 163) * 1024;
}

struct Launch {
  const char* kernel = nullptr;  ///< its name, for reports
  dim3 grid, block;
  size_t shared_bytes = 0;  ///< dynamic shared memory
  Architecture architecture = simt::architecture();
};

/// Queues a launch on the stream: all threads of all blocks, block after block; `thread` calls the kernel. Throws Error
/// that names the kernel if the launch is over the limits. What the kernel does wrong, the next synchronize throws: an
/// Error that names kernel, block and thread if it breaks a rule of CUDA that the emulator watches, or wrote outside of
/// device memory.
void launch(const Launch& launch, Stream stream, std::function<void()> thread);

}  // namespace sandglass::simt
