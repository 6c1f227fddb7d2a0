#include "kernels/heatmap/heatmap.h"

#include <cmath>
#include <limits>

#include "engine/random.h"
#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Labels {
  Values intensities, points;
};

// Intensities 0 to 5, some 0, some not coded; points inside and around the map, some absent.
Labels random_labels(const Shape& shape, int points_per_map, uint64_t seed) {
  Random random(seed);
  Labels labels;
  for (int map = 0; map < shape.n * shape.c; ++map) {
    const float intensity = random.uniform(0.1f, 5);
    labels.intensities.push_back(random.chance(0.15f) ? -1 : random.chance(0.15f) ? 0 : intensity);
    for (int i = 0; i < points_per_map; ++i) {
      const bool absent = random.chance(0.2f);
      labels.points.push_back(absent ? kNan : random.uniform(-10, float(shape.w + 10)));
      labels.points.push_back(random.uniform(-10, float(shape.h + 10)));
    }
  }
  return labels;
}

Values render(Device& device, const HeatmapSpec& heatmap, const TensorDesc& desc, const Labels& labels) {
  OperationRun<HeatmapRender> run(device, {heatmap, desc});
  Values target;
  HeatmapRenderArguments arguments;
  arguments.labels.intensities = run.input(labels.intensities);
  arguments.labels.points = run.input(labels.points);
  arguments.target = f32(run.output(desc, &target));
  run.execute(arguments);
  return target;
}

Values expected_targets(const HeatmapSpec& heatmap, const Shape& shape, const Labels& labels) {
  return reference::heatmap(heatmap, shape, labels.intensities, labels.points);
}

struct HeatmapCase {
  Shape shape;
  HeatmapSpec heatmap;
  std::string name() const {
    const char* rules[] = {"intensity", "fan", "fixed"};
    return fmt::format("{}_{}_scale{}_points{}", to_string(shape), rules[static_cast<int>(heatmap.sigma_rule)],
                       heatmap.scale, heatmap.points_per_map);
  }
};

std::vector<HeatmapCase> heatmap_cases() {
  std::vector<HeatmapCase> cases;
  for (const SigmaRule rule : {SigmaRule::intensity, SigmaRule::fan, SigmaRule::fixed})
    for (const Shape& shape : {Shape{2, 64, 64, 5}, Shape{1, 1, 1, 1}, Shape{3, 7, 131, 12}, Shape{2, 33, 9, 1}})
      for (const int points : {1, 3})
        for (const float scale : {1.0f, 0.5f})
          cases.push_back(
              {shape, {.sigma_rule = rule, .sigma = 1.75f, .cut = 2.5f, .scale = scale, .points_per_map = points}});
  return cases;
}

using HeatmapReferenceTest = OperationTest<HeatmapCase, HeatmapRender>;

TEST_P(HeatmapReferenceTest, EqualsReference) {
  const auto& [shape, heatmap] = test_case();
  const Labels labels = random_labels(shape, heatmap.points_per_map, 3);
  const Values expected = expected_targets(heatmap, shape, labels);
  for (const TensorDesc& desc : layouts(device(), shape))
    expect_close(render(device(), heatmap, desc, labels), expected, fmt::format("target, block {}", desc.block));
}
INSTANTIATE_TEST_SUITE_P(Devices, HeatmapReferenceTest, on_every_device(heatmap_cases()), case_name<HeatmapCase>);

// Single maps whose values are worked out here from the paper's formula.
struct OneMap {
  std::string name() const { return "one_map"; }
};
class HeatmapTest : public OperationTest<OneMap, HeatmapRender> {
 protected:
  static constexpr int kHeight = 20, kWidth = 24;
  // A map with one intensity; `points`: x, y of each.
  void draw(HeatmapSpec heatmap, double intensity, const Values& points) {
    heatmap.points_per_map = static_cast<int>(points.size() / 2);
    map_ = render(device(), heatmap, device().activation({1, kHeight, kWidth, 1}), {{intensity}, points});
  }
  double at(int u, int v) const { return map_.at(static_cast<size_t>(v) * kWidth + u); }
  void expect_empty() const { expect_equal(map_, Values(kHeight * kWidth, 0.0), "target"); }

  Values map_;
};

TEST_P(HeatmapTest, HeightAtThePointIsTheIntensity) {
  for (const SigmaRule rule : {SigmaRule::intensity, SigmaRule::fan, SigmaRule::fixed})
    for (const float intensity : {0.25f, 1.0f, 3.3f, 5.0f}) {
      draw({.sigma_rule = rule}, intensity, {7, 11});
      EXPECT_EQ(at(7, 11), intensity);
      EXPECT_EQ(at(6, 11), at(8, 11));
      EXPECT_EQ(at(7, 10), at(8, 11));
      EXPECT_LT(at(8, 11), intensity);
    }
}

TEST_P(HeatmapTest, StandardDeviationFollowsTheRule) {
  draw({.sigma_rule = SigmaRule::intensity}, 2, {10, 12});
  EXPECT_NEAR(at(13, 12), 2 * std::exp(-9.0 / (2 * 2 * 2)), 1e-6);
  EXPECT_NEAR(at(13, 8), 2 * std::exp(-25.0 / (2 * 2 * 2)), 1e-6);
  draw({.sigma_rule = SigmaRule::fan}, 2, {10, 12});
  EXPECT_NEAR(at(13, 12), 2 * std::exp(-9.0 / (2 * 3.25 * 3.25)), 1e-6);
  draw({.sigma_rule = SigmaRule::fixed, .sigma = 1.5f}, 2, {10, 12});
  EXPECT_NEAR(at(13, 12), 2 * std::exp(-9.0 / (2 * 1.5 * 1.5)), 1e-6);
  draw({.sigma_rule = SigmaRule::intensity}, 2, {10.25, 12.5});
  EXPECT_NEAR(at(10, 12), 2 * std::exp(-0.3125 / (2 * 2 * 2)), 1e-6);
}

TEST_P(HeatmapTest, CutIsInclusiveAndProportionalToIntensity) {
  draw({.sigma_rule = SigmaRule::intensity, .cut = 2.5f}, 2, {10, 10});
  EXPECT_GT(at(15, 10), 0);
  EXPECT_GT(at(10, 5), 0);
  EXPECT_GT(at(13, 14), 0) << "the distance is sqrt(9 + 16) = 5, the cut";
  EXPECT_EQ(at(16, 10), 0);
  EXPECT_EQ(at(10, 16), 0);
  EXPECT_EQ(at(14, 14), 0);
  draw({}, 1, {10, 10});
  EXPECT_NEAR(at(16, 10), std::exp(-18.0), 1e-12);
  EXPECT_EQ(at(17, 10), 0);
}

TEST_P(HeatmapTest, OnlyTheHeightFollowsTheIntensityIfTheSizeIsFixed) {
  const HeatmapSpec heatmap{.sigma_rule = SigmaRule::fixed, .sigma = 2, .cut = 2.5f};
  draw(heatmap, 1, {10, 10});
  const Values low = map_;
  EXPECT_GT(at(15, 10), 0);
  EXPECT_EQ(at(16, 10), 0);
  draw(heatmap, 4, {10, 10});
  for (size_t i = 0; i < low.size(); ++i) EXPECT_EQ(map_[i], 4 * low[i]) << "element " << i;
}

TEST_P(HeatmapTest, ScaleMultipliesEveryLengthButNotTheHeight) {
  draw({.sigma_rule = SigmaRule::intensity, .cut = 2, .scale = 0.5f}, 4, {10, 10});  // deviation 2, cut 4
  EXPECT_EQ(at(10, 10), 4);
  EXPECT_NEAR(at(12, 10), 4 * std::exp(-4.0 / (2 * 2 * 2)), 1e-6);
  EXPECT_GT(at(14, 10), 0);
  EXPECT_EQ(at(15, 10), 0);
  draw({.sigma_rule = SigmaRule::fan, .scale = 2}, 2, {10, 10});  // deviation 6.5
  EXPECT_NEAR(at(13, 10), 2 * std::exp(-9.0 / (2 * 6.5 * 6.5)), 1e-6);
  draw({.sigma_rule = SigmaRule::fixed, .sigma = 1.5f, .scale = 2}, 2, {10, 10});  // deviation 3
  EXPECT_NEAR(at(13, 10), 2 * std::exp(-9.0 / (2 * 3 * 3)), 1e-6);
}

TEST_P(HeatmapTest, OverlappingPointsTakeTheLargerValue) {
  draw({}, 3, {6, 9});
  const Values left = map_;
  draw({}, 3, {13, 12});
  const Values right = map_;
  draw({}, 3, {6, 9, 13, 12});
  Values larger;
  for (size_t i = 0; i < left.size(); ++i) larger.push_back(std::max(left[i], right[i]));
  expect_equal(map_, larger, "both points");
}

TEST_P(HeatmapTest, NothingIsDrawnWithoutIntensityOrPoints) {
  for (const double intensity : {0.0, -1.0, -0.0, kNan}) {
    draw({}, intensity, {7, 11, 8, 9});
    expect_empty();
  }
  draw({}, 4, {kNan, 11, kNan, kNan});
  expect_empty();
}

TEST_P(HeatmapTest, AnAbsentPointDoesNotDisturbTheOther) {
  draw({}, 4, {7, 11});
  const Values alone = map_;
  draw({}, 4, {kNan, 5, 7, 11});
  expect_equal(map_, alone, "with an absent point");
}

TEST_P(HeatmapTest, PointsOutsideTheMap) {
  draw({}, 2, {-3, 10});  // 3 pixels to the left of column 0
  EXPECT_NEAR(at(0, 10), 2 * std::exp(-9.0 / 8), 1e-6);
  EXPECT_GT(at(9, 10), 0);
  EXPECT_EQ(at(10, 10), 0);
  draw({}, 2, {kWidth + 1, kHeight + 2});
  EXPECT_NEAR(at(kWidth - 1, kHeight - 1), 2 * std::exp(-(4.0 + 9) / 8), 1e-6);
  for (const double far : {1e4, -1e4, 3e9, -3e9, 1e30, -1e38, kInfinity, -kInfinity}) {
    draw({}, 5, {far, 10, 10, far, far, far});
    expect_empty();
  }
  draw({}, 5, {10, kNan});
  expect_empty();
}

TEST_P(HeatmapTest, ExtremeIntensities) {
  draw({}, 1e-40, {7, 11});  // its square is no float
  EXPECT_EQ(at(7, 11), 1e-40f);
  EXPECT_EQ(at(8, 11), 0);
  draw({}, 1e30, {7, 11});
  expect_equal(map_, Values(kHeight * kWidth, 1e30f), "a Gaussian wider than the map");
}

TEST_P(HeatmapTest, WhatTheCudaKernelsCannotDoIsRefused) {
  if (device().kind() == DeviceKind::cpu) GTEST_SKIP() << "the cpu device has no such limits";
  const auto refused = [&](const TensorDesc& desc, const std::string& message) {
    expect_error([&] { make_operation(device(), HeatmapRender{{}, desc})->run({}, {}); }, message);
  };
  refused(nhwc({65536, 1, 1, 1}), "takes at most 65535 pictures of 1073741824 pixels at once, got 65536x1x1x1");
  refused(nhwc({1, 32768, 32769, 1}), "got 1x32768x32769x1");
  refused({{1, 4, 4, 5}, DataType::float32, 8}, "target has 5 channels in blocks of 8");
}
INSTANTIATE_TEST_SUITE_P(Devices, HeatmapTest, on_every_device(std::vector<OneMap>(1)), case_name<OneMap>);

TEST(HeatmapSpecTest, NonsenseIsRefused) {
  const auto refused = [](HeatmapSpec heatmap, const std::string& message) {
    expect_error([&] { HeatmapRender{heatmap, nhwc({1, 64, 64, 5})}.check(); }, message);
  };
  refused({.cut = 0}, "heatmap: cut is 0, it must be a positive number");
  refused({.cut = NAN}, "heatmap: cut is nan, it must be a positive number");
  refused({.scale = 0}, "heatmap: scale is 0, it must be a positive number");
  refused({.points_per_map = 0}, "heatmap: points_per_map is 0, a map needs room for at least one point");
  refused({.sigma_rule = static_cast<SigmaRule>(7)}, "heatmap: unknown sigma rule 7, use intensity, fan or fixed");
  refused({.sigma_rule = SigmaRule::fixed, .sigma = -1},
          "heatmap: sigma is -1, it must be a positive number of map pixels");
  EXPECT_NO_THROW((HeatmapSpec{.sigma = -1}.check())) << "sigma counts for the fixed rule only";
  EXPECT_NO_THROW((HeatmapRender{{}, nhwc({1, 64, 64, 5})}.check()));
  expect_error([] { HeatmapRender{{}, nhwc({1, 64, 0, 5})}.check(); }, "heatmap_render: target is 1x64x0x5");
}

}  // namespace
}  // namespace sandglass::test
