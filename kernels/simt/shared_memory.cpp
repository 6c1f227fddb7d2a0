#include "kernels/simt/shared_memory.h"

#include "engine/error.h"
#include "kernels/simt/block.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/thread_sanitizer.h"

namespace sandglass::simt {

void* SharedMemory::array(const void* tag, const char* name, size_t bytes) {
  for (Array& array : arrays_)
    if (array.tag == tag) return array.memory.data();
  static_bytes_ += bytes;
  check(static_bytes_ <= kMaxStaticShared, "'{}' makes it {} bytes of static shared memory, at most {} are possible",
        name, static_bytes_, kMaxStaticShared);
  check(static_bytes_ + dynamic_.bytes() <= most_,
        "'{}' makes it {} bytes of static and dynamic shared memory, at most {} are possible", name,
        static_bytes_ + dynamic_.bytes(), most_);
  return arrays_.emplace_back(tag, name, bytes).memory.data();
}

uint32_t SharedMemory::address(const void* memory) const {
  const auto* const bytes = static_cast<const uint8_t*>(memory);
  check(bytes >= dynamic_.data() && bytes < dynamic_.data() + dynamic_.bytes(),
        "the address of something that is not in dynamic shared memory ({} bytes)", dynamic_.bytes());
  return kDynamicAddress + static_cast<uint32_t>(bytes - dynamic_.data());
}

void* SharedMemory::at(uint32_t address, size_t bytes) const {
  if (address < kDynamicAddress || address - kDynamicAddress + bytes > dynamic_.bytes())
    fail("{} bytes at the shared address {:#x} are not in dynamic shared memory, {:#x} to {:#x}", bytes, address,
         kDynamicAddress, kDynamicAddress + dynamic_.bytes());
  return dynamic_.data() + (address - kDynamicAddress);
}

void SharedMemory::clear() {
  for (Array& array : arrays_) array.memory.clear();
  dynamic_.clear();
}

std::string SharedMemory::find_damage() {
  const auto report = [](const std::string& name, GuardedMemory& memory) {
    const std::string damage = memory.repair();
    return damage.empty() ? damage : fmt::format("{} ({} bytes): {}", name, memory.bytes(), damage);
  };
  for (Array& array : arrays_)
    if (std::string damage = report(fmt::format("shared array '{}'", array.name), array.memory); !damage.empty())
      return damage;
  return report("dynamic shared memory", dynamic_);
}

void* shared_array(const void* tag, const char* name, size_t bytes) {
  const Unwatched unwatched;  // the first thread that comes here makes it
  return Block::running()->shared_memory().array(tag, name, bytes);
}

void* dynamic_shared_memory() { return Block::running()->shared_memory().dynamic(); }

}  // namespace sandglass::simt
