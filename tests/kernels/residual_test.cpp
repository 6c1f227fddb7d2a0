// The end of a bottleneck on every device against its float64 reference, and the reference against finite differences.
#include "kernels/residual/residual.h"

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

struct Inputs {
  explicit Inputs(const Shape& shape)
      : pixels(shape.pixels()),
        z(integers(static_cast<size_t>(shape.elements()), -20, 20, 1)),
        shortcut(integers(z.size(), -20, 20, 2)),
        scale(integers(shape.c, -3, 3, 3)),
        shift(integers(shape.c, -20, 20, 4)),
        scale2(integers(shape.c, -3, 3, 5)),
        shift2(integers(shape.c, -20, 20, 6)) {}
  int64_t pixels;
  Values z, shortcut, scale, shift, scale2, shift2;

  /// With the maps as elements of this type hold them.
  Inputs stored_as(DataType type) const {
    Inputs inputs = *this;
    inputs.z = rounded(z, type);
    inputs.shortcut = rounded(shortcut, type);
    return inputs;
  }
};

Inputs random_inputs(const Shape& shape) {
  Inputs inputs(shape);
  inputs.z = uniform(inputs.z.size(), -2, 3, 7);
  inputs.shortcut = uniform(inputs.z.size(), -1, 2, 8);
  inputs.scale = uniform(shape.c, -2, 2, 9);
  inputs.shift = uniform(shape.c, -1, 1, 10);
  inputs.scale2 = uniform(shape.c, -2, 2, 11);
  inputs.shift2 = uniform(shape.c, -1, 1, 12);
  return inputs;
}

enum class Alias { none, z, shortcut };

class ResidualForwardTest : public OperationTest<MapCase, ResidualForward> {
 protected:
  void compare(const Inputs& inputs, bool exact) {
    for (const DataType type : element_types(device())) compare(inputs.stored_as(type), type, exact);
  }
  void compare(const Inputs& inputs, DataType type, bool exact) {
    const Shape& shape = test_case().shape;
    for (bool transform : {false, true}) {
      Values expected(inputs.z.size());
      reference::residual_forward(inputs.pixels, shape.c, inputs.z.data(), inputs.scale.data(), inputs.shift.data(),
                                  inputs.shortcut.data(), transform ? inputs.scale2.data() : nullptr,
                                  transform ? inputs.shift2.data() : nullptr, expected.data());
      for (const TensorDesc& desc : layouts(device(), shape, type))
        for (Alias alias : {Alias::none, Alias::z, Alias::shortcut}) {
          SCOPED_TRACE(fmt::format("{}, block {}, transform {}, alias {}", name_of(type), desc.block, transform,
                                   static_cast<int>(alias)));
          OperationRun<ResidualForward> run(device(), {desc, transform});
          Values y = alias == Alias::z ? inputs.z : inputs.shortcut;
          ResidualForwardArguments arguments;
          arguments.y = alias == Alias::none ? run.output(desc, &y) : run.in_out(desc, &y);
          arguments.z = alias == Alias::z ? arguments.y : run.input(desc, inputs.z);
          arguments.shortcut = alias == Alias::shortcut ? arguments.y : run.input(desc, inputs.shortcut);
          arguments.scale = run.input(inputs.scale);
          arguments.shift = run.input(inputs.shift);
          if (transform) {
            arguments.shortcut_scale = run.input(inputs.scale2);
            arguments.shortcut_shift = run.input(inputs.shift2);
          }
          run.execute(arguments);
          exact ? expect_equal(y, rounded(expected, type), "y") : expect_close(y, expected, "y", limits_for(type));
        }
    }
  }
};

TEST_P(ResidualForwardTest, integers_are_exact) { compare(Inputs(test_case().shape), true); }
TEST_P(ResidualForwardTest, random_numbers_are_close) { compare(random_inputs(test_case().shape), false); }

INSTANTIATE_TEST_SUITE_P(Devices, ResidualForwardTest, on_every_device(map_cases()), case_name<MapCase>);

class ResidualBackwardTest : public OperationTest<MapCase, ResidualBackward> {
 protected:
  void compare(const Inputs& inputs, const Values& dy, bool exact) {
    for (const DataType type : element_types(device())) compare(inputs.stored_as(type), rounded(dy, type), type, exact);
  }
  void compare(const Inputs& inputs, const Values& dy, DataType type, bool exact) {
    const Shape& shape = test_case().shape;
    const Values y = integers(dy.size(), -1, 2, 13);  // only its sign counts; zero passes no gradient
    Values expected_g(dy.size()), expected_sum(shape.c), expected_sum_z(shape.c), expected_sum_shortcut(shape.c);
    reference::residual_backward(inputs.pixels, shape.c, dy.data(), y.data(), inputs.z.data(), inputs.shortcut.data(),
                                 expected_g.data(), expected_sum.data(), expected_sum_z.data(),
                                 expected_sum_shortcut.data());
    const auto compare_sums = [&](const Values& got, const Values& expected, const char* what) {
      exact ? expect_equal(got, expected, what) : expect_close(got, expected, what);
    };
    for (const TensorDesc& desc : layouts(device(), shape, type))
      for (bool transform : {false, true})
        for (bool in_place : {false, true}) {
          SCOPED_TRACE(
              fmt::format("{}, block {}, transform {}, in place {}", name_of(type), desc.block, transform, in_place));
          OperationRun<ResidualBackward> run(device(), {desc, transform});
          Values g = dy, sum, sum_z, sum_shortcut;
          ResidualBackwardArguments arguments;
          arguments.g = in_place ? run.in_out(desc, &g) : run.output(desc, &g);
          arguments.dy = in_place ? arguments.g : run.input(desc, dy);
          arguments.y = run.input(desc, y);
          arguments.z = run.input(desc, inputs.z);
          arguments.sum = run.output<double>(shape.c, &sum);
          arguments.sum_z = run.output<double>(shape.c, &sum_z);
          if (transform) {
            arguments.shortcut = run.input(desc, inputs.shortcut);
            arguments.sum_shortcut = run.output<double>(shape.c, &sum_shortcut);
          }
          run.execute(arguments);
          expect_equal(g, expected_g, "g");
          compare_sums(sum, expected_sum, "sum");
          compare_sums(sum_z, expected_sum_z, "sum_z");
          if (transform) compare_sums(sum_shortcut, expected_sum_shortcut, "sum_shortcut");
        }
  }
};

TEST_P(ResidualBackwardTest, integers_are_exact) {
  const Inputs inputs(test_case().shape);
  compare(inputs, integers(inputs.z.size(), -9, 9, 14), true);
}
TEST_P(ResidualBackwardTest, random_numbers_are_close) {
  const Inputs inputs = random_inputs(test_case().shape);
  compare(inputs, uniform(inputs.z.size(), -1, 2, 15), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, ResidualBackwardTest, on_every_device(map_cases()), case_name<MapCase>);

TEST(ResidualReference, lets_nan_through_its_relu) {
  const double z = NAN, one = 1, zero = 0;
  double y = 0;
  reference::residual_forward(1, 1, &z, &one, &zero, &zero, nullptr, nullptr, &y);
  EXPECT_TRUE(std::isnan(y));
}

TEST(ResidualReference, gradient_is_that_of_finite_differences) {
  constexpr int kPixels = 10, kChannels = 4;
  const Inputs inputs = random_inputs({1, 1, kPixels, kChannels});
  Values z = inputs.z, shortcut = inputs.shortcut, shift = inputs.shift, scale = inputs.scale, scale2 = inputs.scale2;
  const Values dy = uniform(z.size(), -1, 1, 16);
  const auto forward = [&] {
    Values y(z.size());
    reference::residual_forward(kPixels, kChannels, z.data(), scale.data(), shift.data(), shortcut.data(),
                                scale2.data(), inputs.shift2.data(), y.data());
    return y;
  };
  Values g(z.size()), sum(kChannels), sum_z(kChannels), sum_shortcut(kChannels);
  reference::residual_backward(kPixels, kChannels, dy.data(), forward().data(), z.data(), shortcut.data(), g.data(),
                               sum.data(), sum_z.data(), sum_shortcut.data());
  const auto slope = [&](double& parameter) {
    const double kept = parameter, h = 1e-6;
    parameter = kept + h;
    const double above = dot(forward(), dy);
    parameter = kept - h;
    const double below = dot(forward(), dy);
    parameter = kept;
    return (above - below) / (2 * h);
  };
  for (size_t i = 0; i < z.size(); ++i) {
    EXPECT_NEAR(g[i] * scale[i % kChannels], slope(z[i]), 1e-7);
    EXPECT_NEAR(g[i] * scale2[i % kChannels], slope(shortcut[i]), 1e-7);
  }
  for (int c = 0; c < kChannels; ++c) {
    EXPECT_NEAR(sum[c], slope(shift[c]), 1e-7);
    EXPECT_NEAR(sum_z[c], slope(scale[c]), 1e-7);
    EXPECT_NEAR(sum_shortcut[c], slope(scale2[c]), 1e-7);
  }
}

TEST(ResidualSpecs, errors_say_what_is_wrong) {
  expect_error([] { ResidualForward{{{1, 4, 4, 0}, DataType::float32, 8}}.check(); }, "z is 1x4x4x0");
  expect_error([] { ResidualBackward{{{1, 4, 4, 8}, DataType::float32, -1}}.check(); }, "no layout");
}

}  // namespace
}  // namespace sandglass::test
