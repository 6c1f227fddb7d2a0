#include "engine/guarded_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#endif

namespace sandglass {
namespace {

constexpr uint8_t kGuardByte = 0xff;  // floats in the guard zones read as NaN

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes) : block_(nullptr), bytes_(bytes) {
  constexpr size_t kMost = SIZE_MAX / 2;
  if (bytes < kMost) {
    const size_t rounded = (bytes + 3 * kGuardBytes - 1) / kGuardBytes * kGuardBytes;
    block_ = static_cast<uint8_t*>(std::aligned_alloc(kGuardBytes, rounded));
  }
  check(block_, "the simt device could not allocate {} MiB of memory", bytes >> 20);
  std::memset(block_, kGuardByte, bytes + 2 * kGuardBytes);
  ASAN_POISON_MEMORY_REGION(block_, kGuardBytes);
  ASAN_POISON_MEMORY_REGION(data() + bytes_, kGuardBytes);
}

GuardedMemory::~GuardedMemory() {
  ASAN_UNPOISON_MEMORY_REGION(block_, bytes_ + 2 * kGuardBytes);
  std::memset(data(), kGuardByte, bytes_);  // so that a use after it is freed reads NaN where no sanitizer reports it
  std::free(block_);
}

void GuardedMemory::clear() { std::memset(data(), kGuardByte, bytes_); }

std::string GuardedMemory::repair() {
#if !defined(__SANITIZE_ADDRESS__)
  uint8_t* const begin = data();
  uint8_t* const end = begin + bytes_;
  const auto is_damaged = [](uint8_t byte) { return byte != kGuardByte; };
  const auto before = std::count_if(block_, begin, is_damaged);
  const auto behind = std::count_if(end, end + kGuardBytes, is_damaged);
  if (before) {
    uint8_t* last = begin - 1;
    while (!is_damaged(*last)) --last;
    std::memset(block_, kGuardByte, kGuardBytes);
    return fmt::format("{} bytes before it, the last {} bytes from its begin", before, begin - last);
  }
  if (behind) {
    const auto first = std::find_if(end, end + kGuardBytes, is_damaged) - end;
    std::memset(end, kGuardByte, kGuardBytes);
    return fmt::format("{} bytes behind it, the first {} bytes from its end", behind, first);
  }
#endif
  return "";
}

}  // namespace sandglass
