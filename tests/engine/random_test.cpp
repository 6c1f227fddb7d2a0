#include "engine/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace sandglass {
namespace {

using Words = std::array<uint32_t, 4>;

// The known-answer vectors published with Random123 (tests/kat_vectors, "philox4x32 10").
TEST(Random, PhiloxMatchesThePublishedVectors) {
  EXPECT_EQ(philox4x32({0, 0}, {0, 0, 0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones}, {ones, ones, ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, StartsWithThePhiloxBlockOfSeedAndStream) {
  Random random(0x299f31d0a4093822, 0x0370734413198a2e, uint64_t{4} * 0x85a308d3243f6a88);
  // 4 x the counter leaves 64 bits, so the counter's upper two bits are gone.
  const Words expected =
      philox4x32({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3 & 0x3fffffff, 0x13198a2e, 0x03707344});
  for (const uint32_t word : expected) EXPECT_EQ(random.next(), word);
}

TEST(Random, ContinuesExactlyFromAnyPosition) {
  std::vector<uint32_t> words;
  Random whole(7, 3);
  for (int i = 0; i < 50; ++i) words.push_back(whole.next());
  EXPECT_EQ(whole.position(), 50u);
  for (uint64_t start = 0; start < 50; ++start) {
    Random resumed(7, 3, start);
    for (uint64_t i = start; i < 50; ++i) ASSERT_EQ(resumed.next(), words[i]) << "from " << start << " at " << i;
  }
}

TEST(Random, StreamsAndSeedsDiffer) {
  std::set<uint32_t> first_words;
  for (uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
    for (uint64_t stream : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32})
      first_words.insert(Random(seed, stream).next());
  }
  EXPECT_EQ(first_words.size(), 9u);
}

TEST(Random, UniformIsInRangeAndEven) {
  Random random(1);
  constexpr int kDraws = 100000;
  double sum = 0, sum_of_squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const float value = random.uniform();
    ASSERT_GE(value, 0.0f);
    ASSERT_LT(value, 1.0f);
    sum += value;
    sum_of_squares += static_cast<double>(value) * value;
  }
  // Within five standard deviations of the sample's mean: sqrt(1/12 / n) and sqrt(4/45 / n).
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(sum_of_squares / kDraws, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / kDraws));
  for (int i = 0; i < 1000; ++i) {
    const float value = random.uniform(-3.0f, 5.0f);
    ASSERT_GE(value, -3.0f);
    ASSERT_LT(value, 5.0f);
  }
}

TEST(Random, UniformOfTheLargestWordIsBelowOne) {
  // The 24 upper bits all set: 1 - 2^-24, which a float holds exactly.
  EXPECT_LT(static_cast<float>(0xffffffffu >> 8) * 0x1.0p-24f, 1.0f);
}

TEST(Random, BelowIsEvenOverItsRange) {
  Random random(2);
  for (const uint32_t count : {1u, 2u, 3u, 7u, 10u}) {
    std::vector<int> histogram(count);
    constexpr int kDraws = 70000;
    for (int i = 0; i < kDraws; ++i) {
      const uint32_t value = random.below(count);
      ASSERT_LT(value, count);
      ++histogram[value];
    }
    const double expected = static_cast<double>(kDraws) / count;
    for (const int hits : histogram) EXPECT_NEAR(hits, expected, 5 * std::sqrt(expected) + 0.5) << "of " << count;
  }
}

TEST(Random, BelowHasNoBiasWhereAModuloWould) {
  // With count = 3 * 2^30 a modulo would draw the lowest 2^30 values half of the time, not a third.
  Random random(3);
  constexpr int kDraws = 30000;
  int lowest_third = 0;
  for (int i = 0; i < kDraws; ++i) lowest_third += random.below(3u << 30) < (1u << 30);
  EXPECT_NEAR(lowest_third, kDraws / 3.0, 5 * std::sqrt(kDraws * 2.0 / 9));
}

TEST(Random, NormalHasTheMomentsAndTailsOfTheNormalDistribution) {
  Random random(4);
  constexpr int kDraws = 200000;
  double sum = 0, squares = 0, fourth = 0;
  int beyond_two = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
    beyond_two += std::abs(x) > 2;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(fourth / kDraws, 3, 5 * std::sqrt(96.0 / kDraws));
  EXPECT_NEAR(beyond_two / static_cast<double>(kDraws), 0.0455003, 5 * std::sqrt(0.0455 * 0.9545 / kDraws));
  EXPECT_EQ(random.position(), 2u * kDraws);
}

TEST(Random, ChanceHonoursItsProbability) {
  Random random(5);
  int hits = 0;
  for (int i = 0; i < 10000; ++i) {
    hits += random.chance(0.25f);
    ASSERT_FALSE(random.chance(0.0f));
    ASSERT_TRUE(random.chance(1.0f));
  }
  EXPECT_NEAR(hits, 2500, 5 * std::sqrt(10000 * 0.25 * 0.75));
}

TEST(Random, ShuffleIsAPermutationAndEachIsAsLikely) {
  std::map<std::vector<int>, int> histogram;
  constexpr int kDraws = 24000;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<int> order = {0, 1, 2, 3};
    Random random(6, static_cast<uint64_t>(i));
    shuffle(order, random);
    ++histogram[order];
    std::ranges::sort(order);
    ASSERT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  }
  EXPECT_EQ(histogram.size(), 24u);
  for (const auto& [order, hits] : histogram) EXPECT_NEAR(hits, 1000, 5 * std::sqrt(1000.0));
  std::vector<int> nothing;
  Random random(7);
  shuffle(nothing, random);
  EXPECT_TRUE(nothing.empty());
}

}  // namespace
}  // namespace sandglass
