// Batch norm on every device against its float64 reference, and the reference against finite differences.
#include "kernels/batch_norm/batch_norm.h"

#include <cmath>

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

// Signs of z * scale + shift decide which gradients pass: multiples of small powers of two make them exact in float.
constexpr double kStep = 1.0 / 64;

struct Inputs {
  explicit Inputs(const Shape& shape, double step)
      : pixels(shape.pixels()),
        z(integers(static_cast<size_t>(shape.elements()), -100, 100, 1, step)),
        g(integers(static_cast<size_t>(shape.elements()), -9, 9, 2)),
        scale(integers(shape.c, -4, 4, 3)),
        shift(integers(shape.c, -80, 80, 4, step)) {}
  int64_t pixels;
  Values z, g, scale, shift;

  /// With the maps as elements of this type hold them.
  Inputs stored_as(DataType type) const {
    Inputs inputs = *this;
    inputs.z = rounded(z, type);
    inputs.g = rounded(g, type);
    return inputs;
  }
};

// One rounding of an exact result, or a result of rounded inputs.
void expect_map(const Values& got, const Values& expected, const char* what, DataType type, bool exact) {
  exact ? expect_equal(got, rounded(expected, type), what) : expect_close(got, expected, what, limits_for(type));
}

class BatchNormApplyTest : public OperationTest<MapCase, BatchNormApply> {
 protected:
  void compare(const Inputs& inputs, bool exact) {
    for (const DataType type : element_types(device())) compare(inputs.stored_as(type), type, exact);
  }
  void compare(const Inputs& inputs, DataType type, bool exact) {
    const Shape& shape = test_case().shape;
    for (const TensorDesc& desc : layouts(device(), shape, type))
      for (bool relu : {false, true})
        for (bool in_place : {false, true}) {
          SCOPED_TRACE(fmt::format("{}, block {}, relu {}, in place {}", name_of(type), desc.block, relu, in_place));
          Values expected(inputs.z.size());
          reference::batch_norm_apply(inputs.pixels, shape.c, inputs.z.data(), inputs.scale.data(), inputs.shift.data(),
                                      relu, expected.data());
          OperationRun<BatchNormApply> run(device(), {desc, relu});
          Values y = inputs.z;
          BatchNormApplyArguments arguments;
          arguments.scale = run.input(inputs.scale);
          arguments.shift = run.input(inputs.shift);
          arguments.y = in_place ? run.in_out(desc, &y) : run.output(desc, &y);
          arguments.z = in_place ? arguments.y : run.input(desc, inputs.z);
          run.execute(arguments);
          expect_map(y, expected, "y", type, exact);
        }
  }
};

TEST_P(BatchNormApplyTest, integers_are_exact) { compare(Inputs(test_case().shape, 1), true); }

TEST_P(BatchNormApplyTest, random_numbers_are_close) {
  Inputs inputs(test_case().shape, 1);
  inputs.z = uniform(inputs.z.size(), -2, 3, 5);
  inputs.scale = uniform(inputs.scale.size(), -2, 2, 6);
  inputs.shift = uniform(inputs.shift.size(), -1, 1, 7);
  compare(inputs, false);
}

INSTANTIATE_TEST_SUITE_P(Devices, BatchNormApplyTest, on_every_device(map_cases()), case_name<MapCase>);

class BatchNormBackwardReduceTest : public OperationTest<MapCase, BatchNormBackwardReduce> {
 protected:
  void compare(const Inputs& inputs, bool exact) {
    for (const DataType type : element_types(device())) compare(inputs.stored_as(type), type, exact);
  }
  void compare(const Inputs& inputs, DataType type, bool exact) {
    const Shape& shape = test_case().shape;
    Values expected_g = inputs.g, expected_sum(shape.c), expected_sum_z(shape.c);
    reference::batch_norm_backward_reduce(inputs.pixels, shape.c, expected_g.data(), inputs.z.data(),
                                          inputs.scale.data(), inputs.shift.data(), expected_sum.data(),
                                          expected_sum_z.data());
    for (const TensorDesc& desc : layouts(device(), shape, type)) {
      SCOPED_TRACE(fmt::format("{}, block {}", name_of(type), desc.block));
      OperationRun<BatchNormBackwardReduce> run(device(), {desc});
      Values g = inputs.g, sum, sum_z;
      BatchNormBackwardReduceArguments arguments;
      arguments.g = run.in_out(desc, &g);
      arguments.z = run.input(desc, inputs.z);
      arguments.scale = run.input(inputs.scale);
      arguments.shift = run.input(inputs.shift);
      arguments.sum = run.output<double>(shape.c, &sum);
      arguments.sum_z = run.output<double>(shape.c, &sum_z);
      run.execute(arguments);
      expect_equal(g, expected_g, "g");
      exact ? expect_equal(sum, expected_sum, "sum") : expect_close(sum, expected_sum, "sum");
      exact ? expect_equal(sum_z, expected_sum_z, "sum_z") : expect_close(sum_z, expected_sum_z, "sum_z");
    }
  }
};

TEST_P(BatchNormBackwardReduceTest, integers_are_exact) { compare(Inputs(test_case().shape, 1), true); }

TEST_P(BatchNormBackwardReduceTest, random_numbers_are_close) {
  Inputs inputs(test_case().shape, kStep);
  inputs.g = uniform(inputs.g.size(), -1, 2, 8);
  compare(inputs, false);
}

INSTANTIATE_TEST_SUITE_P(Devices, BatchNormBackwardReduceTest, on_every_device(map_cases()), case_name<MapCase>);

class BatchNormBackwardApplyTest : public OperationTest<MapCase, BatchNormBackwardApply> {
 protected:
  void compare(const Inputs& inputs, const Values& c, bool exact) {
    for (const DataType type : element_types(device())) compare(inputs.stored_as(type), c, type, exact);
  }
  void compare(const Inputs& inputs, const Values& c, DataType type, bool exact) {
    const Shape& shape = test_case().shape;
    Values expected(inputs.g.size());
    reference::batch_norm_backward_apply(inputs.pixels, shape.c, inputs.g.data(), inputs.z.data(), inputs.scale.data(),
                                         inputs.shift.data(), c.data(), expected.data());
    for (const TensorDesc& desc : layouts(device(), shape, type))
      for (bool in_place : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, block {}, in place {}", name_of(type), desc.block, in_place));
        OperationRun<BatchNormBackwardApply> run(device(), {desc});
        Values dz = inputs.g;
        BatchNormBackwardApplyArguments arguments;
        arguments.z = run.input(desc, inputs.z);
        arguments.a = run.input(inputs.scale);
        arguments.b = run.input(inputs.shift);
        arguments.c = run.input(c);
        arguments.dz = in_place ? run.in_out(desc, &dz) : run.output(desc, &dz);
        arguments.g = in_place ? arguments.dz : run.input(desc, inputs.g);
        run.execute(arguments);
        expect_map(dz, expected, "dz", type, exact);
      }
  }
};

TEST_P(BatchNormBackwardApplyTest, integers_are_exact) {
  compare(Inputs(test_case().shape, 1), integers(test_case().shape.c, -50, 50, 9), true);
}

TEST_P(BatchNormBackwardApplyTest, random_numbers_are_close) {
  Inputs inputs(test_case().shape, 1);
  inputs.z = uniform(inputs.z.size(), -2, 3, 10);
  inputs.g = uniform(inputs.g.size(), -1, 1, 11);
  inputs.scale = uniform(inputs.scale.size(), -2, 2, 12);
  inputs.shift = uniform(inputs.shift.size(), -1, 1, 13);
  compare(inputs, uniform(test_case().shape.c, -1, 1, 14), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, BatchNormBackwardApplyTest, on_every_device(map_cases()), case_name<MapCase>);

struct ChannelCase {
  int channels;
  int64_t count;
  std::string name() const { return fmt::format("c{}_m{}", channels, count); }
};

std::vector<ChannelCase> channel_cases() { return {{1, 2}, {5, 35}, {64, 16384}, {200, 2}, {256, 65536}}; }

using BatchNormFinalizeTest = OperationTest<ChannelCase, BatchNormFinalize>;

TEST_P(BatchNormFinalizeTest, agrees_with_the_reference) {
  const BatchNormFinalize spec{
      .channels = test_case().channels, .count = test_case().count, .epsilon = 1e-3f, .momentum = 0.2f};
  const size_t channels = spec.channels;
  // Statistics of channels with mean m and variance v; the last channel is constant, and rounding may have left its
  // variance below zero.
  const Values m = uniform(channels, -3, 3, 1), v = uniform(channels, 0.1, 4, 2);
  const double count = static_cast<double>(spec.count);
  Values sum(channels), sum_squares(channels);
  for (size_t c = 0; c < channels; ++c) sum[c] = m[c] * count, sum_squares[c] = (v[c] + m[c] * m[c]) * count;
  sum_squares.back() = m.back() * m.back() * count * (1 - 1e-9);
  const Values gamma = uniform(channels, -1, 2, 3), beta = uniform(channels, -1, 1, 4);
  Values running_mean = uniform(channels, -1, 1, 5), running_var = uniform(channels, 0.5, 2, 6);

  Values expected_mean(channels), expected_inv_std(channels), expected_scale(channels), expected_shift(channels);
  Values expected_running_mean = running_mean, expected_running_var = running_var;
  reference::batch_norm_finalize(spec, sum.data(), sum_squares.data(), gamma.data(), beta.data(),
                                 expected_running_mean.data(), expected_running_var.data(), expected_mean.data(),
                                 expected_inv_std.data(), expected_scale.data(), expected_shift.data());
  OperationRun<BatchNormFinalize> run(device(), spec);
  Values mean, inv_std, scale, shift;
  BatchNormFinalizeArguments arguments;
  arguments.sum = run.input<double>(sum);
  arguments.sum_squares = run.input<double>(sum_squares);
  arguments.gamma = run.input(gamma);
  arguments.beta = run.input(beta);
  arguments.running_mean = run.in_out(&running_mean);
  arguments.running_var = run.in_out(&running_var);
  arguments.mean = run.output(channels, &mean);
  arguments.inv_std = run.output(channels, &inv_std);
  arguments.scale = run.output(channels, &scale);
  arguments.shift = run.output(channels, &shift);
  run.execute(arguments);
  const Limits limits{1e-13, 1e-6};
  expect_close(running_mean, expected_running_mean, "running_mean", limits);
  expect_close(running_var, expected_running_var, "running_var", limits);
  expect_close(mean, expected_mean, "mean", limits);
  expect_close(inv_std, expected_inv_std, "inv_std", limits);
  expect_close(scale, expected_scale, "scale", limits);
  expect_close(shift, expected_shift, "shift", limits);
}

INSTANTIATE_TEST_SUITE_P(Devices, BatchNormFinalizeTest, on_every_device(channel_cases()), case_name<ChannelCase>);

using BatchNormBackwardFinalizeTest = OperationTest<ChannelCase, BatchNormBackwardFinalize>;

TEST_P(BatchNormBackwardFinalizeTest, agrees_with_the_reference) {
  const BatchNormBackwardFinalize spec{.channels = test_case().channels, .count = test_case().count};
  const size_t channels = spec.channels;
  const Values sum = uniform(channels, -30, 30, 1), sum_z = uniform(channels, -50, 50, 2),
               gamma = uniform(channels, -1, 2, 3), mean = uniform(channels, -1, 1, 4),
               inv_std = uniform(channels, 0.3, 3, 5);
  Values expected_dgamma(channels), expected_dbeta(channels), expected_a(channels), expected_b(channels),
      expected_c(channels);
  reference::batch_norm_backward_finalize(spec, sum.data(), sum_z.data(), gamma.data(), mean.data(), inv_std.data(),
                                          expected_dgamma.data(), expected_dbeta.data(), expected_a.data(),
                                          expected_b.data(), expected_c.data());
  OperationRun<BatchNormBackwardFinalize> run(device(), spec);
  Values dgamma, dbeta, a, b, c;
  BatchNormBackwardFinalizeArguments arguments;
  arguments.sum = run.input<double>(sum);
  arguments.sum_z = run.input<double>(sum_z);
  arguments.gamma = run.input(gamma);
  arguments.mean = run.input(mean);
  arguments.inv_std = run.input(inv_std);
  arguments.dgamma = run.output(channels, &dgamma);
  arguments.dbeta = run.output(channels, &dbeta);
  arguments.a = run.output(channels, &a);
  arguments.b = run.output(channels, &b);
  arguments.c = run.output(channels, &c);
  run.execute(arguments);
  const Limits limits{1e-13, 1e-6};
  expect_close(dgamma, expected_dgamma, "dgamma", limits);
  expect_close(dbeta, expected_dbeta, "dbeta", limits);
  expect_close(a, expected_a, "a", limits);
  expect_close(b, expected_b, "b", limits);
  expect_close(c, expected_c, "c", limits);
}

INSTANTIATE_TEST_SUITE_P(Devices, BatchNormBackwardFinalizeTest, on_every_device(channel_cases()),
                         case_name<ChannelCase>);

// The reference's batch norm as training sees it: from z, gamma and beta to y, all in double.
struct ReferenceForward {
  ReferenceForward(int64_t pixels, int channels, const Values& z, const Values& gamma, const Values& beta)
      : spec{.channels = channels, .count = pixels},
        mean(channels),
        inv_std(channels),
        scale(channels),
        shift(channels),
        y(z.size()) {
    Values sum(channels), sum_squares(channels), running_mean(channels), running_var(channels);
    for (size_t i = 0; i < z.size(); ++i) sum[i % channels] += z[i], sum_squares[i % channels] += z[i] * z[i];
    reference::batch_norm_finalize(spec, sum.data(), sum_squares.data(), gamma.data(), beta.data(), running_mean.data(),
                                   running_var.data(), mean.data(), inv_std.data(), scale.data(), shift.data());
    reference::batch_norm_apply(pixels, channels, z.data(), scale.data(), shift.data(), true, y.data());
  }
  BatchNormFinalize spec;
  Values mean, inv_std, scale, shift, y;
};

TEST(BatchNormReference, normalises_to_mean_beta_and_deviation_gamma) {
  constexpr int kPixels = 400, kChannels = 3;
  const Values z = uniform(kPixels * kChannels, -1, 5, 1), gamma = {0.5, 1, 2}, beta = {10, 20, 30};
  const ReferenceForward forward(kPixels, kChannels, z, gamma, beta);
  for (int c = 0; c < kChannels; ++c) {
    double mean = 0, var = 0;
    for (int i = 0; i < kPixels; ++i) mean += forward.y[i * kChannels + c] / kPixels;
    for (int i = 0; i < kPixels; ++i) var += std::pow(forward.y[i * kChannels + c] - mean, 2) / kPixels;
    EXPECT_NEAR(mean, beta[c], 1e-9);
    EXPECT_NEAR(std::sqrt(var), gamma[c], 1e-4);  // epsilon makes it a little smaller
  }
}

TEST(BatchNormReference, lets_nan_through_its_relu) {
  const double z = NAN, one = 1, zero = 0;
  double y = 0;
  reference::batch_norm_apply(1, 1, &z, &one, &zero, true, &y);
  EXPECT_TRUE(std::isnan(y));
}

TEST(BatchNormReference, running_statistics_are_pytorchs) {
  // Batch 1, 2, 3, 4: mean 2.5, biased variance 1.25, unbiased 5/3.
  const BatchNormFinalize spec{.channels = 1, .count = 4};
  const double sum = 10, sum_squares = 30, gamma = 1, beta = 0;
  double running_mean = 1, running_var = 2, mean, inv_std, scale, shift;
  reference::batch_norm_finalize(spec, &sum, &sum_squares, &gamma, &beta, &running_mean, &running_var, &mean, &inv_std,
                                 &scale, &shift);
  EXPECT_NEAR(running_mean, 0.9 * 1 + 0.1 * 2.5, 1e-7);
  EXPECT_NEAR(running_var, 0.9 * 2 + 0.1 * 5 / 3, 1e-7);
  EXPECT_NEAR(inv_std, 1 / std::sqrt(1.25 + 1e-5), 1e-7);
}

TEST(BatchNormReference, gradients_are_those_of_finite_differences) {
  constexpr int kPixels = 12, kChannels = 3;
  Values z = uniform(kPixels * kChannels, -1, 2, 1), gamma = uniform(kChannels, 0.5, 2, 2),
         beta = uniform(kChannels, -1, 1, 3);
  const Values dy = uniform(z.size(), -1, 1, 4);
  const ReferenceForward forward(kPixels, kChannels, z, gamma, beta);

  Values g = dy, sum(kChannels), sum_z(kChannels), dgamma(kChannels), dbeta(kChannels), a(kChannels), b(kChannels),
         c(kChannels), dz(z.size());
  reference::batch_norm_backward_reduce(kPixels, kChannels, g.data(), z.data(), forward.scale.data(),
                                        forward.shift.data(), sum.data(), sum_z.data());
  reference::batch_norm_backward_finalize({kChannels, kPixels}, sum.data(), sum_z.data(), gamma.data(),
                                          forward.mean.data(), forward.inv_std.data(), dgamma.data(), dbeta.data(),
                                          a.data(), b.data(), c.data());
  reference::batch_norm_backward_apply(kPixels, kChannels, g.data(), z.data(), a.data(), b.data(), c.data(), dz.data());

  const auto loss = [&] { return dot(ReferenceForward(kPixels, kChannels, z, gamma, beta).y, dy); };
  const auto check_gradient = [&](Values& parameter, const Values& gradient, const char* what) {
    for (size_t i = 0; i < parameter.size(); ++i) {
      const double kept = parameter[i], h = 1e-6;
      parameter[i] = kept + h;
      const double above = loss();
      parameter[i] = kept - h;
      const double below = loss();
      parameter[i] = kept;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 1e-7) << what << " " << i;
    }
  };
  check_gradient(z, dz, "dz");
  check_gradient(gamma, dgamma, "dgamma");
  check_gradient(beta, dbeta, "dbeta");
}

TEST(BatchNormSpecs, errors_say_what_is_wrong) {
  expect_error([] { BatchNormFinalize{.channels = 0, .count = 9}.check(); }, "number of channels is 0");
  expect_error([] { BatchNormFinalize{.channels = 3, .count = 1}.check(); }, "1 values per channel");
  expect_error([] { BatchNormFinalize{.channels = 3, .count = 9, .epsilon = 0}.check(); }, "epsilon is 0");
  expect_error([] { BatchNormFinalize{.channels = 3, .count = 9, .momentum = 2}.check(); }, "momentum is 2");
  expect_error([] { BatchNormBackwardFinalize{.channels = -1, .count = 9}.check(); }, "number of channels is -1");
  expect_error([] { BatchNormApply{{{1, 0, 4, 8}, DataType::float32, 8}}.check(); }, "z is 1x0x4x8");
  expect_error([] { BatchNormBackwardReduce{{{1, 4, 4, 8}, DataType::float32, 0}}.check(); }, "no layout");
  expect_error([] { BatchNormBackwardApply{{{1, 4, 4, 8}, DataType::uint8, 8}}.check(); }, "z is uint8");
}

}  // namespace
}  // namespace sandglass::test
