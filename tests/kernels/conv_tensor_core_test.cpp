// Convolution on tensor cores, in bfloat16 and tf32, on the devices that have them, against the float64 reference.
#include <cmath>
#include <set>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv/conv.h"
#include "tests/kernels/suite.h"
#ifdef SANDGLASS_SIMT
#include "kernels/conv/shared_tile.h"
#endif

namespace sandglass::test {
namespace {

struct Case {
  DeviceKind device;
  Precision precision;
  ConvShape shape;
};

std::string case_text(const testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return fmt::format("{}_{}_{}_padding{}", name_of(c.device), name_of(c.precision), to_string(c.shape),
                     c.shape.padding);
}

// The pairs of channel counts of the network at width 256, on small pictures, and shapes where tiles have tails; those
// with a stride up to most_stride.
std::vector<Case> cases(int most_stride = 2) {
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
  std::vector<Case> result;
  for (const DeviceKind device : available_devices())
    if (device != DeviceKind::cpu)
      for (const Precision precision : {Precision::bf16, Precision::tf32})
        for (const ConvShape& shape : shapes)
          if (shape.stride <= most_stride) result.push_back({device, precision, shape});
  return result;
}

struct Inputs {
  Values x, w, dy, scale, shift, bias, residual, before, z, mask_scale, mask_shift;
};

// Small enough that every operand is exact in bfloat16 and every sum in float.
Inputs integer_inputs(const ConvShape& shape) {
  const auto inputs = static_cast<size_t>(shape.input().elements()),
             outputs = static_cast<size_t>(shape.output().elements());
  const size_t c = shape.c, k = shape.k;
  return {integers(inputs, -3, 3, 1),    integers(shape.weight_elements(), -3, 3, 2),
          integers(outputs, -3, 3, 3),   integers(c, -2, 2, 4),
          integers(c, -3, 3, 5),         integers(k, -50, 50, 6),
          integers(outputs, -50, 50, 7), integers(inputs, -50, 50, 8),
          integers(inputs, -9, 9, 9),    integers(c, -3, 3, 10),
          integers(c, -9, 9, 11)};
}

Inputs random_inputs(const ConvShape& shape) {
  Inputs result = integer_inputs(shape);  // keeps z * scale + shift, whose sign decides, exact
  result.x = uniform(result.x.size(), -1, 2, 12);
  result.w = uniform(result.w.size(), -0.1, 0.1, 13);
  result.dy = uniform(result.dy.size(), -1, 1, 14);
  result.scale = uniform(result.scale.size(), -1, 2, 15);
  result.shift = uniform(result.shift.size(), -1, 1, 16);
  result.bias = uniform(result.bias.size(), -1, 1, 17);
  result.residual = uniform(result.residual.size(), -1, 1, 18);
  result.before = uniform(result.before.size(), -1, 1, 19);
  return result;
}

class ConvTensorCoreTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { device_ = open_device(GetParam().device, {.precision = GetParam().precision}); }

  Device& device() { return *device_; }
  const ConvShape& shape() const { return GetParam().shape; }
  DataType type() const { return GetParam().precision == Precision::bf16 ? DataType::bfloat16 : DataType::float32; }
  bool is_first_convolution() const { return shape().c == 3; }
  std::string implementation() const { return fmt::format("implicit_gemm_{}", name_of(GetParam().precision)); }
  TensorDesc input_layout() {
    return is_first_convolution() ? device().picture(shape().input()) : device().activation(shape().input());
  }

  // Operands are rounded to 8 bits (bf16) or 11 (tf32), errors of 2^-9 or 2^-12 of each at most, which mostly cancel.
  // Measured: up to 9e-6 and 2.3e-2 in bf16. A single product left out of the largest sum costs ten times as much.
  Limits limits() const { return type() == DataType::bfloat16 ? Limits{2e-5, 4e-2} : Limits{5e-7, 3e-3}; }

  void compare(const Values& got, const Values& expected, DataType stored, bool exact, const char* what) {
    if (exact)
      expect_equal(got, rounded(expected, stored), what);
    else
      expect_close(got, expected, what, limits());
  }

  template <typename Spec>
  const void* weights(OperationRun<Spec>& run, const Values& w, DataType weights_type) {
    const void* plain = weights_type == DataType::bfloat16 ? static_cast<const void*>(run.template input<bfloat16>(w))
                                                           : run.template input<float>(w);
    const size_t bytes = run.operation().packed_weight_bytes();
    if (bytes == 0) return plain;
    void* packed = run.prepared(bytes);
    run.operation().pack_weights(plain, packed, {});
    return packed;
  }

  struct ForwardOptions {
    bool transform = false, transform_relu = false, bias = false, residual = false, in_place = false, relu = false,
         statistics = false, float_weights = false;
  };

  void forward(const Inputs& in, bool exact) {
    const ForwardOptions options[] = {
        {.float_weights = true},
        {.transform = true, .statistics = true},
        {.transform = true, .transform_relu = true, .statistics = true},
        {.bias = true, .statistics = true},
        {.bias = true, .residual = true, .relu = true},
        {.transform = true, .transform_relu = true, .bias = true, .residual = true, .in_place = true, .relu = true},
    };
    for (const ForwardOptions& option : options) {
      if (is_first_convolution() && option.transform) continue;
      SCOPED_TRACE(fmt::format("option {}", &option - options));
      forward(in, option, exact);
    }
  }

  void forward(const Inputs& in, const ForwardOptions& option, bool exact) {
    Values expected(in.dy.size());
    reference::Transform transform;
    if (option.transform) transform = {in.scale.data(), in.shift.data(), option.transform_relu};
    reference::conv_forward(shape(), in.x.data(), in.w.data(), transform, option.bias ? in.bias.data() : nullptr,
                            option.residual ? in.residual.data() : nullptr, option.relu, expected.data());
    ConvForward spec;
    spec.shape = shape();
    spec.x = input_layout();
    spec.y = device().activation(shape().output());
    spec.input_transform = option.transform;
    spec.bias = option.bias;
    spec.residual = option.residual;
    spec.relu = option.relu;
    spec.statistics = option.statistics;
    spec.weights = option.float_weights ? DataType::float32 : type();
    OperationRun<ConvForward> run(device(), spec);
    EXPECT_EQ(run.operation().implementation(), implementation());
    Values y = in.residual, sum, sum_squares;
    ConvForwardArguments arguments;
    arguments.x = run.input(spec.x, in.x);
    arguments.weights = weights(run, in.w, spec.weights);
    arguments.y = option.in_place ? run.in_out(spec.y, &y) : run.output(spec.y, &y);
    if (option.transform) arguments.transform = {run.input(in.scale), run.input(in.shift), option.transform_relu};
    if (option.bias) arguments.bias = run.input(in.bias);
    if (option.residual) arguments.residual = option.in_place ? arguments.y : run.input(spec.y, in.residual);
    if (option.statistics) {
      arguments.sum = run.output<double>(shape().k, &sum);
      arguments.sum_squares = run.output<double>(shape().k, &sum_squares);
    }
    run.execute(arguments);
    compare(y, expected, type(), exact, "y");
    if (!option.statistics) return;
    Values expected_sum(shape().k), expected_squares(shape().k);
    for (size_t i = 0; i < y.size(); ++i) {
      expected_sum[i % shape().k] += y[i];
      expected_squares[i % shape().k] += y[i] * y[i];
    }
    expect_close(sum, expected_sum, "sum", {1e-24, 1e-12});
    expect_close(sum_squares, expected_squares, "sum_squares", {1e-24, 1e-12});
  }

  void backward_data(const Inputs& in, bool exact) {
    for (const bool accumulate : {false, true})
      for (const bool mask : {false, true}) {
        SCOPED_TRACE(fmt::format("accumulate {}, mask {}", accumulate, mask));
        Values expected = accumulate ? in.before : Values(in.before.size(), 0.0), sums(shape().c), sums_z(shape().c);
        reference::conv_backward_data(shape(), in.dy.data(), in.w.data(), expected.data());
        if (mask)
          reference::batch_norm_backward_reduce(shape().input().pixels(), shape().c, expected.data(), in.z.data(),
                                                in.mask_scale.data(), in.mask_shift.data(), sums.data(), sums_z.data());
        ConvBackwardData spec;
        spec.shape = shape();
        spec.dy = device().activation(shape().output());
        spec.dx = device().activation(shape().input());
        spec.accumulate = accumulate;
        spec.mask = mask;
        spec.weights = accumulate ? DataType::float32 : type();
        OperationRun<ConvBackwardData> run(device(), spec);
        EXPECT_EQ(run.operation().implementation(), implementation());
        Values dx = in.before, sum, sum_z;
        ConvBackwardDataArguments arguments;
        arguments.dy = run.input(spec.dy, in.dy);
        arguments.weights = weights(run, in.w, spec.weights);
        arguments.dx = accumulate ? run.in_out(spec.dx, &dx) : run.output(spec.dx, &dx);
        if (mask) {
          arguments.z = run.input(spec.dx, in.z);
          arguments.scale = run.input(in.mask_scale);
          arguments.shift = run.input(in.mask_shift);
          arguments.sum = run.output<double>(shape().c, &sum);
          arguments.sum_z = run.output<double>(shape().c, &sum_z);
        }
        run.execute(arguments);
        compare(dx, expected, type(), exact, "dx");
        if (!mask) continue;
        std::fill(sums.begin(), sums.end(), 0.0);
        std::fill(sums_z.begin(), sums_z.end(), 0.0);
        for (size_t i = 0; i < dx.size(); ++i) {
          sums[i % shape().c] += dx[i];
          sums_z[i % shape().c] += dx[i] * in.z[i];
        }
        expect_close(sum, sums, "sum", {1e-24, 1e-12});
        expect_close(sum_z, sums_z, "sum_z", {1e-24, 1e-12});
      }
  }

  void backward_weights(const Inputs& in, bool exact) {
    enum class Transform { none, scale, scale_relu };
    for (const Transform mode : {Transform::none, Transform::scale, Transform::scale_relu}) {
      if (is_first_convolution() && mode != Transform::none) continue;
      SCOPED_TRACE(fmt::format("transform {}", static_cast<int>(mode)));
      const bool relu = mode == Transform::scale_relu, bias = mode != Transform::scale;
      reference::Transform transform;
      if (mode != Transform::none) transform = {in.scale.data(), in.shift.data(), relu};
      Values expected(in.w.size()), expected_db(shape().k);
      reference::conv_backward_weights(shape(), in.x.data(), in.dy.data(), transform, expected.data());
      for (size_t i = 0; i < in.dy.size(); ++i) expected_db[i % shape().k] += in.dy[i];
      ConvBackwardWeights spec;
      spec.shape = shape();
      spec.x = input_layout();
      spec.dy = device().activation(shape().output());
      spec.input_transform = mode != Transform::none;
      spec.bias = bias;
      OperationRun<ConvBackwardWeights> run(device(), spec);
      EXPECT_EQ(run.operation().implementation(), implementation());
      Values dw, db;
      ConvBackwardWeightsArguments arguments;
      arguments.x = run.input(spec.x, in.x);
      arguments.dy = run.input(spec.dy, in.dy);
      arguments.dw = run.output(in.w.size(), &dw);
      if (bias) arguments.db = run.output(shape().k, &db);
      if (mode != Transform::none) arguments.transform = {run.input(in.scale), run.input(in.shift), relu};
      run.execute(arguments);
      compare(dw, expected, DataType::float32, exact, "dw");
      if (bias) compare(db, expected_db, DataType::float32, exact, "db");
    }
  }

 private:
  std::unique_ptr<Device> device_;
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
