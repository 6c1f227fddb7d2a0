#include "kernels/average_pool/average_pool.h"

#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

Values forward(Device& device, const TensorDesc& x_desc, const Values& x) {
  const TensorDesc y_desc{globally_pooled(x_desc.shape), x_desc.type, x_desc.block};
  OperationRun<AveragePoolForward> run(device, {x_desc, y_desc});
  Values y;
  AveragePoolForwardArguments arguments;
  arguments.x = run.input(x_desc, x);
  arguments.y = run.output(y_desc, &y);
  run.execute(arguments);
  return y;
}

Values backward(Device& device, const TensorDesc& dx_desc, const Values& dy) {
  const TensorDesc dy_desc{globally_pooled(dx_desc.shape), dx_desc.type, dx_desc.block};
  OperationRun<AveragePoolBackward> run(device, {dx_desc, dy_desc});
  Values dx;
  AveragePoolBackwardArguments arguments;
  arguments.dy = run.input(dy_desc, dy);
  arguments.dx = run.output(dx_desc, &dx);
  run.execute(arguments);
  return dx;
}

struct PoolCase {
  Shape shape;
  std::string name() const { return to_string(shape); }
};
// The network's last map at several widths, one pixel, odd sizes, more channels than a block of threads has.
std::vector<PoolCase> pool_cases() {
  return {{{2, 64, 64, 64}}, {{3, 32, 32, 16}}, {{5, 1, 1, 8}}, {{2, 7, 11, 5}}, {{1, 3, 2, 203}}, {{2, 5, 3, 136}}};
}
using AveragePoolTest = OperationTest<PoolCase, AveragePoolForward, AveragePoolBackward>;

TEST_P(AveragePoolTest, EqualsReference) {
  const Shape &shape = test_case().shape, pooled = globally_pooled(shape);
  for (const DataType type : element_types(device())) {
    // A mean far from 0 beside small differences: sums in float would lose these.
    const Values x = rounded(uniform(static_cast<size_t>(shape.elements()), 90, 110, 1), type);
    const Values dy = rounded(uniform(static_cast<size_t>(pooled.elements()), -3, 3, 2), type);
    Values y(dy.size()), dx(x.size());
    reference::average_pool_forward(shape, x.data(), y.data());
    reference::average_pool_backward(shape, dy.data(), dx.data());
    for (const TensorDesc& desc : layouts(device(), shape, type)) {
      const Limits limits = type == DataType::float32 ? Limits{1e-13, 3e-7} : limits_for(type);
      expect_close(forward(device(), desc, x), y, fmt::format("y, block {}, {}", desc.block, name_of(type)), limits);
      expect_close(backward(device(), desc, dy), dx, fmt::format("dx, block {}, {}", desc.block, name_of(type)),
                   limits);
    }
  }
}

// <pool(x), dy> = <x, backward(dy)>
TEST_P(AveragePoolTest, BackwardIsTheAdjoint) {
  const Shape& shape = test_case().shape;
  const TensorDesc desc = device().activation(shape);
  const Values x = uniform(static_cast<size_t>(shape.elements()), -1, 2, 3),
               dy = uniform(static_cast<size_t>(globally_pooled(shape).elements()), -1, 2, 4);
  const double left = dot(forward(device(), desc, x), dy), right = dot(x, backward(device(), desc, dy));
  EXPECT_NEAR(left, right, 1e-5 * (1 + std::abs(right)));
}
INSTANTIATE_TEST_SUITE_P(Devices, AveragePoolTest, on_every_device(pool_cases()), case_name<PoolCase>);

TEST(AveragePoolReferenceTest, MeansByHand) {
  double y[2], dx[8];
  const double x[8] = {1, 10, 2, 20, 3, 30, 6, 40}, dy[2] = {4, -8};
  reference::average_pool_forward({1, 2, 2, 2}, x, y);
  EXPECT_EQ(Values(y, y + 2), (Values{3, 25}));
  reference::average_pool_backward({1, 2, 2, 2}, dy, dx);
  EXPECT_EQ(Values(dx, dx + 8), (Values{1, -2, 1, -2, 1, -2, 1, -2}));
}

TEST(AveragePoolSpecTest, NonsenseIsRefused) {
  const TensorDesc x = nhwc({2, 8, 8, 5}), y = nhwc({2, 1, 1, 5});
  EXPECT_NO_THROW((AveragePoolForward{x, y}.check()));
  EXPECT_NO_THROW((AveragePoolBackward{x, y}.check()));
  expect_error([&] { AveragePoolForward{x, x}.check(); }, "average_pool_forward: y is 2x8x8x5, expected 2x1x1x5");
  expect_error(
      [&] {
        AveragePoolBackward{x, nhwc({2, 1, 1, 5}, DataType::bfloat16)}.check();
      },
      "average_pool_backward: dy is bfloat16, dx is float32");
}

}  // namespace
}  // namespace sandglass::test
