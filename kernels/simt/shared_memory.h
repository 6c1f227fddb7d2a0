// Shared memory of the emulated block: exact bounds, guard zones, NaN at the start of each block.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "engine/guarded_memory.h"

namespace sandglass::simt {

class SharedMemory {
 public:
  /// `most`: what static and dynamic memory together may have.
  SharedMemory(size_t dynamic_bytes, size_t most) : dynamic_(dynamic_bytes), most_(most) {}

  /// The array that the declaration with this tag (an address of its own) stands for. Throws Error without kernel and
  /// thread if all of them together are over the limit.
  void* array(const void* tag, const char* name, size_t bytes);
  void* dynamic() { return dynamic_.data(); }
  /// Addresses in shared memory, for matrix descriptors. As on the GPU, dynamic memory begins at a multiple of 16 that
  /// is no more than that. Throw Error for memory that is not dynamic shared memory.
  uint32_t address(const void* memory) const;
  void* at(uint32_t address, size_t bytes) const;
  /// For the next block: everything is NaN again.
  void clear();
  /// What was written outside of the arrays: "shared array 'tile' (1024 bytes): 4 bytes behind it, ..."; empty if
  /// nothing.
  std::string find_damage();

 private:
  static constexpr uint32_t kDynamicAddress = 1024 + 16;

  struct Array {
    Array(const void* tag, const char* name, size_t bytes) : tag(tag), name(name), memory(bytes) {}
    const void* tag;
    const char* name;
    GuardedMemory memory;
  };
  std::deque<Array> arrays_;
  GuardedMemory dynamic_;
  size_t static_bytes_ = 0;
  const size_t most_;
};

/// Of the running block.
void* shared_array(const void* tag, const char* name, size_t bytes);
void* dynamic_shared_memory();

}  // namespace sandglass::simt
