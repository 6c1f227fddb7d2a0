// Convolution on Hopper's tensor cores by TMA and wgmma against the float64 reference: on a GPU of sm_90, and on the
// simt device as one.
#include "tests/kernels/conv_on_tensor_cores.h"
#ifdef SANDGLASS_SIMT
#include "kernels/simt/architecture.h"
#endif

namespace sandglass::test {
namespace {

constexpr const char* kImplementation = "implicit_gemm_wgmma_bf16";

// Lets the simt device be of sm_90 for a scope.
class AsHopper {
 public:
#ifdef SANDGLASS_SIMT
  AsHopper() { simt::set_architecture(simt::Architecture::sm_90); }
  ~AsHopper() { simt::set_architecture(before_); }
  AsHopper(const AsHopper&) = delete;
  AsHopper& operator=(const AsHopper&) = delete;

 private:
  simt::Architecture before_ = simt::architecture();
#endif
};

std::string forward_implementation(Device& device, const ConvShape& shape, bool transform = false) {
  ConvForward spec;
  spec.shape = shape;
  spec.x = device.activation(shape.input());
  spec.y = device.activation(shape.output());
  spec.input_transform = transform;
  return make_operation(device, spec)->implementation();
}

// The filters and channels of the network at width 256, on small pictures, and shapes where tiles, blocks of channels
// and steps have tails; those with a stride up to most_stride.
std::vector<ConvShape> shapes(int most_stride) {
  std::vector<ConvShape> result = {
      // n, h, w, c, k, r, s, stride, padding
      {2, 9, 8, 64, 64, 1, 1, 1, 0},     // 1x1 of the network
      {1, 12, 12, 64, 128, 1, 1, 1, 0},  //
      {3, 7, 7, 128, 64, 1, 1, 1, 0},    //
      {1, 8, 8, 128, 128, 1, 1, 1, 0},   //
      {1, 8, 8, 128, 256, 1, 1, 1, 0},   //
      {1, 8, 8, 256, 128, 1, 1, 1, 0},   //
      {2, 4, 4, 256, 256, 1, 1, 1, 0},   //
      {1, 16, 12, 64, 64, 3, 3, 1, 1},   // 3x3 of the network
      {2, 4, 4, 128, 128, 3, 3, 1, 1},   // with the sum in slices
      {3, 7, 5, 40, 72, 3, 3, 1, 1},     // tails
      {1, 5, 5, 200, 136, 1, 1, 1, 0},   //
      {1, 17, 18, 40, 32, 3, 3, 2, 1},   // stride 2
      {1, 6, 7, 32, 40, 4, 4, 1, 2},     // other filters and paddings
      {2, 6, 7, 48, 32, 3, 3, 1, 0},     //
      {1, 3, 4, 32, 48, 2, 2, 1, 1},     //
  };
  std::erase_if(result, [=](const ConvShape& shape) { return shape.stride > most_stride; });
  return result;
}

std::vector<ConvCase> on_devices(const std::vector<ConvShape>& shapes) {
  std::vector<ConvCase> result;
  for (const DeviceKind device : available_devices())
    if (device != DeviceKind::cpu)
      for (const ConvShape& shape : shapes) result.push_back({device, Precision::bf16, shape});
  return result;
}

class ConvSm90Test : public ConvOnTensorCores {
 protected:
  void SetUp() override {
    ConvOnTensorCores::SetUp();
    if (GetParam().device == DeviceKind::cuda &&
        forward_implementation(device(), {1, 8, 8, 64, 64, 1, 1, 1, 0}) != kImplementation)
      GTEST_SKIP() << "this GPU, or this build's code for it, is not of sm_90a";
  }
  bool is_expected(const std::string& implementation) const override { return implementation == kImplementation; }

 private:
  AsHopper as_hopper_;
};
class ConvSm90BackwardDataTest : public ConvSm90Test {};
class ConvSm90RandomTest : public ConvSm90Test {};

TEST_P(ConvSm90Test, forward_of_integers_is_exact) { forward(integer_inputs(shape()), true); }
TEST_P(ConvSm90BackwardDataTest, backward_data_of_integers_is_exact) { backward_data(integer_inputs(shape()), true); }
TEST_P(ConvSm90Test, backward_weights_of_integers_are_exact) { backward_weights(integer_inputs(shape()), true); }
TEST_P(ConvSm90RandomTest, all_directions_are_close) {
  forward(random_inputs(shape()), false);
  backward_data(random_inputs(shape()), false);
  backward_weights(random_inputs(shape()), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, ConvSm90Test, testing::ValuesIn(on_devices(shapes(2))), case_text);
INSTANTIATE_TEST_SUITE_P(Devices, ConvSm90BackwardDataTest, testing::ValuesIn(on_devices(shapes(1))), case_text);
INSTANTIATE_TEST_SUITE_P(
    Devices, ConvSm90RandomTest,
    testing::ValuesIn(on_devices({{1, 12, 12, 64, 128, 1, 1, 1, 0}, {2, 5, 7, 128, 64, 3, 3, 1, 1}})), case_text);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvSm90Test);  // where there is only the cpu device
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvSm90BackwardDataTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvSm90RandomTest);

#ifdef SANDGLASS_SIMT

// What the dispatch rule leaves to other kernels.
TEST(ConvSm90Dispatch, other_shapes_and_gpus_are_left_to_other_kernels) {
  const auto device = open_device(DeviceKind::simt, {.precision = Precision::bf16});
  const ConvShape good{1, 8, 8, 64, 64, 3, 3, 1, 1};
  EXPECT_EQ(forward_implementation(*device, good), "implicit_gemm_bf16") << "as sm_80";
  const AsHopper as_hopper;
  const auto with = [&](int ConvShape::*member, int value, bool transform = false) {
    ConvShape shape = good;
    shape.*member = value;
    return forward_implementation(*device, shape, transform);
  };
  EXPECT_EQ(forward_implementation(*device, good), kImplementation);
  EXPECT_EQ(with(&ConvShape::c, 32), kImplementation);
  EXPECT_EQ(with(&ConvShape::c, 24), "implicit_gemm_bf16");
  EXPECT_EQ(with(&ConvShape::k, 24), "implicit_gemm_bf16");
  EXPECT_EQ(with(&ConvShape::k, 60), "implicit_gemm_fp32");
  EXPECT_EQ(with(&ConvShape::s, 1), "implicit_gemm_bf16");
  EXPECT_EQ(with(&ConvShape::padding, 3), "implicit_gemm_bf16");
  EXPECT_EQ(with(&ConvShape::stride, 9), "implicit_gemm_bf16");
  EXPECT_EQ(with(&ConvShape::c, 1032), kImplementation);
  EXPECT_EQ(with(&ConvShape::c, 1032, true), kImplementation) << "transformed first";
  EXPECT_EQ(forward_implementation(*device, {1, 8, 8, 1024, 64, 1, 1, 1, 0}, true), kImplementation);
  EXPECT_EQ(forward_implementation(*device, {1, 8, 8, 1032, 64, 1, 1, 1, 0}, true), "implicit_gemm_bf16");
  const auto in_tf32 = open_device(DeviceKind::simt, {.precision = Precision::tf32});
  EXPECT_EQ(forward_implementation(*in_tf32, good), "implicit_gemm_tf32");
  ConvBackwardData spec;
  spec.shape = {1, 8, 8, 64, 64, 3, 3, 2, 1};
  spec.dy = device->activation(spec.shape.output());
  spec.dx = device->activation(spec.shape.input());
  EXPECT_EQ(make_operation(*device, spec)->implementation(), "implicit_gemm_fp32") << "backward data with a stride";
}

#endif

}  // namespace
}  // namespace sandglass::test
