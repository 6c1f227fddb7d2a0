#include "engine/simt_memory.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>

#include "engine/error.h"
#include "engine/guarded_memory.h"

namespace sandglass::simt {

std::string (*describe_running_thread)() = [] { return std::string(); };

namespace {

void on_fault(int, siginfo_t* info, void*);
struct sigaction action_before;

// All allocations of one kind, of all simt devices, as those of one GPU are known to all who use it.
class Allocations {
 public:
  Allocations(const char* kind, GuardedMemory::Place place) : kind_(kind), place_(place) {}

  ~Allocations() {
    const std::string left = in_use();
    if (!left.empty()) std::fprintf(stderr, "sandglass: simt device: never freed: %s\n", left.c_str());
  }

  void* add(size_t bytes) {
    if (place_ == GuardedMemory::Place::pages) check_room(bytes);
    auto memory = std::make_unique<GuardedMemory>(bytes, place_);
    uint8_t* const data = memory->data();
    const std::lock_guard lock(mutex_);
    if (place_ == GuardedMemory::Place::pages) memory->set_open(users_ > 0);
    all_[data] = {++count_, std::move(memory)};
    used_ += bytes;
    return data;
  }

  void remove(void* data) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(static_cast<uint8_t*>(data));
    if (found == all_.end()) {
      std::fprintf(stderr, "sandglass: simt device: free of %p, which is not allocated\n", data);
      std::abort();
    }
    const Allocation& allocation = found->second;
    if (place_ == GuardedMemory::Place::pages)
      freed_[allocation.memory->begin()] = {allocation.memory->end(), name(allocation)};
    used_ -= allocation.memory->bytes();
    all_.erase(found);
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (users_++ == 0) set_open(true);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--users_ == 0) set_open(false);
  }

  bool contains(const void* begin, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const Allocation* const allocation = find(begin);
    return allocation && is_within(*allocation, begin, bytes);
  }

  void check_range(const char* what, const void* begin, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const Allocation* const allocation = find(begin);
    check(allocation, "simt device: {} of {} bytes outside of all allocations", what, bytes);
    check(is_within(*allocation, begin, bytes), "simt device: {} of {} bytes at byte {} of {}", what, bytes,
          static_cast<const uint8_t*>(begin) - allocation->memory->data(), name(*allocation));
  }

  std::string find_damage() {
    const std::lock_guard lock(mutex_);
    for (auto& [data, allocation] : all_)
      if (const std::string damage = allocation.memory->repair(); !damage.empty())
        return fmt::format("{}: {}", name(allocation), damage);
    return "";
  }

  std::string in_use() {
    const std::lock_guard lock(mutex_);
    if (all_.empty()) return "";
    size_t bytes = 0;
    std::string names;
    for (const auto& [data, allocation] : all_) {
      bytes += allocation.memory->bytes();
      names += (names.empty() ? "" : ", ") + name(allocation);
    }
    return fmt::format("{} {}s, {} bytes: {}", all_.size(), kind_, bytes, names);
  }

  // "device memory: byte 16 of allocation 3 (40 bytes)"; empty if the address is none of the device's. For the handler
  // of faults, which must not wait.
  std::string describe(const void* address) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return "";
    const auto* const byte = static_cast<const uint8_t*>(address);
    const Allocation* const allocation = find(byte + GuardedMemory::kGuardBytes);  // before it counts, too
    if (allocation && byte >= allocation->memory->begin() && byte < allocation->memory->end())
      return fmt::format("device memory: byte {} of {}", byte - allocation->memory->data(), name(*allocation));
    const auto behind = freed_.upper_bound(byte);
    if (behind == freed_.begin() || byte >= std::prev(behind)->second.end) return "";
    const auto& [begin, freed] = *std::prev(behind);
    return fmt::format("freed device memory: byte {} of what was {}", byte - begin - GuardedMemory::kGuardBytes,
                       freed.name);
  }

 private:
  struct Allocation {
    size_t number = 0;  // counted from the program's start, from 1
    std::unique_ptr<GuardedMemory> memory;
  };
  struct Freed {
    const uint8_t* end;
    std::string name;
  };

  // Of device memory: what the environment variable SANDGLASS_SIMT_MEMORY says, in MiB; else as much as the host has.
  void check_room(size_t bytes) {
    const char* const text = std::getenv("SANDGLASS_SIMT_MEMORY");
    if (!text) return;
    char* end = nullptr;
    const size_t size = std::strtoull(text, &end, 10) << 20;
    check(size > 0 && *end == '\0', "SANDGLASS_SIMT_MEMORY is '{}': give the simulated GPU's memory in MiB", text);
    const std::lock_guard lock(mutex_);
    const size_t available = size > used_ ? size - used_ : 0;
    if (bytes > available)
      throw OutOfMemory(fmt::format("the simt device could not allocate {} MiB of memory: {} of its {} MiB are free",
                                    bytes >> 20, available >> 20, size >> 20),
                        available);
  }

  std::string name(const Allocation& allocation) const {
    return fmt::format("{} {} ({} bytes)", kind_, allocation.number, allocation.memory->bytes());
  }
  // The last one that begins at or before the address.
  const Allocation* find(const void* address) const {
    const auto behind = all_.upper_bound(static_cast<const uint8_t*>(address));
    return behind == all_.begin() ? nullptr : &std::prev(behind)->second;
  }
  static bool is_within(const Allocation& allocation, const void* begin, size_t bytes) {
    const auto offset = static_cast<size_t>(static_cast<const uint8_t*>(begin) - allocation.memory->data());
    return offset <= allocation.memory->bytes() && bytes <= allocation.memory->bytes() - offset;
  }
  void set_open(bool open) {
    for (auto& [data, allocation] : all_) allocation.memory->set_open(open);
  }

  const char* const kind_;
  const GuardedMemory::Place place_;
  std::mutex mutex_;
  std::map<const uint8_t*, Allocation> all_;
  std::map<const uint8_t*, Freed> freed_;  // by its begin; its addresses are never used again
  size_t used_ = 0;                        // bytes of all
  size_t count_ = 0;
  int users_ = 0;  // MemoryAccess objects
};

Allocations& device_memory() {
  static Allocations all("allocation", GuardedMemory::Place::pages);
  [[maybe_unused]] static const bool watched = [] {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &action_before);
    return true;
  }();
  return all;
}

Allocations& pinned_memory() {
  static Allocations all("pinned allocation", GuardedMemory::Place::heap);
  return all;
}

// Says whose fault it was, then lets the fault happen again with the action that was there before: the program ends.
void on_fault(int, siginfo_t* info, void*) {
  const std::string thread = describe_running_thread(), what = device_memory().describe(info->si_addr);
  if (!what.empty())
    std::fprintf(stderr, "sandglass: simt: %s accessed %s\n", thread.empty() ? "the host" : thread.c_str(),
                 what.c_str());
  else if (!thread.empty())
    std::fprintf(stderr, "sandglass: simt: %s accessed %p, which is no memory\n", thread.c_str(), info->si_addr);
  sigaction(SIGSEGV, &action_before, nullptr);
}

}  // namespace

// UndefinedBehaviorSanitizer calls this before each of its reports.
extern "C" [[gnu::visibility("default")]] void __ubsan_on_report() {
  if (const std::string thread = describe_running_thread(); !thread.empty())
    std::fprintf(stderr, "sandglass: simt: %s:\n", thread.c_str());
}

void* allocate_memory(size_t bytes) { return device_memory().add(bytes); }
void free_memory(void* memory) noexcept { device_memory().remove(memory); }
void check_memory(const char* what, const void* begin, size_t bytes) {
  device_memory().check_range(what, begin, bytes);
}

MemoryAccess::MemoryAccess() { device_memory().open(); }
MemoryAccess::~MemoryAccess() { device_memory().close(); }

void* allocate_pinned_memory(size_t bytes) { return pinned_memory().add(bytes); }
void free_pinned_memory(void* memory) noexcept { pinned_memory().remove(memory); }
bool is_pinned(const void* begin, size_t bytes) { return pinned_memory().contains(begin, bytes); }

std::string find_memory_damage() { return device_memory().find_damage(); }

std::string memory_in_use() {
  const std::string device = device_memory().in_use(), pinned = pinned_memory().in_use();
  return device.empty() ? pinned : pinned.empty() ? device : device + "; " + pinned;
}

}  // namespace sandglass::simt
