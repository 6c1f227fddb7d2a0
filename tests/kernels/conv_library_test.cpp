// Convolutions by NVIDIA's libraries (on simt by their stand-ins) where the maps are not the library's: float32
// heatmaps of bfloat16 features, and channels that do not fill 16 bytes. conv_test and conv_tensor_core_test run with
// the libraries, too (SANDGLASS_TEST_CONV).
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv/conv.h"
#include "tests/kernels/conv_inputs.h"
#include "tests/kernels/suite.h"

namespace sandglass::test {
namespace {

struct Case {
  DeviceKind device;
  ConvLibrary library;
};

class ConvLibraryTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().device == DeviceKind::cuda && !why_unavailable(GetParam().library).empty())
      GTEST_SKIP() << why_unavailable(GetParam().library);
    device_ = open_device_with(GetParam().library, GetParam().device, Precision::bf16);
  }
  TensorDesc map(Shape shape, DataType type) { return nhwc(shape, type); }

  // The network's last convolution on a small picture: K = 5 Action Units; 3x3 where C is odd, too.
  const std::vector<ConvShape> shapes_{{2, 6, 5, 16, 5, 1, 1, 1, 0}, {2, 6, 5, 12, 5, 3, 3, 1, 1}};
  std::unique_ptr<Device> device_;
};

// Integers of a size that bfloat16 and tf32 hold, so that results are exact in float32 and rounded once in bfloat16.
TEST_P(ConvLibraryTest, mixed_types_forward) {
  for (const ConvShape& shape : shapes_)
    for (const DataType type : {DataType::float32, DataType::bfloat16}) {
      SCOPED_TRACE(to_string(shape) + " " + name_of(type));
      const Values x = integers(shape.input().elements(), -3, 3, 1), w = integers(shape.weight_elements(), -3, 3, 2),
                   bias = integers(shape.k, -50, 50, 3), residual = integers(shape.output().elements(), -50, 50, 4);
      Values expected(shape.output().elements()), y;
      reference::conv_forward(shape, x.data(), w.data(), {}, bias.data(), residual.data(), true, expected.data());
      ConvForward spec;
      spec.shape = shape;
      spec.x = map(shape.input(), DataType::bfloat16);
      spec.y = map(shape.output(), type);
      spec.bias = spec.residual = spec.relu = true;
      spec.weights = DataType::bfloat16;
      OperationRun<ConvForward> run(*device_, spec);
      ConvForwardArguments a;
      a.x = run.input(spec.x, x);
      a.weights = weights_for(run, w, spec.weights);
      a.bias = run.input(bias);
      a.residual = run.input(spec.y, residual);
      a.y = run.output(spec.y, &y);
      run.execute(a);
      expect_equal(y, rounded(expected, type), "y");
    }
}

TEST_P(ConvLibraryTest, mixed_types_backward_data) {
  for (const ConvShape& shape : shapes_)
    for (const DataType type : {DataType::float32, DataType::bfloat16}) {
      SCOPED_TRACE(to_string(shape) + " " + name_of(type));
      const Values dy = integers(shape.output().elements(), -3, 3, 1), w = integers(shape.weight_elements(), -3, 3, 2),
                   z = integers(shape.input().elements(), -9, 9, 3), scale = integers(shape.c, -3, 3, 4),
                   shift = integers(shape.c, -9, 9, 5);
      Values dx = integers(shape.input().elements(), -50, 50, 6), expected = dx, sum, sum_z;
      Values expected_sum(shape.c), expected_sum_z(shape.c);
      reference::conv_backward_data(shape, dy.data(), w.data(), expected.data());
      reference::batch_norm_backward_reduce(shape.input().pixels(), shape.c, expected.data(), z.data(), scale.data(),
                                            shift.data(), expected_sum.data(), expected_sum_z.data());
      ConvBackwardData spec;
      spec.shape = shape;
      spec.dy = map(shape.output(), type);
      spec.dx = map(shape.input(), DataType::bfloat16);
      spec.accumulate = spec.mask = true;
      spec.weights = DataType::bfloat16;
      OperationRun<ConvBackwardData> run(*device_, spec);
      ConvBackwardDataArguments a;
      a.dy = run.input(spec.dy, dy);
      a.weights = weights_for(run, w, spec.weights);
      a.dx = run.in_out(spec.dx, &dx);
      a.z = run.input(spec.dx, z);
      a.scale = run.input(scale);
      a.shift = run.input(shift);
      a.sum = run.output<double>(shape.c, &sum);
      a.sum_z = run.output<double>(shape.c, &sum_z);
      run.execute(a);
      expect_equal(dx, rounded(expected, DataType::bfloat16), "dx");
      Values stored_sum(shape.c), stored_sum_z(shape.c);
      for (size_t i = 0; i < dx.size(); ++i) {
        stored_sum[i % shape.c] += dx[i];
        stored_sum_z[i % shape.c] += dx[i] * z[i];
      }
      expect_equal(sum, stored_sum, "sum");
      expect_equal(sum_z, stored_sum_z, "sum_z");
    }
}

TEST_P(ConvLibraryTest, mixed_types_backward_weights) {
  for (const ConvShape& shape : shapes_) {
    SCOPED_TRACE(to_string(shape));
    const Values x = integers(shape.input().elements(), -3, 3, 1), dy = integers(shape.output().elements(), -3, 3, 2);
    Values expected(shape.weight_elements()), expected_db(shape.k), dw, db;
    reference::conv_backward_weights(shape, x.data(), dy.data(), {}, expected.data());
    for (size_t i = 0; i < dy.size(); ++i) expected_db[i % shape.k] += dy[i];
    ConvBackwardWeights spec;
    spec.shape = shape;
    spec.x = map(shape.input(), DataType::bfloat16);
    spec.dy = map(shape.output(), DataType::float32);
    spec.bias = true;
    OperationRun<ConvBackwardWeights> run(*device_, spec);
    ConvBackwardWeightsArguments a;
    a.x = run.input(spec.x, x);
    a.dy = run.input(spec.dy, dy);
    a.dw = run.output(shape.weight_elements(), &dw);
    a.db = run.output(shape.k, &db);
    run.execute(a);
    expect_equal(dw, expected, "dw");
    expect_equal(db, expected_db, "db");
  }
}

TEST_P(ConvLibraryTest, layouts_other_than_nhwc_are_an_error) {
  const ConvShape shape{1, 4, 4, 16, 16, 1, 1, 1, 0};
  ConvForward spec;
  spec.shape = shape;
  spec.x = nhwc(shape.input());
  spec.y = nhwc(shape.output());
  spec.x.block = 8;
  expect_error([&] { make_operation(*device_, spec); }, "libraries work on NHWC");
  std::swap(spec.x, spec.y);
  expect_error([&] { make_operation(*device_, spec); }, "plain NHWC");
}

std::vector<Case> cases() {
  std::vector<Case> result;
  for (const DeviceKind device : available_devices())
    if (device != DeviceKind::cpu)
      for (const ConvLibrary library : {ConvLibrary::cudnn, ConvLibrary::cublas}) result.push_back({device, library});
  return result;
}

INSTANTIATE_TEST_SUITE_P(Devices, ConvLibraryTest, testing::ValuesIn(cases()), [](const auto& info) {
  return std::string(name_of(info.param.device)) + "_" + name_of(info.param.library);
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvLibraryTest);  // where there is only the cpu device

}  // namespace
}  // namespace sandglass::test
