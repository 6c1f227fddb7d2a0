// The work of the simt device: queued, and done as late as CUDA's rules allow, so that what a program forgets to wait
// for is not there yet.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "engine/device.h"

namespace sandglass::simt {

struct HostRange {
  const void* begin = nullptr;
  size_t bytes = 0;
};

/// A kernel launch, a copy or a fill.
struct Work {
  std::string name;           ///< for reports: "kernel 'peak'"
  std::function<void()> run;  ///< holds copies of all arguments
  HostRange reads, writes;    ///< of the host's memory
};

/// Queues work behind what is queued on the stream. It runs when the host waits for it, or for something else in an
/// order that thread_order() chooses; until then the host memory that it writes holds NaN (all bytes 0xff), unless
/// earlier work still has to read it. While this thread captures, the work goes into the graph. Throws Error if the
/// stream is destroyed, or not one of those that are captured.
void enqueue(Stream stream, Work work);

Stream create_stream();
void destroy_stream(Stream stream) noexcept;
/// Runs what is queued on the stream and what it depends on. Throws what work threw that has not been reported; all
/// other work that was queued at that time is dropped, as CUDA does no more work then.
void synchronize(Stream stream);
/// Runs all work of all streams; what it throws is left to the next synchronize.
void finish_all_work() noexcept;

std::unique_ptr<Event> create_event();
/// As Device::capture.
std::unique_ptr<Graph> capture(const std::function<void(Stream)>& work);
bool is_capturing();
/// Throws Error while this thread captures, when the call would have to wait or to change memory.
void check_not_capturing(const char* call);
/// For calls that cannot throw: capture() throws it instead.
void note_call_in_capture(const char* call) noexcept;

}  // namespace sandglass::simt
