#include "engine/guarded_memory.h"

#include <sys/mman.h>

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
constexpr size_t kPage = 4096;

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, Place place) : bytes_(bytes), place_(place) {
  constexpr size_t kMost = SIZE_MAX / 2;
  if (bytes < kMost && place == Place::heap) {
    block_bytes_ = (bytes + 3 * kGuardBytes - 1) / kGuardBytes * kGuardBytes;
    block_ = static_cast<uint8_t*>(std::aligned_alloc(kGuardBytes, block_bytes_));
  } else if (bytes < kMost) {
    // The last page is never open, so that blocks do not touch.
    block_bytes_ = (bytes + 2 * kGuardBytes + kPage - 1) / kPage * kPage + kPage;
    void* const pages = mmap(nullptr, block_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages != MAP_FAILED) block_ = static_cast<uint8_t*>(pages);
    if (block_) set_open(true);
  }
  check(block_, "the simt device could not allocate {} MiB of memory", bytes >> 20);
  std::memset(block_, kGuardByte, bytes + 2 * kGuardBytes);
  ASAN_POISON_MEMORY_REGION(block_, kGuardBytes);
  ASAN_POISON_MEMORY_REGION(data() + bytes_, kGuardBytes);
}

GuardedMemory::~GuardedMemory() {
  if (place_ == Place::heap) {
    ASAN_UNPOISON_MEMORY_REGION(block_, bytes_ + 2 * kGuardBytes);
    std::free(block_);
    return;
  }
  // Gives the memory back, but not its addresses.
  ASAN_POISON_MEMORY_REGION(block_, bytes_ + 2 * kGuardBytes);
  mmap(block_, block_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void GuardedMemory::set_open(bool open) {
  mprotect(block_, block_bytes_ - kPage, open ? PROT_READ | PROT_WRITE : PROT_NONE);
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
