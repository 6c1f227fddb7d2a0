// In which order the simt device runs CUDA threads, and the work of different streams. Correct programs give the same
// bits in every order.
#pragma once

#include <cstdint>
#include <string_view>

namespace sandglass::simt {

/// Threads: forward: by index; reverse: against it; random: a new random choice at every switch.
/// Streams: forward: only what the host waits for; reverse: what was queued last first; random: a new choice each time.
enum class Order { forward, reverse, random };

struct ThreadOrder {
  Order order = Order::forward;
  uint64_t seed = 0;  ///< for Order::random
};

/// The order of the work that follows. At first that of the environment variable SANDGLASS_SIMT_ORDER, or forward.
ThreadOrder thread_order();
void set_thread_order(ThreadOrder order);

/// "forward", "reverse", "random" (seed 0) or "random:17". Throws Error for anything else.
ThreadOrder parse_thread_order(std::string_view text);

}  // namespace sandglass::simt
