#include "kernels/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>

#include "engine/error.h"

#ifndef __x86_64__
#error \
    "the simt device switches between CUDA threads by x86-64 assembly; build with SANDGLASS_SIMT=OFF on this processor"
#endif

// ThreadSanitizer's header declares what the macros below replace: it comes first.
#ifdef SANDGLASS_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_create_fiber(flags) nullptr
#define __tsan_destroy_fiber(fiber)
#define __tsan_set_fiber_name(fiber, name)
#define __tsan_get_current_fiber() nullptr
#define __tsan_switch_to_fiber(fiber, flags)
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(fake_stack, stack, bytes)
#define __sanitizer_finish_switch_fiber(fake_stack, stack, bytes)
#define __asan_unpoison_memory_region(address, bytes)
#endif

// void sandglass_switch_stack(void** save, void* stack_pointer): pushes the registers that a function must preserve,
// stores the stack pointer in *save, and goes on where the other stack did the same.
asm(R"(
.text
.globl sandglass_switch_stack
.hidden sandglass_switch_stack
.type sandglass_switch_stack, @function
sandglass_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sandglass_switch_stack, .-sandglass_switch_stack
)");
extern "C" void sandglass_switch_stack(void** save, void* stack_pointer);

namespace sandglass::simt {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kStackBytes = 128 * 1024;  // AddressSanitizer's frames and a formatted error message fit
constexpr int kSavedRegisters = 6;
[[maybe_unused]] constexpr unsigned kNoOrder = 1;  // ThreadSanitizer: what happened before a switch stays unordered

thread_local Fiber* started = nullptr;

}  // namespace

Fiber::Fiber(Entry entry, [[maybe_unused]] const char* name) : entry_(entry) {
  void* const memory =
      mmap(nullptr, kPage + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(memory != MAP_FAILED, "the simt device could not allocate {} KiB for the stack of a CUDA thread",
        kStackBytes >> 10);
  mprotect(memory, kPage, PROT_NONE);
  stack_ = static_cast<std::byte*>(memory) + kPage;
  // As if start() had been interrupted before its first instruction: registers, then where to go on. A function begins
  // with its stack pointer 8 bytes off a multiple of 16.
  auto* top = reinterpret_cast<void**>(stack_ + kStackBytes) - 1;
  *--top = reinterpret_cast<void*>(&Fiber::start);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  stack_pointer_ = top;
  tsan_fiber_ = __tsan_create_fiber(0);
  __tsan_set_fiber_name(tsan_fiber_, name);
}

Fiber::~Fiber() {
  __tsan_destroy_fiber(tsan_fiber_);
  __asan_unpoison_memory_region(stack_, kStackBytes);
  munmap(stack_ - kPage, kPage + kStackBytes);
}

void Fiber::start() {
  Fiber& self = *started;
  __sanitizer_finish_switch_fiber(nullptr, &self.resumer_stack_, &self.resumer_stack_bytes_);
  self.entry_();
}

void Fiber::resume() {
  [[maybe_unused]] void* fake_stack = nullptr;
  started = this;
  resumer_tsan_fiber_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(tsan_fiber_, kNoOrder);
  __sanitizer_start_switch_fiber(&fake_stack, stack_, kStackBytes);
  sandglass_switch_stack(&resumer_stack_pointer_, stack_pointer_);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}

void Fiber::suspend() {
  [[maybe_unused]] void* fake_stack = nullptr;
  __tsan_switch_to_fiber(resumer_tsan_fiber_, kNoOrder);
  __sanitizer_start_switch_fiber(&fake_stack, resumer_stack_, resumer_stack_bytes_);
  sandglass_switch_stack(&stack_pointer_, resumer_stack_pointer_);
  __sanitizer_finish_switch_fiber(fake_stack, &resumer_stack_, &resumer_stack_bytes_);
}

}  // namespace sandglass::simt
