// Quartiles, and who is timed when.
#include "bench/kernels/timing.h"

#include <gtest/gtest.h>

#include <thread>

namespace sandglass::bench {
namespace {

TEST(Spread, is_of_the_sorted_values) {
  const Spread s = spread({5, 1, 4, 2, 3});
  EXPECT_EQ(s.least, 1);
  EXPECT_EQ(s.first_quartile, 2);
  EXPECT_EQ(s.median, 3);
  EXPECT_EQ(s.third_quartile, 4);
  EXPECT_EQ(s.largest, 5);
  EXPECT_EQ(spread({1, 2}).median, 1.5);
  EXPECT_EQ(spread({7}).third_quartile, 7);
  EXPECT_THROW(spread({}), Error);
}

// Sleeps, and writes down which set of data it was given.
class Sleeper final : public Contender {
 public:
  explicit Sleeper(int milliseconds) : milliseconds_(milliseconds) {}
  std::string implementation() const override { return "sleep"; }
  Cost cost() const override { return {}; }
  void run(int set, Stream) override {
    sets.push_back(set);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds_));
  }
  std::string wrong() override { return ""; }
  std::vector<int> sets;

 private:
  int milliseconds_;
};

TEST(Timing, takes_turns_and_every_set_as_often) {
  const auto device = open_device(DeviceKind::cpu);
  Sleeper quick(1), slow(4);
  constexpr int kSets = 3, kSamples = 6;
  const std::vector<Times> times = time_by_turns(*device, {&quick, &slow}, kSets, 0, kSamples);
  ASSERT_EQ(times.size(), 2u);
  for (const Times& t : times) {
    EXPECT_EQ(t.seconds.size(), size_t{kSamples});
    EXPECT_EQ(t.runs % kSets, 0);
  }
  EXPECT_GE(spread(times[0].seconds).least, 1e-3);
  EXPECT_GE(spread(times[1].seconds).least, 4e-3);
  for (const Sleeper* sleeper : {&quick, &slow})
    for (int set = 0; set < kSets; ++set)
      EXPECT_GE(std::count(sleeper->sets.begin(), sleeper->sets.end(), set), kSamples) << set;
}

}  // namespace
}  // namespace sandglass::bench
