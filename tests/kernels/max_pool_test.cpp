// Max pooling on every device against its float64 reference. Nothing is rounded, so that all results are exact.
#include "kernels/max_pool/max_pool.h"

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

std::vector<MapCase> cases() {
  std::vector<MapCase> all = map_cases();
  for (Shape shape : {Shape{1, 2, 2, 1}, {2, 3, 2, 8}, {1, 2, 3, 16}, {1, 4, 4, 700}}) all.push_back({shape});
  return all;
}

size_t elements(const Shape& shape) { return static_cast<size_t>(shape.elements()); }

class MaxPoolForwardTest : public OperationTest<MapCase, MaxPoolForward> {
 protected:
  void compare(const Values& x) {
    for (const DataType type : element_types(device())) compare(rounded(x, type), type);
  }
  void compare(const Values& x, DataType type) {
    const Shape &large = test_case().shape, small = pooled(large);
    Values expected(elements(small));
    std::vector<uint8_t> expected_argmax(elements(small));
    reference::max_pool_forward(large, x.data(), expected.data(), expected_argmax.data());
    for (const TensorDesc& desc : layouts(device(), large, type))
      for (bool with_argmax : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, block {}, argmax {}", name_of(type), desc.block, with_argmax));
        const TensorDesc y_desc{small, desc.type, desc.block};
        OperationRun<MaxPoolForward> run(device(), {desc, y_desc});
        Values y, argmax;
        MaxPoolForwardArguments arguments;
        arguments.x = run.input(desc, x);
        arguments.y = run.output(y_desc, &y);
        if (with_argmax)
          arguments.argmax = static_cast<uint8_t*>(run.output({small, DataType::uint8, desc.block}, &argmax));
        run.execute(arguments);
        expect_equal(y, expected, "y");
        if (with_argmax) expect_equal(argmax, {expected_argmax.begin(), expected_argmax.end()}, "argmax");
      }
  }
};

// Few different values, so that most windows have several maxima and the first must be taken.
TEST_P(MaxPoolForwardTest, takes_the_first_of_equal_maxima) {
  compare(integers(elements(test_case().shape), -2, 1, 1));
}
TEST_P(MaxPoolForwardTest, random_numbers_are_exact) { compare(uniform(elements(test_case().shape), -3, -1, 2)); }

INSTANTIATE_TEST_SUITE_P(Devices, MaxPoolForwardTest, on_every_device(cases()), case_name<MapCase>);

using MaxPoolBackwardTest = OperationTest<MapCase, MaxPoolBackward>;

TEST_P(MaxPoolBackwardTest, integers_are_exact) {
  const Shape &large = test_case().shape, small = pooled(large);
  const Values dy = integers(elements(small), -99, 99, 1), argmax = integers(elements(small), 0, 3, 2),
               before = integers(elements(large), -99, 99, 3);
  const std::vector<uint8_t> argmax_bytes(argmax.begin(), argmax.end());
  for (const bool accumulate : {false, true}) {
    Values expected = accumulate ? before : Values(before.size(), 0);
    reference::max_pool_backward(large, dy.data(), argmax_bytes.data(), expected.data());
    std::vector<TensorDesc> descs;
    for (const DataType type : element_types(device()))
      for (const TensorDesc& desc : layouts(device(), large, type)) descs.push_back(desc);
    for (const TensorDesc& desc : descs) {
      SCOPED_TRACE(fmt::format("{}, block {}, accumulate {}", name_of(desc.type), desc.block, accumulate));
      const TensorDesc dy_desc{small, desc.type, desc.block};
      OperationRun<MaxPoolBackward> run(device(), {desc, dy_desc, accumulate});
      Values dx = before;
      MaxPoolBackwardArguments arguments;
      arguments.dy = run.input(dy_desc, dy);
      arguments.argmax = static_cast<const uint8_t*>(run.input({small, DataType::uint8, desc.block}, argmax));
      arguments.dx = accumulate ? run.in_out(desc, &dx) : run.output(desc, &dx);
      run.execute(arguments);
      expect_equal(dx, expected, "dx");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, MaxPoolBackwardTest, on_every_device(cases()), case_name<MapCase>);

TEST(MaxPoolReference, pools_a_map_worked_out_by_hand) {
  // 5 x 4 pixels of one channel; the fifth row belongs to no window.
  const Values x = {1, 5, 2, 2,  //
                    3, 4, 2, 2,  //
                    0, 0, 7, 8,  //
                    0, 1, 9, 6,  //
                    9, 9, 9, 9};
  Values y(4);
  std::vector<uint8_t> argmax(4);
  reference::max_pool_forward({1, 5, 4, 1}, x.data(), y.data(), argmax.data());
  EXPECT_EQ(y, (Values{5, 2, 1, 9}));
  EXPECT_EQ(argmax, (std::vector<uint8_t>{1, 0, 3, 2}));
  Values dx(20, 0.5);
  const Values dy = {1, 2, 3, 4};
  reference::max_pool_backward({1, 5, 4, 1}, dy.data(), argmax.data(), dx.data());
  Values expected(20, 0.5);
  expected[1] += 1, expected[2] += 2, expected[13] += 3, expected[14] += 4;
  EXPECT_EQ(dx, expected);
}

TEST(MaxPoolReference, backward_is_the_adjoint_where_the_maxima_stay) {
  const Shape large{2, 7, 6, 5}, small = pooled(large);
  const Values x = uniform(elements(large), -1, 1, 1), dy = uniform(elements(small), -1, 1, 2);
  Values y(elements(small)), dx(elements(large), 0.0);
  std::vector<uint8_t> argmax(elements(small));
  reference::max_pool_forward(large, x.data(), y.data(), argmax.data());
  reference::max_pool_backward(large, dy.data(), argmax.data(), dx.data());
  EXPECT_NEAR(dot(y, dy), dot(x, dx), 1e-12);
}

TEST(MaxPoolSpecs, errors_say_what_is_wrong) {
  const auto desc = [](Shape shape, int block) { return TensorDesc{shape, DataType::float32, block}; };
  expect_error([&] { MaxPoolForward{desc({1, 1, 4, 8}, 8), desc({1, 0, 2, 8}, 8)}.check(); }, "at least 2 pixels");
  expect_error(
      [&] {
        MaxPoolForward{desc({1, 5, 4, 8}, 8), desc({1, 3, 2, 8}, 8)}.check();
      },
      "y is 1x3x2x8, expected 1x2x2x8");
  expect_error([&] { MaxPoolForward{desc({1, 4, 4, 8}, 8), desc({1, 2, 2, 8}, 1)}.check(); }, "must agree");
  expect_error([&] { MaxPoolBackward{desc({1, 4, 4, 8}, 8), desc({1, 2, 2, 9}, 8)}.check(); }, "dy is 1x2x2x9");
}

}  // namespace
}  // namespace sandglass::test
