// What ThreadSanitizer must know of the emulator, so that it takes each CUDA thread for a thread, and barriers for the
// only order between them. Nothing in other builds.
//
// The emulator's own files are not instrumented; what they do to memory counts only through functions of the C library
// that ThreadSanitizer watches, and within Watched.
#pragma once

#ifdef SANDGLASS_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace sandglass::simt {

#ifdef SANDGLASS_THREAD_SANITIZER

constexpr bool kDetectsRaces = true;

/// What a thread did before it released an object happened before what another does after it acquired it.
inline void release(const void* object) { __tsan_release(const_cast<void*>(object)); }
inline void acquire(const void* object) { __tsan_acquire(const_cast<void*>(object)); }

/// The emulator's bookkeeping, as long as one of these exists: accesses and memory that one CUDA thread allocates and
/// another frees do not count.
class Unwatched {
 public:
  Unwatched() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~Unwatched() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};
/// The kernel's work within it.
class Watched {
 public:
  Watched() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
  ~Watched() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
};

#else

constexpr bool kDetectsRaces = false;
inline void release(const void*) {}
inline void acquire(const void*) {}
struct Unwatched {
  ~Unwatched() {}
};
struct Watched {
  ~Watched() {}
};

#endif

}  // namespace sandglass::simt
