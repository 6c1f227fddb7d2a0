// Memory of the simt device: host memory that only the device's work may touch, between guard zones.
#pragma once

#include <cstddef>
#include <string>

namespace sandglass::simt {

/// Device memory. The host cannot access it: a line on stderr names the allocation, and the program ends (SIGSEGV). The
/// same happens to a kernel that accesses freed memory.
void* allocate_memory(size_t bytes);
/// Ends the program if `memory` is not allocated.
void free_memory(void* memory) noexcept;
/// Throws Error unless the bytes lie within one allocation, as CUDA demands of copies and fills.
void check_memory(const char* what, const void* begin, size_t bytes);

/// Device memory is accessible as long as one of these exists.
class MemoryAccess {
 public:
  MemoryAccess();
  ~MemoryAccess();
  MemoryAccess(const MemoryAccess&) = delete;
  MemoryAccess& operator=(const MemoryAccess&) = delete;
};

/// Pinned memory, which is the host's.
void* allocate_pinned_memory(size_t bytes);
void free_pinned_memory(void* memory) noexcept;
bool is_pinned(const void* begin, size_t bytes);

/// What was written outside of the allocations since the last call, for people: "allocation 3 (1024 bytes): 4 bytes
/// behind it, ..."; empty if nothing was. The emulator asks after each kernel, while memory is accessible.
std::string find_memory_damage();

/// The allocations that are not freed yet, for people: "2 allocations, 1536 bytes: allocation 3 (1024 bytes), ...";
/// empty if there are none. Printed to stderr at the program's end.
std::string memory_in_use();

/// Set by the emulator: the kernel, block and thread that runs on this thread of the program, for reports; empty if
/// none does.
extern std::string (*describe_running_thread)();

}  // namespace sandglass::simt
