// Host memory between two guard zones: how the simt device notices accesses outside of its buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sandglass {

/// `bytes` of memory aligned to 256 bytes, as cudaMalloc's is, with a guard zone directly before and behind it. Its
/// content is NaN (all bytes 0xff) at first. Under AddressSanitizer every access to a guard zone is reported at once;
/// otherwise repair() finds writes into it afterwards.
class GuardedMemory {
 public:
  static constexpr size_t kGuardBytes = 256;

  /// heap: from the C library. pages: pages of its own, which can be closed, and which no other memory gets when it is
  /// freed: a later access is a fault.
  enum class Place { heap, pages };
  /// Throws Error if there is not so much memory.
  explicit GuardedMemory(size_t bytes, Place place = Place::heap);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  uint8_t* data() const { return block_ + kGuardBytes; }
  size_t bytes() const { return bytes_; }
  /// Where an access counts as one to this memory: its guard zones, and the rest of its pages.
  const uint8_t* begin() const { return block_; }
  const uint8_t* end() const { return block_ + block_bytes_; }
  /// Sets all bytes to 0xff.
  void clear();
  /// Memory in pages: whether it can be accessed; if not, an access is a fault (SIGSEGV).
  void set_open(bool open);
  /// What was written where it should not be, for people: "3 bytes behind it, the first 8 bytes from its end"; empty if
  /// nothing was. The guard zones are whole again afterwards.
  std::string repair();

 private:
  uint8_t* block_ = nullptr;
  size_t bytes_;
  size_t block_bytes_ = 0;
  const Place place_;
};

}  // namespace sandglass
