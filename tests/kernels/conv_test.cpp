// Convolution on every device against its float64 reference, and the reference against what defines a gradient.
#include "kernels/conv/conv.h"

#include <cmath>

#include "kernels/batch_norm/batch_norm.h"
#include "tests/kernels/conv_inputs.h"
#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

struct ConvCase {
  ConvShape shape;
  std::string name() const { return to_string(shape) + fmt::format("_padding{}", shape.padding); }
};

// The network's convolutions at width 256, each pair of channel counts on a small picture and each picture size with
// few channels, so that the float64 reference stays affordable; and odd shapes, where kernels have their tails.
std::vector<ConvCase> cases() {
  std::vector<ConvCase> result = {
      // n, h, w, c, k, r, s, stride, padding
      {{1, 64, 64, 3, 64, 7, 7, 2, 3}},    // stem
      {{1, 256, 256, 3, 4, 7, 7, 2, 3}},   //
      {{2, 16, 16, 64, 64, 1, 1, 1, 0}},   // 1x1 of the bottlenecks
      {{1, 16, 16, 64, 128, 1, 1, 1, 0}},  //
      {{1, 16, 16, 128, 64, 1, 1, 1, 0}},  //
      {{1, 8, 8, 128, 256, 1, 1, 1, 0}},   //
      {{1, 8, 8, 256, 128, 1, 1, 1, 0}},   //
      {{2, 4, 4, 256, 256, 1, 1, 1, 0}},   // last convolutions
      {{1, 16, 16, 256, 5, 1, 1, 1, 0}},   //
      {{1, 16, 16, 64, 64, 3, 3, 1, 1}},   // 3x3 of the bottlenecks
      {{2, 8, 8, 128, 128, 3, 3, 1, 1}},   //
      {{1, 128, 128, 8, 16, 3, 3, 1, 1}},  //
      {{1, 64, 64, 16, 16, 3, 3, 1, 1}},   //
      {{2, 32, 32, 16, 24, 3, 3, 1, 1}},   //
      {{4, 4, 4, 64, 64, 3, 3, 1, 1}},     //
      {{1, 64, 64, 32, 16, 1, 1, 1, 0}},   //
      {{3, 5, 7, 3, 5, 3, 3, 1, 1}},       // odd sizes
      {{1, 17, 30, 5, 1, 3, 3, 1, 1}},     //
      {{3, 7, 5, 8, 64, 3, 3, 1, 1}},      //
      {{3, 17, 18, 32, 16, 3, 3, 1, 1}},   //
      {{1, 30, 17, 24, 130, 1, 1, 1, 0}},  //
      {{1, 5, 5, 200, 64, 1, 1, 1, 0}},    //
      {{1, 5, 17, 200, 8, 3, 3, 1, 1}},    //
      {{1, 17, 17, 64, 64, 3, 3, 2, 1}},   // stride 2
      {{3, 7, 30, 5, 5, 3, 3, 2, 1}},      //
      {{1, 30, 30, 8, 130, 1, 1, 2, 0}},   //
      {{1, 7, 17, 24, 5, 7, 7, 2, 3}},     //
      {{1, 9, 9, 8, 8, 5, 5, 1, 2}},       // other filters
      {{1, 9, 8, 8, 16, 3, 1, 1, 0}},      //
      {{1, 6, 6, 8, 8, 3, 3, 1, 0}},       //
  };
#ifdef SANDGLASS_SANITIZED
  // The large ones take minutes there, and reach the same code as the others.
  std::erase_if(result, [](const ConvCase& c) { return c.shape.macs() > 3e6; });
#endif
  return result;
}

// Float sums of thousands of products, and Winograd's transforms, which multiply by fractions that binary numbers
// cannot hold, lose more than one rounding: measured up to 7e-12 and 2e-5. A single product left out costs far more.
constexpr Limits kLimits{3e-11, 5e-5};

// Exact for integers, except that Winograd must only come so near to the integer that rounding gives it.
void compare(Values got, const Values& expected, const std::string& implementation, bool exact, const char* what) {
  if (!exact) return expect_close(got, expected, what, kLimits);
  if (implementation.find("winograd") != std::string::npos)
    for (double& v : got) v = std::abs(v - std::round(v)) < 0.1 ? std::round(v) : v;
  expect_equal(got, expected, what);
}

// How the maps of a convolution's input and output are stored.
struct MapTypes {
  DataType input = DataType::float32, output = DataType::float32;
};
std::string to_string(const MapTypes& types) {
  return fmt::format("{} to {}", name_of(types.input), name_of(types.output));
}

// Random numbers and large shapes test float maps; integers all types, also the network's last convolution's, whose
// heatmaps are float.
std::vector<MapTypes> map_types(const Device& device, const ConvShape& shape, bool exact) {
  std::vector<MapTypes> types = {{}};
  if (exact && shape.macs() < 3e6 && device.stores(DataType::bfloat16)) {
    types.push_back({DataType::bfloat16, DataType::bfloat16});
    types.push_back({DataType::bfloat16, DataType::float32});
  }
  return types;
}

// The network's picture has a layout of its own.
TensorDesc input_layout(const Device& device, const ConvShape& shape, DataType type) {
  TensorDesc desc = shape.c == 3 ? device.picture(shape.input()) : device.activation(shape.input());
  desc.type = type;
  return desc;
}
TensorDesc layout(const Device& device, const Shape& shape, DataType type) {
  TensorDesc desc = device.activation(shape);
  desc.type = type;
  return desc;
}

struct ForwardOptions {
  bool transform = false, transform_relu = false, bias = false, residual = false, in_place = false, relu = false,
       statistics = false;
};

class ConvForwardTest : public OperationTest<ConvCase, ConvForward> {
 protected:
  void compare_with_reference(const ConvInputs& in, bool exact) {
    const ConvShape& shape = test_case().shape;
    const ForwardOptions options[] = {
        {},
        {.transform = true},
        {.transform = true, .transform_relu = true, .statistics = true},
        {.bias = true, .statistics = true},
        {.bias = true, .residual = true, .relu = true},
        {.transform = true, .transform_relu = true, .bias = true, .residual = true, .in_place = true, .relu = true},
        {.residual = true, .in_place = true},
        {.relu = true},
    };
    for (const MapTypes types : map_types(device(), shape, exact))
      for (const ForwardOptions& option : options) {
        SCOPED_TRACE(fmt::format("option {}, {}", &option - options, to_string(types)));
        compare_with_reference(shape, types, in, option, exact);
      }
  }

 private:
  void compare_with_reference(const ConvShape& shape, MapTypes types, const ConvInputs& in,
                              const ForwardOptions& option, bool exact) {
    Values expected(in.dy.size());
    reference::Transform transform;
    if (option.transform) transform = {in.scale.data(), in.shift.data(), option.transform_relu};
    reference::conv_forward(shape, in.x.data(), in.w.data(), transform, option.bias ? in.bias.data() : nullptr,
                            option.residual ? in.residual.data() : nullptr, option.relu, expected.data());
    if (exact) expected = rounded(expected, types.output);

    ConvForward spec;
    spec.shape = shape;
    spec.x = input_layout(device(), shape, types.input);
    spec.y = layout(device(), shape.output(), types.output);
    spec.input_transform = option.transform;
    spec.bias = option.bias;
    spec.residual = option.residual;
    spec.relu = option.relu;
    spec.statistics = option.statistics;
    OperationRun<ConvForward> run(device(), spec);
    Values y = in.residual, sum, sum_squares;
    ConvForwardArguments arguments;
    arguments.x = run.input(spec.x, in.x);
    arguments.weights = weights_for(run, in.w, spec.weights);
    arguments.y = option.in_place ? run.in_out(spec.y, &y) : run.output(spec.y, &y);
    if (option.transform) arguments.transform = {run.input(in.scale), run.input(in.shift), option.transform_relu};
    if (option.bias) arguments.bias = run.input(in.bias);
    if (option.residual) arguments.residual = option.in_place ? arguments.y : run.input(spec.y, in.residual);
    if (option.statistics) {
      arguments.sum = run.output<double>(shape.k, &sum);
      arguments.sum_squares = run.output<double>(shape.k, &sum_squares);
    }
    run.execute(arguments);
    const std::string implementation = run.operation().implementation();
    SCOPED_TRACE(implementation);
    compare(y, expected, implementation, exact, "y");
    if (!option.statistics) return;
    // Not exact for integers either: their squares add up to more than a float's 24 bits.
    Values expected_sum(shape.k), expected_squares(shape.k);
    for (size_t i = 0; i < expected.size(); ++i) {
      expected_sum[i % shape.k] += expected[i];
      expected_squares[i % shape.k] += expected[i] * expected[i];
    }
    expect_close(sum, expected_sum, "sum", kLimits);
    expect_close(sum_squares, expected_squares, "sum_squares", kLimits);
  }
};

TEST_P(ConvForwardTest, integers_are_exact) { compare_with_reference(integer_inputs(test_case().shape), true); }
TEST_P(ConvForwardTest, random_numbers_are_close) { compare_with_reference(random_inputs(test_case().shape), false); }

INSTANTIATE_TEST_SUITE_P(Devices, ConvForwardTest, on_every_device(cases()), case_name<ConvCase>);

class ConvBackwardDataTest : public OperationTest<ConvCase, ConvBackwardData> {
 protected:
  void compare_with_reference(const ConvInputs& in, bool exact) {
    const ConvShape& shape = test_case().shape;
    for (const MapTypes types : map_types(device(), shape, exact)) {
      SCOPED_TRACE(to_string(types));
      for (bool accumulate : {false, true})
        for (bool mask : {false, true}) compare_with_reference(shape, types, in, accumulate, mask, exact);
    }
  }

 private:
  void compare_with_reference(const ConvShape& shape, MapTypes types, const ConvInputs& in, bool accumulate, bool mask,
                              bool exact) {
    SCOPED_TRACE(fmt::format("accumulate {}, mask {}", accumulate, mask));
    Values expected = accumulate ? in.before : Values(in.before.size(), 0.0), expected_sum(shape.c),
           expected_sum_z(shape.c);
    reference::conv_backward_data(shape, in.dy.data(), in.w.data(), expected.data());
    if (exact) expected = rounded(expected, types.input);
    if (mask)
      reference::batch_norm_backward_reduce(shape.input().pixels(), shape.c, expected.data(), in.z.data(),
                                            in.mask_scale.data(), in.mask_shift.data(), expected_sum.data(),
                                            expected_sum_z.data());
    ConvBackwardData spec;
    spec.shape = shape;
    spec.dy = layout(device(), shape.output(), types.output);
    spec.dx = layout(device(), shape.input(), types.input);
    spec.accumulate = accumulate;
    spec.mask = mask;
    OperationRun<ConvBackwardData> run(device(), spec);
    Values dx = in.before, sum, sum_z;
    ConvBackwardDataArguments arguments;
    arguments.dy = run.input(spec.dy, in.dy);
    arguments.weights = weights_for(run, in.w, spec.weights);
    arguments.dx = accumulate ? run.in_out(spec.dx, &dx) : run.output(spec.dx, &dx);
    if (mask) {
      arguments.z = run.input(spec.dx, in.z);
      arguments.scale = run.input(in.mask_scale);
      arguments.shift = run.input(in.mask_shift);
      arguments.sum = run.output<double>(shape.c, &sum);
      arguments.sum_z = run.output<double>(shape.c, &sum_z);
    }
    run.execute(arguments);
    const std::string implementation = run.operation().implementation();
    SCOPED_TRACE(implementation);
    compare(dx, expected, implementation, exact, "dx");
    if (mask) {
      expect_close(sum, expected_sum, "sum", kLimits);
      expect_close(sum_z, expected_sum_z, "sum_z", kLimits);
    }
  }
};

TEST_P(ConvBackwardDataTest, integers_are_exact) { compare_with_reference(integer_inputs(test_case().shape), true); }
TEST_P(ConvBackwardDataTest, random_numbers_are_close) {
  compare_with_reference(random_inputs(test_case().shape), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, ConvBackwardDataTest, on_every_device(cases()), case_name<ConvCase>);

class ConvBackwardWeightsTest : public OperationTest<ConvCase, ConvBackwardWeights> {
 protected:
  enum class Transform { none, scale, scale_relu };
  void compare_with_reference(const ConvInputs& in, bool exact) {
    const ConvShape& shape = test_case().shape;
    for (const MapTypes types : map_types(device(), shape, exact)) {
      SCOPED_TRACE(to_string(types));
      for (Transform mode : {Transform::none, Transform::scale, Transform::scale_relu})
        for (bool bias : {false, true}) compare_with_reference(shape, types, in, mode, bias, exact);
    }
  }

 private:
  void compare_with_reference(const ConvShape& shape, MapTypes types, const ConvInputs& in, Transform mode, bool bias,
                              bool exact) {
    SCOPED_TRACE(fmt::format("transform {}, bias {}", static_cast<int>(mode), bias));
    const bool relu = mode == Transform::scale_relu;
    reference::Transform transform;
    if (mode != Transform::none) transform = {in.scale.data(), in.shift.data(), relu};
    Values expected(in.w.size()), expected_db(shape.k);
    reference::conv_backward_weights(shape, in.x.data(), in.dy.data(), transform, expected.data());
    for (size_t i = 0; i < in.dy.size(); ++i) expected_db[i % shape.k] += in.dy[i];

    ConvBackwardWeights spec;
    spec.shape = shape;
    spec.x = input_layout(device(), shape, types.input);
    spec.dy = layout(device(), shape.output(), types.output);
    spec.input_transform = mode != Transform::none;
    spec.bias = bias;
    OperationRun<ConvBackwardWeights> run(device(), spec);
    Values dw, db;
    ConvBackwardWeightsArguments arguments;
    arguments.x = run.input(spec.x, in.x);
    arguments.dy = run.input(spec.dy, in.dy);
    arguments.dw = run.output(in.w.size(), &dw);
    if (bias) arguments.db = run.output(shape.k, &db);
    if (mode != Transform::none) arguments.transform = {run.input(in.scale), run.input(in.shift), relu};
    // On the cpu oneDNN gives each of its threads a part of the sum over pixels, so that the bits depend on how
    // many there are.
    run.execute(arguments, device().kind() == DeviceKind::cpu ? Bits::same_for_equal_threads : Bits::same);
    const std::string implementation = run.operation().implementation();
    SCOPED_TRACE(implementation);
    compare(dw, expected, implementation, exact, "dw");
    if (bias) compare(db, expected_db, implementation, exact, "db");
  }
};

TEST_P(ConvBackwardWeightsTest, integers_are_exact) { compare_with_reference(integer_inputs(test_case().shape), true); }
TEST_P(ConvBackwardWeightsTest, random_numbers_are_close) {
  compare_with_reference(random_inputs(test_case().shape), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, ConvBackwardWeightsTest, on_every_device(cases()), case_name<ConvCase>);

TEST(ConvReference, convolves_a_picture_worked_out_by_hand) {
  // One channel, 3x3 filter, padding 1, stride 2: outputs look at the corners of a 3x3 picture.
  const ConvShape shape{1, 3, 3, 1, 1, 3, 3, 2, 1};
  const Values x = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}, bias = {0.5};
  Values y(4);
  reference::conv_forward(shape, x.data(), w.data(), {}, bias.data(), nullptr, false, y.data());
  EXPECT_EQ(y, (Values{540210000.5, 65032000.5, 870540.5, 98065.5}));
}

TEST(ConvReference, lets_nan_through_both_relus) {
  const double x = NAN, one = 1, zero = 0;
  double y = 0;
  reference::conv_forward({1, 1, 1, 1, 1}, &x, &one, {&one, &zero, true}, nullptr, nullptr, true, &y);
  EXPECT_TRUE(std::isnan(y));
}

TEST(ConvReference, transform_leaves_the_padding_zero) {
  const ConvShape shape{1, 1, 1, 1, 1, 3, 3, 1, 1};
  const Values x = {-2}, w(9, 1.0), scale = {3}, shift = {7};
  double y;
  reference::conv_forward(shape, x.data(), w.data(), {scale.data(), shift.data(), false}, nullptr, nullptr, false, &y);
  EXPECT_EQ(y, -2 * 3 + 7);
}

using ConvReferenceTest = testing::TestWithParam<ConvShape>;

// <conv(x, w), dy> = <x, dx> = <w, dw>: convolution is linear in x and in w, and each gradient is the adjoint.
TEST_P(ConvReferenceTest, gradients_are_adjoint) {
  const ConvShape& shape = GetParam();
  const ConvInputs in = random_inputs(shape);
  Values y(in.dy.size()), dx(in.x.size(), 0.0), dw(in.w.size());
  reference::conv_forward(shape, in.x.data(), in.w.data(), {}, nullptr, nullptr, false, y.data());
  reference::conv_backward_data(shape, in.dy.data(), in.w.data(), dx.data());
  reference::conv_backward_weights(shape, in.x.data(), in.dy.data(), {}, dw.data());
  const double expected = dot(y, in.dy);
  EXPECT_NEAR(dot(in.x, dx), expected, 1e-12 * std::sqrt(dot(y, y) * dot(in.dy, in.dy)));
  EXPECT_NEAR(dot(in.w, dw), expected, 1e-12 * std::sqrt(dot(y, y) * dot(in.dy, in.dy)));
}

// The loss <conv(relu(x * scale + shift), w) + bias, dy> and the gradients that training composes from the operations.
TEST_P(ConvReferenceTest, gradients_are_those_of_finite_differences) {
  const ConvShape& shape = GetParam();
  ConvInputs in = random_inputs(shape);
  const reference::Transform transform{in.scale.data(), in.shift.data(), true};
  const auto loss = [&] {
    Values y(in.dy.size());
    reference::conv_forward(shape, in.x.data(), in.w.data(), transform, in.bias.data(), nullptr, false, y.data());
    return dot(y, in.dy);
  };
  Values g(in.x.size(), 0.0), dw(in.w.size()), sum(shape.c), sum_x(shape.c);
  reference::conv_backward_data(shape, in.dy.data(), in.w.data(), g.data());
  reference::batch_norm_backward_reduce(shape.input().pixels(), shape.c, g.data(), in.x.data(), in.scale.data(),
                                        in.shift.data(), sum.data(), sum_x.data());
  reference::conv_backward_weights(shape, in.x.data(), in.dy.data(), transform, dw.data());
  const auto slope = [&](double& parameter) {
    const double kept = parameter, h = 1e-6;
    parameter = kept + h;
    const double above = loss();
    parameter = kept - h;
    const double below = loss();
    parameter = kept;
    return (above - below) / (2 * h);
  };
  for (size_t i = 0; i < in.x.size(); i += 1 + in.x.size() / 50)
    EXPECT_NEAR(g[i] * in.scale[i % shape.c], slope(in.x[i]), 1e-6) << "x " << i;
  for (size_t i = 0; i < in.w.size(); i += 1 + in.w.size() / 50) EXPECT_NEAR(dw[i], slope(in.w[i]), 1e-6) << "w " << i;
  for (int c = 0; c < shape.c; ++c) {
    EXPECT_NEAR(sum_x[c], slope(in.scale[c]), 1e-6) << "scale " << c;
    EXPECT_NEAR(sum[c], slope(in.shift[c]), 1e-6) << "shift " << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ConvReferenceTest,
                         testing::Values(ConvShape{2, 5, 4, 3, 4, 3, 3, 1, 1}, ConvShape{1, 6, 7, 2, 3, 1, 1, 1, 0},
                                         ConvShape{1, 9, 8, 3, 2, 7, 7, 2, 3}, ConvShape{3, 5, 5, 2, 2, 3, 3, 2, 1},
                                         ConvShape{1, 6, 5, 2, 3, 3, 1, 1, 0}),
                         [](const auto& info) { return to_string(info.param); });

TEST(ConvSpecs, errors_say_what_is_wrong) {
  const ConvShape good{2, 8, 8, 16, 24, 3, 3, 1, 1};
  const auto desc = [](Shape shape) { return TensorDesc{shape, DataType::float32, 8}; };
  ConvShape bad = good;
  bad.stride = 0;
  expect_error([&] { bad.check(); }, "positive");
  bad = good;
  bad.h = 2, bad.padding = 0;
  expect_error([&] { bad.check(); }, "smaller than the filter");
  expect_error([&] { ConvForward{good, desc({2, 8, 8, 24}), desc(good.output())}.check(); }, "x is 2x8x8x24");
  expect_error([&] { ConvForward{good, desc(good.input()), desc({2, 8, 7, 24})}.check(); }, "y is 2x8x7x24");
  ConvForward statistics{good, desc(good.input()), desc(good.output())};
  statistics.statistics = statistics.relu = true;
  expect_error([&] { statistics.check(); }, "statistics");
  expect_error([&] { ConvBackwardData{good, desc(good.input()), desc(good.input())}.check(); }, "dy is 2x8x8x16");
  expect_error([&] { ConvBackwardWeights{good, desc(good.output()), desc(good.output())}.check(); }, "x is 2x8x8x24");
  expect_error(
      [&] {
        ConvForward{good, desc(good.input()), {good.output(), DataType::float32, 0}}.check();
      },
      "no layout");
}

}  // namespace
}  // namespace sandglass::test
