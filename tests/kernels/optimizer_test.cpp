#include "kernels/optimizer/optimizer.h"

#include <cmath>
#include <limits>

#include "tests/kernels/optimizer_fixture.h"
#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct State {
  Values parameters, first_moment, second_moment;
};

// One step; `norm`: the Euclidean norm and the mark of non-finite gradients. `copies`: what the bfloat16 copies hold
// before and after; null: none are asked for.
void step(Device& device, const Optimizer& spec, const OptimizerRates& rates, const Values& gradients,
          const Values& norm, State& state, Values* copies = nullptr, const Values* factors = nullptr) {
  OperationRun<Optimizer> run(device, spec);
  OptimizerArguments arguments;
  arguments.parameters = run.in_out(&state.parameters);
  arguments.gradients = run.input(gradients);
  if (spec.kind == OptimizerKind::adamw) arguments.first_moment = run.in_out(&state.first_moment);
  arguments.second_moment = run.in_out(&state.second_moment);
  arguments.norm = run.input(norm);
  arguments.rates = run.input_objects<OptimizerRates>({rates});
  if (copies) arguments.copies = run.in_out<bfloat16>(copies);
  if (factors) arguments.factors = run.input(*factors);
  run.execute(arguments);
}

Values norm_of(Device& device, const Values& gradients, const Values* factors = nullptr) {
  OperationRun<GradientNorm> run(device, {gradients.size()});
  Values norm;
  GradientNormArguments arguments;
  arguments.gradients = run.input(gradients);
  arguments.norm = run.output(2, &norm);
  if (factors) arguments.factors = run.input(*factors);
  run.execute(arguments);
  return norm;
}

// Against PyTorch, several steps with its own norms: tests/kernels/make_optimizer_fixture.py.
using OptimizerTorchTest = OperationTest<OptimizerFixture, Optimizer, GradientNorm>;

TEST_P(OptimizerTorchTest, StepsEqualPyTorch) {
  const OptimizerFixture& fixture = test_case();
  const Optimizer spec{fixture.kind, kFixtureCount, kFixtureDecayed};
  State state{kFixtureStart, Values(kFixtureCount, 0.0), Values(kFixtureCount, 0.0)};
  OptimizerRates rates;
  rates.rate = fixture.rate;
  rates.decay = fixture.decay;
  rates.clip = fixture.clip;
  for (rates.step = 1; rates.step <= kFixtureSteps; ++rates.step) {
    const auto begin = kFixtureGradients.begin() + (rates.step - 1) * kFixtureCount;
    const Values gradients(begin, begin + kFixtureCount);
    step(device(), spec, rates, gradients, norm_of(device(), gradients), state);
    for (int i = 0; i < kFixtureCount; ++i)
      EXPECT_NEAR(state.parameters[i], fixture.parameters[(rates.step - 1) * kFixtureCount + i], 3e-7)
          << "parameter " << i << " after step " << rates.step;
  }
  // A float 1 - 0.9 is off by 2.4e-7 and a float 1 - 0.999 by 1.3e-5 of what PyTorch computes in double; the bias
  // correction takes that out of the parameters again.
  for (int i = 0; i < kFixtureCount; ++i) {
    EXPECT_NEAR(state.first_moment[i], fixture.first_moment[i], 3e-7) << i;
    EXPECT_NEAR(state.second_moment[i], fixture.second_moment[i], 1.5e-5 * fixture.second_moment[i]) << i;
  }
}
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerTorchTest, on_every_device(kOptimizerFixtures), case_name<OptimizerFixture>);

struct OptimizerCase {
  OptimizerKind kind;
  size_t count, decayed;
  float decay, clip;
  int step;
  std::string name() const {
    return fmt::format("{}_{}_of_{}_decay{}_clip{}_step{}", kind == OptimizerKind::rmsprop ? "rmsprop" : "adamw",
                       decayed, count, decay, clip, step);
  }
};
std::vector<OptimizerCase> optimizer_cases() {
  std::vector<OptimizerCase> cases;
  for (const OptimizerKind kind : {OptimizerKind::rmsprop, OptimizerKind::adamw}) {
    cases.push_back({kind, 1, 0, 0, 0, 1});
    cases.push_back({kind, 1, 1, 0.5f, 0, 2});
    cases.push_back({kind, 1003, 1003, 0.01f, 0.5f, 7});
    cases.push_back({kind, 40007, 0, 0.1f, 1000, 1});        // clip above the norm
    cases.push_back({kind, 40007, 17, 0.1f, 0.5f, 100000});  // beta^t is 0
    cases.push_back({kind, 65536, 32768, 0.1f, 0, 3});
    cases.push_back({kind, 65537, 33333, 0.1f, 1, 3});
  }
  return cases;
}
using OptimizerTest = OperationTest<OptimizerCase, Optimizer, GradientNorm>;

TEST_P(OptimizerTest, EqualsReference) {
  const OptimizerCase& c = test_case();
  const Optimizer spec{c.kind, c.count, c.decayed};
  OptimizerRates rates;
  rates.rate = 0.25f;  // so large that an error of the step cannot hide in the rounding of the parameter
  rates.decay = c.decay;
  rates.clip = c.clip;
  rates.step = c.step;
  State got{uniform(c.count, -1, 1, 1), uniform(c.count, -0.1, 0.1, 2), uniform(c.count, 0, 0.01, 3)};
  const Values gradients = uniform(c.count, -0.3, 0.3, 4);
  State expected = got;
  const double norm = std::sqrt(dot(gradients, gradients));
  reference::optimizer(spec, rates, nullptr, norm, expected.parameters.data(), gradients.data(),
                       expected.first_moment.data(), expected.second_moment.data());
  if (c.kind == OptimizerKind::rmsprop) {
    expect_equal(expected.first_moment, got.first_moment, "RMSprop has no first moment");
  }
  step(device(), spec, rates, gradients, {norm, 0}, got);
  expect_close(got.parameters, expected.parameters, "parameters", {1e-13, 1e-6});
  expect_close(got.first_moment, expected.first_moment, "first moment", {1e-13, 1e-6});
  expect_close(got.second_moment, expected.second_moment, "second moment", {1e-13, 1e-6});

  // Once more with copies of the convolution weights, which are rounded parameters and change nothing else.
  State with_copies{uniform(c.count, -1, 1, 1), uniform(c.count, -0.1, 0.1, 2), uniform(c.count, 0, 0.01, 3)};
  Values copies(c.decayed, 7);
  step(device(), spec, rates, gradients, {norm, 0}, with_copies, &copies);
  expect_equal(with_copies.parameters, got.parameters, "parameters beside copies");
  expect_equal(with_copies.second_moment, got.second_moment, "second moment beside copies");
  Values weights(got.parameters.begin(), got.parameters.begin() + static_cast<ptrdiff_t>(c.decayed));
  expect_equal(copies, rounded(weights, DataType::bfloat16), "copies");
}

// Groups with factors 0, 0.5, 1, 0, ...: what is frozen keeps its bits, even with weight decay, and counts neither for
// the norm nor as not finite.
TEST_P(OptimizerTest, GroupsHaveTheirFactorsOfTheRate) {
  const OptimizerCase& c = test_case();
  const Optimizer spec{c.kind, c.count, c.decayed};
  OptimizerRates rates;
  rates.rate = 0.25f;
  rates.decay = c.decay;
  rates.clip = c.clip;
  rates.step = c.step;
  std::vector<float> factors(parameter_groups(c.count));
  for (size_t i = 0; i < factors.size(); ++i) factors[i] = 0.5f * static_cast<float>(i % 3);
  const Values factor_values(factors.begin(), factors.end());
  const auto frozen = [&](size_t i) { return factors[i / kParameterGroup] == 0; };

  const State before{uniform(c.count, -1, 1, 1), uniform(c.count, -0.1, 0.1, 2), uniform(c.count, 0, 0.01, 3)};
  State got = before, expected = before;
  Values gradients = uniform(c.count, -0.3, 0.3, 4), counted = gradients;
  gradients[0] = kNan;
  for (size_t i = 0; i < c.count; ++i)
    if (frozen(i)) counted[i] = 0;
  const Values norm = norm_of(device(), gradients, &factor_values);
  EXPECT_EQ(norm, (Values{static_cast<float>(std::sqrt(dot(counted, counted))), 0}));

  reference::optimizer(spec, rates, factors.data(), norm[0], expected.parameters.data(), gradients.data(),
                       expected.first_moment.data(), expected.second_moment.data());
  Values copies(c.decayed, 7);
  step(device(), spec, rates, gradients, norm, got, &copies, &factor_values);
  expect_close(got.parameters, expected.parameters, "parameters", {1e-13, 1e-6});
  expect_close(got.first_moment, expected.first_moment, "first moment", {1e-13, 1e-6});
  expect_close(got.second_moment, expected.second_moment, "second moment", {1e-13, 1e-6});
  for (size_t i = 0; i < c.count; ++i) {
    if (frozen(i)) {
      ASSERT_EQ(got.parameters[i], before.parameters[i]) << i;
      ASSERT_EQ(got.first_moment[i], before.first_moment[i]) << i;
      ASSERT_EQ(got.second_moment[i], before.second_moment[i]) << i;
    }
    if (i < c.decayed) {
      const double copy = frozen(i) ? 7 : rounded({got.parameters[i]}, DataType::bfloat16)[0];
      ASSERT_EQ(copies[i], copy) << i;
    }
  }
}

TEST_P(OptimizerTest, NothingChangesWhereAGradientIsNotFinite) {
  const OptimizerCase& c = test_case();
  for (const double broken : {kNan, kInfinity}) {
    State state{uniform(c.count, -1, 1, 1), uniform(c.count, -0.1, 0.1, 2), uniform(c.count, 0, 0.01, 3)};
    const State before = state;
    Values gradients = uniform(c.count, -0.3, 0.3, 4);
    gradients[c.count / 2] = broken;
    OptimizerRates rates;
    rates.clip = c.clip;
    rates.decay = c.decay;
    const Values norm = norm_of(device(), gradients);
    EXPECT_EQ(norm[1], 1);
    Values copies = integers(c.decayed, -9, 9, 5);
    const Values copies_before = copies;
    step(device(), {c.kind, c.count, c.decayed}, rates, gradients, norm, state, &copies);
    expect_equal(copies, copies_before, "copies");
    expect_equal(state.parameters, before.parameters, "parameters");
    expect_equal(state.first_moment, before.first_moment, "first moment");
    expect_equal(state.second_moment, before.second_moment, "second moment");
  }
}
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerTest, on_every_device(optimizer_cases()), case_name<OptimizerCase>);

struct ByHand {
  std::string name() const { return "by_hand"; }
};
using OptimizerByHandTest = OperationTest<ByHand, Optimizer, GradientNorm>;

TEST_P(OptimizerByHandTest, AZeroGradientMovesNothing) {
  for (const OptimizerKind kind : {OptimizerKind::rmsprop, OptimizerKind::adamw}) {
    State state{{1, -2}, {0, 0}, {0, 0}};
    step(device(), {kind, 2, 0}, {.clip = 1}, {0, 0}, {0, 0}, state);
    expect_equal(state.parameters, {1, -2}, "parameters");
  }
}

TEST_P(OptimizerByHandTest, FirstStepOfAdamWHasTheLengthOfTheRate) {
  State state{{1, -2, 3}, {0, 0, 0}, {0, 0, 0}};
  step(device(), {OptimizerKind::adamw, 3, 1}, {.rate = 0.125f, .decay = 0.5f}, {7, -1e-3, 1e5}, {1e5, 0}, state);
  EXPECT_NEAR(state.parameters[0], 1 * (1 - 0.125 * 0.5) - 0.125, 1e-6);
  EXPECT_NEAR(state.parameters[1], -2 + 0.125, 2e-6);
  EXPECT_NEAR(state.parameters[2], 3 - 0.125, 1e-6);
}

TEST_P(OptimizerByHandTest, ClippingActsAboveTheNormOnly) {
  // Norm 5; RMSprop with alpha = 0 stores the square of the gradient it used.
  const auto used = [&](float clip) {
    State state{{0, 0}, {}, {0, 0}};
    step(device(), {OptimizerKind::rmsprop, 2, 0}, {.clip = clip, .alpha = 0}, {3, 4}, {5, 0}, state);
    return Values{std::sqrt(state.second_moment[0]), std::sqrt(state.second_moment[1])};
  };
  expect_close(used(0), {3, 4}, "no clipping");
  expect_close(used(6), {3, 4}, "norm below the limit");
  expect_close(used(2.5f), {1.5, 2}, "half", {1e-12, 1e-6});
}

TEST_P(OptimizerByHandTest, NormOfIntegersIsExact) {
  EXPECT_EQ(norm_of(device(), {3, -4}), (Values{5, 0}));
  EXPECT_EQ(norm_of(device(), {-7}), (Values{7, 0}));
  EXPECT_EQ(norm_of(device(), {0, -0.0, 0}), (Values{0, 0}));
  // Float sums would lose the ones beside 4096^2.
  Values many(50001, 1.0);
  many[20000] = 4096;
  EXPECT_EQ(norm_of(device(), many), (Values{static_cast<float>(std::sqrt(50000.0 + 4096.0 * 4096)), 0}));
}

TEST_P(OptimizerByHandTest, NormOfRandomNumbers) {
  for (const size_t count : {17, 16384, 16385, 100003}) {
    const Values gradients = uniform(count, -2, 2, count);
    const Values norm = norm_of(device(), gradients);
    EXPECT_EQ(norm[0], static_cast<float>(std::sqrt(dot(gradients, gradients)))) << count;
    EXPECT_EQ(norm[1], 0);
  }
}

TEST_P(OptimizerByHandTest, NotFiniteIsFoundAnywhere) {
  for (const size_t count : {1, 7, 33, 40000})
    for (const size_t at : {size_t{0}, count / 2, count - 1})
      for (const double broken : {kNan, -kNan, kInfinity, -kInfinity}) {
        Values gradients = uniform(count, -1, 1, 5);
        gradients[at] = broken;
        const Values norm = norm_of(device(), gradients);
        EXPECT_EQ(norm[1], 1) << broken << " at " << at << " of " << count;
        EXPECT_FALSE(std::isfinite(norm[0]));
      }
  // An infinity of each sign must not cancel.
  EXPECT_EQ(norm_of(device(), {kInfinity, -kInfinity})[1], 1);
}

TEST_P(OptimizerByHandTest, LargestAndSmallestFloatsAreFinite) {
  const double largest = std::numeric_limits<float>::max(), smallest = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(norm_of(device(), {largest}), (Values{largest, 0}));
  EXPECT_EQ(norm_of(device(), {smallest}), (Values{smallest, 0}));
  const Values overflow = norm_of(device(), {largest, -largest});  // the norm is no float, but every gradient is
  EXPECT_EQ(overflow[1], 0);
  EXPECT_EQ(overflow[0], kInfinity);
}
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerByHandTest, on_every_device(std::vector<ByHand>(1)), case_name<ByHand>);

TEST(OptimizerSpecTest, NonsenseIsRefused) {
  EXPECT_NO_THROW((Optimizer{OptimizerKind::adamw, 5, 5}.check()));
  EXPECT_NO_THROW((GradientNorm{1}.check()));
  expect_error(
      [] {
        Optimizer{OptimizerKind::adamw, 5, 6}.check();
      },
      "optimizer: 6 of 5 parameters have weight decay, that is more than there are");
  expect_error([] { Optimizer{OptimizerKind::rmsprop, 0, 0}.check(); }, "optimizer: there are no parameters");
  expect_error([] { Optimizer{static_cast<OptimizerKind>(9), 5, 0}.check(); }, "optimizer: unknown kind 9");
  expect_error([] { GradientNorm{0}.check(); }, "gradient_norm: there are no gradients");
}

}  // namespace
}  // namespace sandglass::test
