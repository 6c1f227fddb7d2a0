#include "engine/simt_order.h"

#include <charconv>
#include <cstdlib>

#include "engine/error.h"

namespace sandglass::simt {
namespace {

ThreadOrder& current_order() {
  static ThreadOrder order = [] {
    const char* text = std::getenv("SANDGLASS_SIMT_ORDER");
    return text ? parse_thread_order(text) : ThreadOrder{};
  }();
  return order;
}

}  // namespace

ThreadOrder thread_order() { return current_order(); }
void set_thread_order(ThreadOrder order) { current_order() = order; }

ThreadOrder parse_thread_order(std::string_view text) {
  if (text == "forward") return {Order::forward};
  if (text == "reverse") return {Order::reverse};
  if (text == "random") return {Order::random, 0};
  constexpr std::string_view kRandom = "random:";
  if (text.starts_with(kRandom)) {
    const char* const end = text.data() + text.size();
    uint64_t seed = 0;
    const auto [rest, error] = std::from_chars(text.data() + kRandom.size(), end, seed);
    if (error == std::errc() && rest == end) return {Order::random, seed};
  }
  fail("SANDGLASS_SIMT_ORDER is '{}': choose forward, reverse, random or random:SEED", text);
}

}  // namespace sandglass::simt
