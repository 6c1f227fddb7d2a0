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

Result expected_l2(const Shape& shape, const Values& y, const Values& target, const Values* intensities) {
  Result result{0, Values(y.size())};
  std::vector<float> floats;
  if (intensities) floats.assign(intensities->begin(), intensities->end());
  result.loss =
      reference::l2_loss(shape, y.data(), target.data(), intensities ? floats.data() : nullptr, result.dy.data());
  return result;
}

// `type`: of the gradient.
Result run_l2(Device& device, const TensorDesc& desc, const Values& y, const Values& target, const Values* intensities,
              DataType type = DataType::float32) {
  TensorDesc dy_desc = desc;
  dy_desc.type = type;
  OperationRun<L2Loss> run(device, {desc, dy_desc});
  Values dy, loss;
  L2LossArguments arguments;
  arguments.y = f32(run.input(desc, y));
  arguments.target = f32(run.input(desc, target));
  if (intensities) arguments.intensities = run.input(*intensities);
  arguments.dy = run.output(dy_desc, &dy);
  arguments.loss = run.output(1, &loss);
  run.execute(arguments);
  return {loss[0], dy};
}

enum class Gradient { separate, in_place, none };

Result run_heatmap(Device& device, const HeatmapSpec& heatmap, const TensorDesc& desc, const Values& y,
                   const Values& intensities, const Values& points, Gradient gradient = Gradient::separate,
                   DataType type = DataType::float32) {
  TensorDesc dy_desc = desc;
  dy_desc.type = type;
  OperationRun<HeatmapLoss> run(device, {heatmap, desc, dy_desc});
  Values dy, loss;
  HeatmapLossArguments arguments;
  arguments.labels.intensities = run.input(intensities);
  arguments.labels.points = run.input(points);
  arguments.loss = run.output(1, &loss);
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
using LossTest = OperationTest<LossCase, HeatmapLoss, L2Loss, HeatmapRender>;

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

    const std::vector<float> float_points(points.begin(), points.end());
    Values target;
    for (int n = 0; n < shape.n; ++n)
      for (int v = 0; v < shape.h; ++v)
        for (int u = 0; u < shape.w; ++u)
          for (int k = 0; k < shape.c; ++k) {
            const size_t map = static_cast<size_t>(n) * shape.c + k;
            target.push_back(reference::heatmap_value(heatmap, intensities[map], &float_points[map * 4], u, v));
          }
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

// A prediction equal to the rendered target has no loss: both operations draw the same targets.
TEST_P(LossTest, PerfectPredictionHasNoLoss) {
  const Shape& shape = test_case().shape;
  const TensorDesc desc = device().activation(shape);
  const HeatmapSpec heatmap;
  const Values intensities = uniform(test_case().maps(), 0, 5, 9), points = uniform(test_case().maps() * 4, 0, 64, 10);
  OperationRun<HeatmapRender> run(device(), {heatmap, desc});
  Values target;
  run.execute({{run.input(intensities), run.input(points)}, f32(run.output(desc, &target))});
  const Result got = run_heatmap(device(), heatmap, desc, target, intensities, points);
  EXPECT_EQ(got.loss, 0);
  expect_equal(got.dy, Values(target.size(), 0.0), "dy");
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
using LossByHandTest = OperationTest<SmallMaps, HeatmapLoss, L2Loss>;

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

TEST_P(LossByHandTest, APredictionThatIsNoNumberShowsInTheLoss) {
  const TensorDesc desc = device().activation({1, 1, 2, 1});
  OperationRun<L2Loss> run(device(), {desc, desc});
  Values loss;
  L2LossArguments arguments;
  arguments.y = f32(run.input(desc, {1, kNan}));
  arguments.target = f32(run.input(desc, {0, 0}));
  arguments.loss = run.output(1, &loss);
  run.execute(arguments);
  EXPECT_TRUE(std::isnan(loss[0]));
}

TEST_P(LossByHandTest, WhatTheCudaKernelsCannotDoIsRefused) {
  if (device().kind() == DeviceKind::cpu) GTEST_SKIP() << "the cpu device has no such limits";
  const TensorDesc many = nhwc({65536, 1, 1, 1}), padded{{1, 4, 4, 5}, DataType::float32, 8};
  expect_error([&] { make_operation(device(), HeatmapLoss{{}, many, many}); }, "takes at most 65535 pictures");
  expect_error([&] { make_operation(device(), L2Loss{padded, padded}); }, "y has 5 channels in blocks of 8");
}
INSTANTIATE_TEST_SUITE_P(Devices, LossByHandTest, on_every_device(std::vector<SmallMaps>(1)), case_name<SmallMaps>);

TEST(LossReferenceTest, GradientEqualsFiniteDifferences) {
  const Shape shape{2, 3, 5, 3};
  const size_t elements = static_cast<size_t>(shape.elements());
  Values y = uniform(elements, -1, 5, 12);
  const Values target = uniform(elements, 0, 5, 13), intensities = {1, -1, 0, 2, 3, -1};
  const Result at = expected_l2(shape, y, target, &intensities);
  for (size_t i = 0; i < elements; ++i) {
    const double before = y[i], step = 1e-4;
    y[i] = before + step;
    const double above = expected_l2(shape, y, target, &intensities).loss;
    y[i] = before - step;
    const double below = expected_l2(shape, y, target, &intensities).loss;
    y[i] = before;
    EXPECT_NEAR((above - below) / (2 * step), at.dy[i], 1e-9) << "element " << i;
  }
}

TEST(LossSpecTest, NonsenseIsRefused) {
  EXPECT_NO_THROW((HeatmapLoss{{}, nhwc({1, 64, 64, 5}), nhwc({1, 64, 64, 5})}.check()));
  EXPECT_NO_THROW((L2Loss{nhwc({1, 64, 64, 5}), nhwc({1, 64, 64, 5})}.check()));
  expect_error([] { HeatmapLoss{{}, nhwc({0, 64, 64, 5}), {}}.check(); }, "heatmap_loss: y is 0x64x64x5");
  expect_error([] { HeatmapLoss{{.cut = -1}, nhwc({1, 64, 64, 5}), {}}.check(); }, "heatmap: cut is -1");
  expect_error([] { L2Loss{nhwc({1, 64, -1, 5}), {}}.check(); }, "l2_loss: y is 1x64x-1x5");
  expect_error([] { L2Loss{nhwc({1, 64, 64, 5}, DataType::bfloat16), {}}.check(); }, "l2_loss: y is bfloat16");
}

}  // namespace
}  // namespace sandglass::test
