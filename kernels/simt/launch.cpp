#include "kernels/simt/launch.h"

#include <utility>

#include "engine/error.h"
#include "engine/simt_memory.h"
#include "engine/simt_queue.h"
#include "kernels/simt/block.h"

namespace sandglass::simt {
namespace {

[[maybe_unused]] const bool describes_running_thread = [] {
  describe_running_thread = [] { return Block::running() ? Block::running()->where() : ""; };
  return true;
}();

void check_limits(const Launch& launch) {
  const dim3 &grid = launch.grid, &block = launch.block;
  const auto check_size = [&](const char* what, char axis, unsigned size, unsigned most) {
    check(size >= 1 && size <= most, "kernel '{}': {}.{} is {}, it must be 1 to {}", launch.kernel, what, axis, size,
          most);
  };
  check_size("grid", 'x', grid.x, 0x7fffffff);
  check_size("grid", 'y', grid.y, 65535);
  check_size("grid", 'z', grid.z, 65535);
  check_size("block", 'x', block.x, kMaxThreads);
  check_size("block", 'y', block.y, kMaxThreads);
  check_size("block", 'z', block.z, 64);
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  check(threads <= kMaxThreads, "kernel '{}': a block of {} x {} x {} has {} threads, at most {} are possible",
        launch.kernel, block.x, block.y, block.z, threads, kMaxThreads);
  const size_t most = max_shared_bytes(launch.architecture);
  check(launch.shared_bytes <= most, "kernel '{}': {} bytes of dynamic shared memory, at most {} are possible on {}",
        launch.kernel, launch.shared_bytes, most, launch.architecture == Architecture::sm_90 ? "sm_90" : "sm_80");
}

void run(const Launch& launch, const std::function<void()>& thread) {
  Block block(launch, thread);
  for (unsigned z = 0; z < launch.grid.z; ++z)
    for (unsigned y = 0; y < launch.grid.y; ++y)
      for (unsigned x = 0; x < launch.grid.x; ++x) block.run({x, y, z});
  const std::string damage = find_memory_damage();
  check(damage.empty(), "kernel '{}': wrote outside of device memory, {}; AddressSanitizer names block and thread",
        launch.kernel, damage);
}

}  // namespace

void launch(const Launch& launch, Stream stream, std::function<void()> thread) {
  check_limits(launch);
  check(!Block::running(), "kernel '{}': launched by a kernel", launch.kernel);
  const auto work = [launch, thread = std::move(thread)] { run(launch, thread); };
  enqueue(stream, {fmt::format("kernel '{}'", launch.kernel), work, {}, {}});
}

}  // namespace sandglass::simt
