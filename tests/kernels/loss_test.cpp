#include "kernels/loss/loss.h"

#include <cmath>
#include <limits>

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Result {
  double loss;
  Values dy;
};

// Of one function, with its name for messages.
struct Function {
  const char* name;
  LossSpec spec;
};
std::vector<Function> functions() {
  return {{"l2", {}},
          {"huber", {.function = LossFunction::huber, .delta = 0.75f}},
          {"adaptive_wing", {.function = LossFunction::adaptive_wing}}};
}

Result expected_loss(const LossSpec& spec, const Shape& shape, const Values& y, const Values& target,
                     const Values* intensities, const Values* weights = nullptr) {
  Result result{0, Values(y.size())};
  std::vector<float> floats, weight_floats;
  if (intensities) floats.assign(intensities->begin(), intensities->end());
  if (weights) weight_floats.assign(weights->begin(), weights->end());
  result.loss = reference::pixel_loss(spec, shape, y.data(), target.data(), intensities ? floats.data() : nullptr,
                                      weights ? weight_floats.data() : nullptr, result.dy.data());
  return result;
}

Result expected_l2(const Shape& shape, const Values& y, const Values& target, const Values* intensities) {
  return expected_loss({}, shape, y, target, intensities);
}

// `target` null: the intensities. `type`: of the gradient.
Result run_pixels(Device& device, const LossSpec& spec, const TensorDesc& desc, const Values& y, const Values* target,
                  const Values* intensities, const Values* weights = nullptr, DataType type = DataType::float32) {
  TensorDesc dy_desc = desc;
  dy_desc.type = type;
  OperationRun<PixelLoss> run(device, {desc, dy_desc, spec});
  Values dy, loss;
  PixelLossArguments arguments;
  arguments.y = f32(run.input(desc, y));
  if (target) arguments.target = f32(run.input(desc, *target));
  if (intensities) arguments.intensities = run.input(*intensities);
  if (weights) arguments.weights = run.input(*weights);
  arguments.dy = run.output(dy_desc, &dy);
  arguments.loss = run.output(1, &loss);
  run.execute(arguments);
  return {loss[0], dy};
}

Result run_l2(Device& device, const TensorDesc& desc, const Values& y, const Values& target, const Values* intensities,
              DataType type = DataType::float32) {
  return run_pixels(device, {}, desc, y, &target, intensities, nullptr, type);
}

enum class Gradient { separate, in_place, none };

Result run_heatmap(Device& device, const HeatmapSpec& heatmap, const TensorDesc& desc, const Values& y,
                   const Values& intensities, const Values& points, Gradient gradient = Gradient::separate,
                   DataType type = DataType::float32, const LossSpec& spec = {}, const Values* weights = nullptr) {
  TensorDesc dy_desc = desc;
  dy_desc.type = type;
  OperationRun<HeatmapLoss> run(device, {heatmap, desc, dy_desc, spec});
  Values dy, loss;
  HeatmapLossArguments arguments;
  arguments.labels.intensities = run.input(intensities);
  arguments.labels.points = run.input(points);
  arguments.loss = run.output(1, &loss);
  if (weights) arguments.weights = run.input(*weights);
  if (gradient == Gradient::in_place) {
    dy = y;
    arguments.dy = run.in_out(desc, &dy);
    arguments.y = f32(arguments.dy);
  } else {
    arguments.y = f32(run.input(desc, y));
    if (gradient == Gradient::separate) arguments.dy = run.output(dy_desc, &dy);
  }
  run.execute(arguments);
  return {loss[0], dy};
}

void expect_result(const Result& got, const Result& expected, const std::string& what,
                   DataType type = DataType::float32) {
  EXPECT_NEAR(got.loss, expected.loss, 1e-6 * expected.loss) << what;
  expect_close(got.dy, expected.dy, what + ": dy", type == DataType::float32 ? Limits{1e-12, 2e-6} : limits_for(type));
}

struct LossCase {
  Shape shape;
  std::string name() const { return to_string(shape); }
  size_t elements() const { return static_cast<size_t>(shape.elements()); }
  size_t maps() const { return static_cast<size_t>(shape.n) * shape.c; }
};
std::vector<LossCase> loss_cases() {
  return {{{2, 64, 64, 5}}, {{4, 8, 16, 1}}, {{2, 7, 131, 12}}, {{1, 1, 1, 1}}, {{3, 33, 9, 5}}};
}
using LossTest = OperationTest<LossCase, HeatmapLoss, PixelLoss, HeatmapRender>;

// All sums are integers below 2^24; loss and gradient then are one rounding away from the exact quotient.
TEST_P(LossTest, IntegersAreExact) {
  const Shape& shape = test_case().shape;
  const Values y = integers(test_case().elements(), -8, 8, 1), target = integers(test_case().elements(), 0, 5, 2);
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += (y[i] - target[i]) * (y[i] - target[i]);
  const double count = static_cast<double>(y.size());
  for (const TensorDesc& desc : layouts(device(), shape)) {
    const Result got = run_l2(device(), desc, y, target, nullptr);
    EXPECT_EQ(got.loss, static_cast<float>(sum / count));
    Values scaled;  // back to 2 (y - target)
    for (const double dy : got.dy) scaled.push_back(std::round(dy * count));
    Values expected;
    for (size_t i = 0; i < y.size(); ++i) expected.push_back(2 * (y[i] - target[i]));
    expect_equal(scaled, expected, "dy * count");
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(got.dy[i], expected[i] / count, 2e-7 * std::abs(got.dy[i]));
  }
}

TEST_P(LossTest, L2EqualsReference) {
  const Shape& shape = test_case().shape;
  const Values y = uniform(test_case().elements(), -1, 5, 3), target = uniform(test_case().elements(), 0, 5, 4);
  Values intensities = integers(test_case().maps(), -1, 2, 5);  // a quarter of the maps is not coded
  intensities[0] = 1;
  for (const TensorDesc& desc : layouts(device(), shape)) {
    for (const DataType type : element_types(device()))
      expect_result(run_l2(device(), desc, y, target, &intensities, type), expected_l2(shape, y, target, &intensities),
                    fmt::format("block {}, dy {}", desc.block, name_of(type)), type);
    expect_result(run_l2(device(), desc, y, target, nullptr), expected_l2(shape, y, target, nullptr),
                  fmt::format("block {}, all coded", desc.block));
  }
}

TEST_P(LossTest, HeatmapLossEqualsReference) {
  const Shape& shape = test_case().shape;
  for (const SigmaRule rule : {SigmaRule::intensity, SigmaRule::fan, SigmaRule::fixed}) {
    const HeatmapSpec heatmap{.sigma_rule = rule, .cut = 3.0f};
    const Values y = uniform(test_case().elements(), -1, 5, 6);
    Values intensities = uniform(test_case().maps(), -1, 5, 7);
    intensities[0] = 2;
    Values points = uniform(test_case().maps() * 4, -5, 70, 8);
    for (size_t i = 0; i < points.size(); i += 10) points[i] = kNan;

    const Values target = reference::heatmap(heatmap, shape, intensities, points);
    const Result expected = expected_l2(shape, y, target, &intensities);
    for (const TensorDesc& desc : layouts(device(), shape)) {
      const Result got = run_heatmap(device(), heatmap, desc, y, intensities, points);
      expect_result(got, expected, fmt::format("block {}", desc.block));
      const Result in_place = run_heatmap(device(), heatmap, desc, y, intensities, points, Gradient::in_place);
      EXPECT_EQ(in_place.loss, got.loss);
      for (const DataType type : element_types(device())) {
        const Result typed = run_heatmap(device(), heatmap, desc, y, intensities, points, Gradient::separate, type);
        EXPECT_EQ(typed.loss, got.loss);
        expect_result(typed, expected, fmt::format("block {}, dy {}", desc.block, name_of(type)), type);
      }
      expect_equal(in_place.dy, got.dy, "dy in the place of y");
      EXPECT_EQ(run_heatmap(device(), heatmap, desc, y, intensities, points, Gradient::none).loss, got.loss);
    }
  }
}

// Predictions from far below to far above the targets, so that both branches of huber and adaptive_wing are met.
TEST_P(LossTest, FunctionsAndWeightsEqualReference) {
  const Shape& shape = test_case().shape;
  const Values y = uniform(test_case().elements(), -2, 8, 14);
  Values intensities = uniform(test_case().maps(), -1, 5, 15);
  intensities[0] = 2.5;
  const Values points = uniform(test_case().maps() * 4, 0, 64, 16);
  const Values weights = uniform(static_cast<size_t>(shape.c) * kIntensityLevels, 0, 3, 17);
  const Values target = reference::heatmap({}, shape, intensities, points);
  for (const Function& function : functions())
    for (const Values* some_weights : {static_cast<const Values*>(nullptr), &weights}) {
      const Result expected = expected_loss(function.spec, shape, y, target, &intensities, some_weights);
      for (const TensorDesc& desc : layouts(device(), shape))
        for (const DataType type : element_types(device())) {
          const std::string what = fmt::format("{}{}, block {}, dy {}", function.name, some_weights ? " weighted" : "",
                                               desc.block, name_of(type));
          expect_result(run_heatmap(device(), {}, desc, y, intensities, points, Gradient::separate, type, function.spec,
                                    some_weights),
                        expected, what + ", drawn", type);
          expect_result(run_pixels(device(), function.spec, desc, y, &target, &intensities, some_weights, type),
                        expected, what, type);
        }
    }
}

// Without a target each map's target is its intensity.
TEST_P(LossTest, IntensitiesAsTargets) {
  const Shape& shape = test_case().shape;
  const Values y = uniform(test_case().elements(), -1, 6, 18);
  Values intensities = integers(test_case().maps(), -1, 5, 19), target;
  intensities[0] = 3;
  for (size_t i = 0; i < y.size(); ++i)
    target.push_back(intensities[i / (size_t(shape.h) * shape.w * shape.c) * shape.c + i % shape.c]);
  const Values weights = uniform(static_cast<size_t>(shape.c) * kIntensityLevels, 0, 3, 20);
  for (const Function& function : functions())
    for (const TensorDesc& desc : layouts(device(), shape))
      expect_result(run_pixels(device(), function.spec, desc, y, nullptr, &intensities, &weights),
                    expected_loss(function.spec, shape, y, target, &intensities, &weights),
                    fmt::format("{}, block {}", function.name, desc.block));
}

// A prediction equal to the rendered target has no loss: both operations draw the same targets.
TEST_P(LossTest, PerfectPredictionHasNoLoss) {
  const Shape& shape = test_case().shape;
  const TensorDesc desc = device().activation(shape);
  const HeatmapSpec heatmap;
  const Values intensities = uniform(test_case().maps(), 0, 5, 9), points = uniform(test_case().maps() * 4, 0, 64, 10);
  OperationRun<HeatmapRender> run(device(), {heatmap, desc});
  Values target;
  run.execute({{run.input(intensities), run.input(points)}, f32(run.output(desc, &target))});
  for (const Function& function : functions()) {
    const Result got = run_heatmap(device(), heatmap, desc, target, intensities, points, Gradient::separate,
                                   DataType::float32, function.spec);
    EXPECT_EQ(got.loss, 0) << function.name;
    expect_equal(got.dy, Values(target.size(), 0.0), std::string("dy of ") + function.name);
  }
}

TEST_P(LossTest, NothingCoded) {
  const Shape& shape = test_case().shape;
  const TensorDesc desc = device().activation(shape);
  const Values y = uniform(test_case().elements(), -1, 5, 11), zero(y.size(), 0.0);
  const Values intensities(test_case().maps(), -1.0), points(test_case().maps() * 4, 3.0);
  for (const Result& got :
       {run_l2(device(), desc, y, zero, &intensities), run_heatmap(device(), {}, desc, y, intensities, points)}) {
    EXPECT_EQ(got.loss, 0);
    expect_equal(got.dy, zero, "dy");
  }
}
INSTANTIATE_TEST_SUITE_P(Devices, LossTest, on_every_device(loss_cases()), case_name<LossCase>);

struct SmallMaps {
  std::string name() const { return "small_maps"; }
};
using LossByHandTest = OperationTest<SmallMaps, HeatmapLoss, PixelLoss>;

// Map 0 is coded with intensity 0, map 1 is not coded and full of NaN, in 2 x 2 pixels.
TEST_P(LossByHandTest, MapsThatAreNotCodedCountForNothing) {
  const Shape shape{1, 2, 2, 2};
  const Values y = {1, kNan, -2, kNan, 3, kNan, 4, kNan}, intensities = {0, -1}, points = {0, 0, 0, 0, 0, 0, 0, 0};
  const Values dy = {0.5, 0, -1, 0, 1.5, 0, 2, 0};  // 2 y / 4
  for (const TensorDesc& desc : layouts(device(), shape)) {
    const Result heatmap = run_heatmap(device(), {}, desc, y, intensities, points);
    EXPECT_EQ(heatmap.loss, (1 + 4 + 9 + 16) / 4.0);
    expect_equal(heatmap.dy, dy, "dy of the heatmap loss");
    const Result l2 = run_l2(device(), desc, y, Values(8, 0.0), &intensities);
    EXPECT_EQ(l2.loss, (1 + 4 + 9 + 16) / 4.0);
    expect_equal(l2.dy, dy, "dy of the loss");
  }
}

TEST_P(LossByHandTest, AnIntensityThatIsNoNumberIsNotCoded) {
  const TensorDesc desc = device().activation({1, 1, 2, 2});
  const Result got = run_heatmap(device(), {}, desc, {1, 5, 3, 6}, {0, kNan}, Values(8, 0.0));
  EXPECT_EQ(got.loss, 5);
  expect_equal(got.dy, {1, 0, 3, 0}, "dy");
}

// The weights' columns are the intensities 0 to 5, and one between two of them counts as the nearest.
TEST_P(LossByHandTest, WeightsAreThoseOfTheNearestIntensity) {
  const Values intensities = {0, 0.25, 0.5, 1.25, 2.5, 3.5, 4.25, 4.5, 5, 7}, weights = {1, 2, 4, 8, 16, 32};
  const Values expected = {1, 1, 2, 2, 8, 16, 16, 32, 32, 32};
  const Shape shape{10, 1, 1, 1};
  const TensorDesc desc = device().activation(shape);
  Values y = intensities;
  for (double& v : y) v += 1;
  const Result got = run_pixels(device(), {}, desc, y, nullptr, &intensities, &weights);
  Values scaled;
  for (const double dy : got.dy) scaled.push_back(std::round(dy * 5 * 1024) / 1024);  // count = 10, f' = 2
  expect_equal(scaled, expected, "dy");
  EXPECT_NEAR(got.loss, 14.2, 1e-5);
}

TEST_P(LossByHandTest, APredictionThatIsNoNumberShowsInTheLoss) {
  const TensorDesc desc = device().activation({1, 1, 2, 1});
  const Values target = {0, 0};
  for (const Function& function : functions()) {
    const Result got = run_pixels(device(), function.spec, desc, {1, kNan}, &target, nullptr);
    EXPECT_TRUE(std::isnan(got.loss)) << function.name;
  }
}

TEST_P(LossByHandTest, WhatTheCudaKernelsCannotDoIsRefused) {
  if (device().kind() == DeviceKind::cpu) GTEST_SKIP() << "the cpu device has no such limits";
  const TensorDesc many = nhwc({65536, 1, 1, 1}), padded{{1, 4, 4, 5}, DataType::float32, 8};
  expect_error([&] { make_operation(device(), HeatmapLoss{{}, many, many}); }, "takes at most 65535 pictures");
  expect_error([&] { make_operation(device(), PixelLoss{padded, padded}); }, "y has 5 channels in blocks of 8");
}
INSTANTIATE_TEST_SUITE_P(Devices, LossByHandTest, on_every_device(std::vector<SmallMaps>(1)), case_name<SmallMaps>);

TEST(LossReferenceTest, GradientEqualsFiniteDifferences) {
  const Shape shape{2, 3, 5, 3};
  const size_t elements = static_cast<size_t>(shape.elements());
  const Values start = uniform(elements, -1, 5, 12), target = uniform(elements, 0, 5, 13),
               intensities = {1, -1, 0, 2, 3, -1}, weights = uniform(3 * kIntensityLevels, 0.5, 2, 14);
  for (const Function& function : functions()) {
    Values y = start;
    const auto loss = [&] { return expected_loss(function.spec, shape, y, target, &intensities, &weights).loss; };
    const Result at = expected_loss(function.spec, shape, y, target, &intensities, &weights);
    for (size_t i = 0; i < elements; ++i) {
      const double before = y[i], step = 1e-5;
      y[i] = before + step;
      const double above = loss();
      y[i] = before - step;
      const double below = loss();
      y[i] = before;
      EXPECT_NEAR((above - below) / (2 * step), at.dy[i], 1e-8) << function.name << ", element " << i;
    }
  }
}

// The values of the papers' formulas, worked out by hand.
TEST(LossReferenceTest, FunctionsAreThoseOfThePapers) {
  const auto loss = [](const LossSpec& spec, double y, double target) {
    return expected_loss(spec, {1, 1, 1, 1}, {y}, {target}, nullptr).loss;
  };
  const LossSpec huber{.function = LossFunction::huber, .delta = 1.5f};
  EXPECT_DOUBLE_EQ(loss(huber, 4, 3), 1);
  EXPECT_DOUBLE_EQ(loss(huber, 1, 5), 1.5 * (8 - 1.5));
  const LossSpec wing{.function = LossFunction::adaptive_wing};
  const double alpha = LossSpec::kAlpha;  // as a float has it
  EXPECT_NEAR(loss(wing, 1, 0), 14 * std::log(1 + std::pow(0.2, alpha)), 1e-12);
  EXPECT_NEAR(loss(wing, 4, 5), 14 * std::log(1 + std::pow(0.2, alpha - 1)), 1e-12);
  const double p = alpha - 0.2, slope = 14 * p * std::pow(0.5, p - 1) / (1 + std::pow(0.5, p));
  EXPECT_NEAR(loss(wing, 5, 1), slope * 0.8 - (0.5 * slope - 14 * std::log(1 + std::pow(0.5, p))), 1e-12);
}

TEST(LossSpecTest, NonsenseIsRefused) {
  EXPECT_NO_THROW((HeatmapLoss{{}, nhwc({1, 64, 64, 5}), nhwc({1, 64, 64, 5})}.check()));
  EXPECT_NO_THROW((PixelLoss{nhwc({1, 64, 64, 5}), nhwc({1, 64, 64, 5})}.check()));
  expect_error([] { HeatmapLoss{{}, nhwc({0, 64, 64, 5}), {}}.check(); }, "heatmap_loss: y is 0x64x64x5");
  expect_error([] { HeatmapLoss{{.cut = -1}, nhwc({1, 64, 64, 5}), {}}.check(); }, "heatmap: cut is -1");
  expect_error([] { PixelLoss{nhwc({1, 64, -1, 5}), {}}.check(); }, "pixel_loss: y is 1x64x-1x5");
  expect_error([] { PixelLoss{nhwc({1, 64, 64, 5}, DataType::bfloat16), {}}.check(); }, "pixel_loss: y is bfloat16");
  expect_error([] { LossSpec{.function = LossFunction::huber, .delta = 0}.check(); }, "loss: delta is 0");
}

}  // namespace
}  // namespace sandglass::test
