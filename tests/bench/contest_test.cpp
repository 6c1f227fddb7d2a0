// That the benchmark's check of results passes right ones and notices wrong ones, for every operation.
#include "bench/kernels/contest.h"

#include <gtest/gtest.h>

#include "bench/kernels/peers/onednn.h"
#include "kernels/conv/conv_library.h"

namespace sandglass::bench {
namespace {

std::vector<Line> small_lines() {
  std::vector<Line> lines = read_lines("bench/shapes/hourglass.txt"), all;
  add_plain_convolutions(lines);
  for (const Line& line : lines) {
    const Line one = small(line);
    if (std::none_of(all.begin(), all.end(), [&](const Line& l) { return l.text() == one.text(); })) all.push_back(one);
  }
  return all;
}

class EveryOperation : public testing::TestWithParam<DeviceKind> {};

TEST_P(EveryOperation, of_the_network_has_right_results_by_all_libraries) {
  const auto device = open_device(GetParam());
  for (const Line& line : small_lines()) {
    ASSERT_TRUE(operations().contains(line.operation)) << line.text() << " is not measured";
    const Task task = operations().at(line.operation)(*device, line, 2);
    for (const auto& [library, left_out] : task.libraries) {
      if (library == "onednn" && line.operation == "residual_forward") continue;  // a reference one for small maps
      if (library == kSandglass && line.operation.starts_with("conv_") && !has_onednn() &&
          GetParam() == DeviceKind::cpu)
        continue;
      EXPECT_EQ(task.make({library}, 2).front()->wrong(), "") << task.text << " by " << library;
    }
  }
}

// As if an operation had done nothing: what it should have written holds NaN, or its first content.
TEST_P(EveryOperation, is_noticed_that_does_nothing) {
  const auto device = open_device(GetParam());
  for (const Line& line : small_lines()) {
    const Task task = operations().at(line.operation)(*device, line, 1);
    if (line.operation.starts_with("conv_") && !has_onednn() && GetParam() == DeviceKind::cpu) continue;
    EXPECT_NE(task.make_idle()->wrong(), "") << task.text;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, EveryOperation, testing::ValuesIn(available_devices()),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(LeftOut, names_the_options) {
  EXPECT_EQ(left_out("conv_forward/n1/transform/statistics/bias", "conv_forward/n1/bias"),
            "without transform, statistics");
  EXPECT_EQ(left_out("peak/1x8x8x5", "peak/1x8x8x5"), "");
}

TEST(Sample, has_first_and_last) {
  EXPECT_EQ(some(3, 4), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(some(100, 4), (std::vector<int>{0, 33, 66, 99}));
}

// What is read back is what was written, in any layout, and a reset undoes a change.
TEST(Array, keeps_its_numbers) {
  const auto device = open_device(DeviceKind::cpu);
  for (const int block : {1, 5, 8}) {
    Array array(*device, {{2, 3, 4, 5}, DataType::float32, block}, {-1, 1, 0.25}, 1, 3);
    const Sample sample{{1}, {0, 3}};
    const Values numbers = array.initial(sample);
    ASSERT_EQ(numbers.size(), size_t{3 * 4 * 2});
    EXPECT_EQ(array.current(sample), numbers);
    array.as<float>(0)[array.desc().index(1, 2, 3, 3)] = 9;
    EXPECT_EQ(array.current(sample).back(), 9);
    array.reset();
    EXPECT_EQ(array.current(sample), numbers);
    EXPECT_EQ(array.as<float>(2)[array.desc().index(1, 2, 3, 3)], numbers.back());
  }
}

}  // namespace
}  // namespace sandglass::bench
