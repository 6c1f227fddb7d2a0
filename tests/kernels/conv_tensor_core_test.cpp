// Convolution on tensor cores, in bfloat16 and tf32, on the devices that have them, against the float64 reference.
#include <set>

#include "tests/kernels/conv_on_tensor_cores.h"
#ifdef SANDGLASS_SIMT
#include "kernels/conv/shared_tile.h"
#endif

namespace sandglass::test {
namespace {

// The pairs of channel counts of the network at width 256, on small pictures, and shapes where tiles have tails; those
// with a stride up to most_stride.
std::vector<ConvCase> cases(int most_stride = 2) {
  const ConvShape shapes[] = {
      // n, h, w, c, k, r, s, stride, padding
      {1, 32, 32, 3, 64, 7, 7, 2, 3},    // first convolution
      {3, 9, 14, 3, 24, 7, 7, 2, 3},     //
      {2, 16, 16, 64, 64, 1, 1, 1, 0},   // 1x1 of the bottlenecks
      {1, 16, 16, 64, 128, 1, 1, 1, 0},  //
      {1, 8, 8, 256, 128, 1, 1, 1, 0},   //
      {2, 4, 4, 256, 256, 1, 1, 1, 0},   //
      {1, 16, 16, 64, 64, 3, 3, 1, 1},   // 3x3 of the bottlenecks
      {1, 8, 8, 128, 64, 3, 3, 1, 1},    //
      {2, 4, 4, 64, 64, 3, 3, 1, 1},     // with the sum in slices
      {3, 7, 5, 8, 72, 3, 3, 1, 1},      // tails
      {1, 17, 30, 24, 8, 3, 3, 1, 1},    //
      {1, 5, 5, 200, 136, 1, 1, 1, 0},   //
      {1, 17, 18, 40, 16, 3, 3, 2, 1},   // stride 2
      {1, 9, 8, 8, 16, 3, 1, 1, 0},      // other filters
      {1, 6, 9, 16, 8, 5, 5, 1, 2},      //
  };
  std::vector<ConvCase> result;
  for (const DeviceKind device : available_devices())
    if (device != DeviceKind::cpu)
      for (const Precision precision : {Precision::bf16, Precision::tf32})
        for (const ConvShape& shape : shapes)
          if (shape.stride <= most_stride) result.push_back({device, precision, shape});
  return result;
}

class ConvTensorCoreTest : public ConvOnTensorCores {
 protected:
  bool is_expected(const std::string& implementation) const override {
    if (tested_conv_library() != ConvLibrary::hand) return implementation.starts_with(name_of(tested_conv_library()));
    if (implementation == fmt::format("implicit_gemm_{}", name_of(GetParam().precision))) return true;
    return GetParam().device == DeviceKind::cuda && implementation == "implicit_gemm_wgmma_bf16";  // on sm_90
  }
};
class ConvTensorCoreBackwardDataTest : public ConvTensorCoreTest {};

TEST_P(ConvTensorCoreTest, forward_of_integers_is_exact) { forward(integer_inputs(shape()), true); }
TEST_P(ConvTensorCoreTest, forward_of_random_numbers_is_close) { forward(random_inputs(shape()), false); }
TEST_P(ConvTensorCoreBackwardDataTest, backward_data_of_integers_is_exact) {
  backward_data(integer_inputs(shape()), true);
}
TEST_P(ConvTensorCoreBackwardDataTest, backward_data_of_random_numbers_is_close) {
  backward_data(random_inputs(shape()), false);
}
TEST_P(ConvTensorCoreTest, backward_weights_of_integers_are_exact) { backward_weights(integer_inputs(shape()), true); }
TEST_P(ConvTensorCoreTest, backward_weights_of_random_numbers_are_close) {
  backward_weights(random_inputs(shape()), false);
}

INSTANTIATE_TEST_SUITE_P(Devices, ConvTensorCoreTest, testing::ValuesIn(cases()), case_text);
INSTANTIATE_TEST_SUITE_P(Devices, ConvTensorCoreBackwardDataTest, testing::ValuesIn(cases(1)), case_text);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvTensorCoreTest);  // where there is only the cpu device
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvTensorCoreBackwardDataTest);

#ifdef SANDGLASS_SIMT

// What the dispatch rule leaves to the kernels on CUDA cores.
TEST(ConvTensorCoreDispatch, shapes_beyond_the_limits_are_computed_on_cuda_cores) {
  const auto implementation = [](Precision precision, const ConvShape& shape, bool picture = false,
                                 bool transform = false) {
    const auto device = open_device(DeviceKind::simt, {.precision = precision});
    ConvForward spec;
    spec.shape = shape;
    spec.x = picture ? device->picture(shape.input()) : device->activation(shape.input());
    spec.y = device->activation(shape.output());
    spec.input_transform = transform;
    return make_operation(*device, spec)->implementation();
  };
  const ConvShape good{1, 8, 8, 16, 24, 3, 3, 1, 1};
  const auto with = [&](int ConvShape::*member, int value) {
    ConvShape shape = good;
    shape.*member = value;
    return shape;
  };
  EXPECT_EQ(implementation(Precision::bf16, good), "implicit_gemm_bf16");
  EXPECT_EQ(implementation(Precision::tf32, good), "implicit_gemm_tf32");
  EXPECT_EQ(implementation(Precision::fp32, good), "implicit_gemm_fp32");
  EXPECT_EQ(implementation(Precision::bf16, with(&ConvShape::c, 12)), "implicit_gemm_fp32");
  EXPECT_EQ(implementation(Precision::tf32, with(&ConvShape::c, 12)), "implicit_gemm_tf32");
  EXPECT_EQ(implementation(Precision::bf16, with(&ConvShape::k, 5)), "implicit_gemm_fp32");
  EXPECT_EQ(implementation(Precision::tf32, with(&ConvShape::k, 5)), "implicit_gemm_fp32");
  const ConvShape first{1, 32, 32, 3, 64, 7, 7, 2, 3};
  EXPECT_EQ(implementation(Precision::bf16, first, true), "implicit_gemm_bf16");
  EXPECT_EQ(implementation(Precision::bf16, first, true, true), "implicit_gemm_fp32") << "with a transform";
  EXPECT_EQ(implementation(Precision::bf16, {1, 32, 31, 3, 64, 7, 7, 2, 3}, true), "implicit_gemm_fp32") << "odd width";
}

TEST(ConvTensorCoreDispatch, backward_data_with_a_stride_is_computed_on_cuda_cores) {
  const auto device = open_device(DeviceKind::simt, {.precision = Precision::tf32});
  ConvBackwardData spec;
  spec.shape = {1, 8, 8, 16, 24, 3, 3, 2, 1};
  spec.dy = device->activation(spec.shape.output());
  spec.dx = device->activation(spec.shape.input());
  EXPECT_EQ(make_operation(*device, spec)->implementation(), "implicit_gemm_fp32");
}

// Accesses of one phase, each of so many bytes at an address, take as many cycles as the fullest of the 32 banks of 4
// bytes has words.
int cycles(const std::vector<int>& addresses, int bytes) {
  std::set<int> words;
  for (const int address : addresses)
    for (int i = 0; i < bytes; i += 4) words.insert((address + i) / 4);
  int in_bank[32] = {}, most = 0;
  for (const int word : words) most = std::max(most, ++in_bank[word % 32]);
  return most;
}

template <int kRowBytes>
void expect_no_bank_conflicts() {
  SCOPED_TRACE(kRowBytes);
  constexpr int kChunks = kRowBytes / 16;
  const auto place = [](int row, int chunk) { return on_simt::place_in_tile<kRowBytes>(row, chunk); };
  std::set<int> places;
  for (int row = 0; row < 32; ++row)
    for (int chunk = 0; chunk < kChunks; ++chunk) places.insert(place(row, chunk));
  EXPECT_EQ(places.size(), 32u * kChunks) << "each chunk has a place of its own";
  EXPECT_EQ(*places.rbegin(), 32 * kRowBytes - 16);
  for (int row = 0; row < 32; ++row)
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      std::vector<int> along, down, fragment, sums;
      for (int i = 0; i < 8; ++i) {
        along.push_back(place(row, chunk / 8 * 8 + i));
        down.push_back(place(row / 8 * 8 + i, chunk));
      }
      for (int lane = 0; lane < 32; ++lane)
        fragment.push_back(place(row / 4 * 4 + lane % 4, chunk / 2 * 2 + lane / 16) + lane / 4 % 4 * 4);
      for (int lane = 0; lane < 16; ++lane)
        sums.push_back(place(row / 4 * 4 + lane / 4, chunk / 2 * 2 + lane % 4 / 2) + lane % 2 * 8);
      ASSERT_EQ(cycles(along, 16), 1) << "copies: row " << row << ", chunk " << chunk;
      ASSERT_EQ(cycles(down, 16), 1) << "ldmatrix: row " << row << ", chunk " << chunk;
      ASSERT_EQ(cycles(fragment, 4), 1) << "tf32 fragment: row " << row << ", chunk " << chunk;
      ASSERT_EQ(cycles(sums, 8), 1) << "accumulators: row " << row << ", chunk " << chunk;
    }
}

TEST(SharedTile, has_no_bank_conflicts) {
  EXPECT_EQ(cycles({0, 128, 256, 384}, 16), 4) << "the count itself";
  EXPECT_EQ(cycles({0, 16, 32, 48}, 16), 1);
  expect_no_bank_conflicts<128>();
  expect_no_bank_conflicts<256>();
  expect_no_bank_conflicts<512>();
}

#endif

}  // namespace
}  // namespace sandglass::test
