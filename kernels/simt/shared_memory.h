// Shared memory of the emulated block: exact bounds, guard zones, NaN at the start of each block.
#pragma once

#include <deque>
#include <string>

#include "engine/guarded_memory.h"

namespace sandglass::simt {

class SharedMemory {
 public:
  explicit SharedMemory(size_t dynamic_bytes) : dynamic_(dynamic_bytes) {}

  /// The array that the declaration with this tag (an address of its own) stands for. Throws Error without kernel and
  /// thread if all of them together are over the limit.
  void* array(const void* tag, const char* name, size_t bytes);
  void* dynamic() { return dynamic_.data(); }
  /// For the next block: everything is NaN again.
  void clear();
  /// What was written outside of the arrays: "shared array 'tile' (1024 bytes): 4 bytes behind it, ..."; empty if
  /// nothing.
  std::string find_damage();

 private:
  struct Array {
    Array(const void* tag, const char* name, size_t bytes) : tag(tag), name(name), memory(bytes) {}
    const void* tag;
    const char* name;
    GuardedMemory memory;
  };
  std::deque<Array> arrays_;
  GuardedMemory dynamic_;
  size_t static_bytes_ = 0;
};

/// Of the running block.
void* shared_array(const void* tag, const char* name, size_t bytes);
void* dynamic_shared_memory();

}  // namespace sandglass::simt
