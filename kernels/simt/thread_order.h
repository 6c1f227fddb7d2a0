// In which order the emulator runs CUDA threads. A correct kernel gives the same bits in every order.
#pragma once

#include <cstdint>
#include <string_view>

namespace sandglass::simt {

/// forward: by thread index; reverse: against it; random: a new random choice at every switch.
enum class Order { forward, reverse, random };

struct ThreadOrder {
  Order order = Order::forward;
  uint64_t seed = 0;  ///< for Order::random
};

/// The order of the launches that follow. At first that of the environment variable SANDGLASS_SIMT_ORDER, or forward.
ThreadOrder thread_order();
void set_thread_order(ThreadOrder order);

/// "forward", "reverse", "random" (seed 0) or "random:17". Throws Error for anything else.
ThreadOrder parse_thread_order(std::string_view text);

}  // namespace sandglass::simt
