// Tests in every thread order of the emulator.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/simt_order.h"
#include "engine/simt_queue.h"
#include "kernels/cuda/launch.h"

namespace sandglass::test {

/// Launches on the null stream and waits for the kernel.
template <typename... Parameters, typename... Arguments>
void run(const Kernel<Parameters...>& kernel, dim3 grid, dim3 block, size_t shared_bytes, Arguments... arguments) {
  launch(kernel, grid, block, shared_bytes, {}, arguments...);
  simt::synchronize({});
}

inline void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

/// Fixture that sets the order for its test.
class InThreadOrder : public testing::TestWithParam<simt::ThreadOrder> {
 protected:
  void SetUp() override { simt::set_thread_order(GetParam()); }
  void TearDown() override { simt::set_thread_order({}); }
};

inline auto all_thread_orders() {
  using simt::Order, simt::ThreadOrder;
  return testing::Values(ThreadOrder{Order::forward}, ThreadOrder{Order::reverse}, ThreadOrder{Order::random, 1},
                         ThreadOrder{Order::random, 2}, ThreadOrder{Order::random, 3});
}

inline std::string thread_order_name(const testing::TestParamInfo<simt::ThreadOrder>& info) {
  const simt::ThreadOrder& order = info.param;
  if (order.order == simt::Order::random) return "random_" + std::to_string(order.seed);
  return order.order == simt::Order::forward ? "forward" : "reverse";
}

}  // namespace sandglass::test
