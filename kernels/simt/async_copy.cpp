#include "kernels/simt/async_copy.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/error.h"
#include "kernels/simt/block.h"

namespace sandglass::simt {
namespace {

CopyTime& current_time() {
  static CopyTime time = [] {
    const char* text = std::getenv("SANDGLASS_SIMT_CP_ASYNC");
    return text ? parse_copy_time(text) : CopyTime::late;
  }();
  return time;
}

constexpr int kNanByte = 0xff;

}  // namespace

CopyTime copy_time() { return current_time(); }
void set_copy_time(CopyTime time) { current_time() = time; }

CopyTime parse_copy_time(std::string_view text) {
  if (text == "early") return CopyTime::early;
  if (text == "late") return CopyTime::late;
  fail("SANDGLASS_SIMT_CP_ASYNC is '{}': choose early or late", text);
}

void AsyncCopies::start(void* shared, const void* global, int bytes, int source_bytes) {
  const auto check_address = [&](const char* what, const void* address) {
    check(reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) == 0,
          "cp.async of {} bytes: the {} address {} is not a multiple of {}", bytes, what, address, bytes);
  };
  check_address("shared", shared);
  check_address("global", global);
  const Copy copy{shared, global, bytes, source_bytes, groups_};
  if (copy_time() == CopyTime::early) return run(copy);
  std::memset(shared, kNanByte, static_cast<size_t>(bytes));
  waiting_.push_back(copy);
}

void AsyncCopies::wait(int newest) {
  while (!waiting_.empty() && waiting_.front().group < groups_ - newest) {
    run(waiting_.front());
    waiting_.pop_front();
  }
}

void AsyncCopies::clear() {
  waiting_.clear();
  groups_ = 0;
}

void AsyncCopies::run(const Copy& copy) {
  std::memcpy(copy.shared, copy.global, static_cast<size_t>(copy.source_bytes));
  std::memset(static_cast<char*>(copy.shared) + copy.source_bytes, 0,
              static_cast<size_t>(copy.bytes - copy.source_bytes));
}

AsyncCopies& async_copies() { return Block::running()->copies(); }

}  // namespace sandglass::simt
