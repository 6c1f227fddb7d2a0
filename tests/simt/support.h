// Tests in every thread order of the emulator.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/simt/thread_order.h"

namespace sandglass::test {

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
