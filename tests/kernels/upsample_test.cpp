// Upsampling on every device against its float64 reference.
#include "kernels/upsample/upsample.h"

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

size_t elements(const Shape& shape) { return static_cast<size_t>(shape.elements()); }
Shape upsampled(const Shape& low) { return {low.n, 2 * low.h, 2 * low.w, low.c}; }

class UpsampleAddForwardTest : public OperationTest<MapCase, UpsampleAddForward> {
 protected:
  void compare(const Values& low, const Values& skip, bool exact) {
    for (const DataType type : element_types(device())) compare(rounded(low, type), rounded(skip, type), type, exact);
  }
  void compare(const Values& low, const Values& skip, DataType type, bool exact) {
    const Shape high = upsampled(test_case().shape);
    Values expected(skip.size());
    reference::upsample_add_forward(high, low.data(), skip.data(), expected.data());
    for (const TensorDesc& desc : layouts(device(), test_case().shape, type))
      for (bool in_place : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, block {}, in place {}", name_of(type), desc.block, in_place));
        const TensorDesc y_desc{high, desc.type, desc.block};
        OperationRun<UpsampleAddForward> run(device(), {desc, y_desc});
        Values y = skip;
        UpsampleAddForwardArguments arguments;
        arguments.low = run.input(desc, low);
        arguments.y = in_place ? run.in_out(y_desc, &y) : run.output(y_desc, &y);
        arguments.skip = in_place ? arguments.y : run.input(y_desc, skip);
        run.execute(arguments);
        exact ? expect_equal(y, rounded(expected, type), "y") : expect_close(y, expected, "y", limits_for(type));
      }
  }
};

TEST_P(UpsampleAddForwardTest, integers_are_exact) {
  const size_t count = elements(test_case().shape);
  compare(integers(count, -99, 99, 1), integers(4 * count, -99, 99, 2), true);
}
TEST_P(UpsampleAddForwardTest, random_numbers_are_close) {
  const size_t count = elements(test_case().shape);
  compare(uniform(count, -1, 1, 3), uniform(4 * count, -1, 1, 4), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, UpsampleAddForwardTest, on_every_device(map_cases()), case_name<MapCase>);

class UpsampleBackwardTest : public OperationTest<MapCase, UpsampleBackward> {
 protected:
  void compare(const Values& dy, bool exact) {
    for (const DataType type : element_types(device())) compare(rounded(dy, type), type, exact);
  }
  void compare(const Values& dy, DataType type, bool exact) {
    const Shape low = test_case().shape, high = upsampled(low);
    Values expected(elements(low));
    reference::upsample_backward(high, dy.data(), expected.data());
    for (const TensorDesc& desc : layouts(device(), low, type)) {
      SCOPED_TRACE(fmt::format("{}, block {}", name_of(type), desc.block));
      const TensorDesc dy_desc{high, desc.type, desc.block};
      OperationRun<UpsampleBackward> run(device(), {desc, dy_desc});
      Values dlow;
      UpsampleBackwardArguments arguments;
      arguments.dy = run.input(dy_desc, dy);
      arguments.dlow = run.output(desc, &dlow);
      run.execute(arguments);
      exact ? expect_equal(dlow, rounded(expected, type), "dlow")
            : expect_close(dlow, expected, "dlow", limits_for(type));
    }
  }
};

TEST_P(UpsampleBackwardTest, integers_are_exact) {
  compare(integers(4 * elements(test_case().shape), -99, 99, 5), true);
}
TEST_P(UpsampleBackwardTest, random_numbers_are_close) {
  compare(uniform(4 * elements(test_case().shape), -1, 1, 6), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, UpsampleBackwardTest, on_every_device(map_cases()), case_name<MapCase>);

TEST(UpsampleReference, upsamples_a_map_worked_out_by_hand) {
  const Values low = {1, 2}, skip = {10, 20, 30, 40, 50, 60, 70, 80};
  Values y(8), dlow(2);
  reference::upsample_add_forward({1, 2, 4, 1}, low.data(), skip.data(), y.data());
  EXPECT_EQ(y, (Values{11, 21, 32, 42, 51, 61, 72, 82}));
  reference::upsample_backward({1, 2, 4, 1}, y.data(), dlow.data());
  EXPECT_EQ(dlow, (Values{11 + 21 + 51 + 61, 32 + 42 + 72 + 82}));
}

TEST(UpsampleReference, backward_is_the_adjoint) {
  const Shape low{2, 3, 5, 7}, high = upsampled(low);
  const Values x = uniform(elements(low), -1, 1, 1), dy = uniform(elements(high), -1, 1, 2), none(elements(high), 0.0);
  Values y(elements(high)), dx(elements(low));
  reference::upsample_add_forward(high, x.data(), none.data(), y.data());
  reference::upsample_backward(high, dy.data(), dx.data());
  EXPECT_NEAR(dot(y, dy), dot(x, dx), 1e-12);
}

TEST(UpsampleSpecs, errors_say_what_is_wrong) {
  const auto desc = [](Shape shape, int block) { return TensorDesc{shape, DataType::float32, block}; };
  expect_error(
      [&] {
        UpsampleAddForward{desc({1, 2, 2, 8}, 8), desc({1, 4, 5, 8}, 8)}.check();
      },
      "y is 1x4x5x8, expected 1x4x4x8");
  expect_error([&] { UpsampleAddForward{desc({1, 2, 2, 8}, 8), desc({1, 4, 4, 8}, 4)}.check(); }, "must agree");
  expect_error([&] { UpsampleBackward{desc({0, 2, 2, 8}, 8), desc({0, 4, 4, 8}, 8)}.check(); }, "dlow is 0x2x2x8");
}

}  // namespace
}  // namespace sandglass::test
