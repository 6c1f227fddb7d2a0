// What the tests of the convolutions on tensor cores share: a fixture that runs the three directions with all that
// their contracts offer against the float64 reference.
#pragma once

#include <algorithm>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/conv/conv.h"
#include "tests/kernels/conv_inputs.h"
#include "tests/kernels/suite.h"

namespace sandglass::test {

struct ConvCase {
  DeviceKind device;
  Precision precision;
  ConvShape shape;
};

inline std::string case_text(const testing::TestParamInfo<ConvCase>& info) {
  const ConvCase& c = info.param;
  return fmt::format("{}_{}_{}_padding{}", name_of(c.device), name_of(c.precision), to_string(c.shape),
                     c.shape.padding);
}

/// The three directions on the case's device.
class ConvOnTensorCores : public testing::TestWithParam<ConvCase> {
 protected:
  void SetUp() override { device_ = open_device_with(tested_conv_library(), GetParam().device, GetParam().precision); }

  Device& device() { return *device_; }
  const ConvShape& shape() const { return GetParam().shape; }
  DataType type() const { return GetParam().precision == Precision::bf16 ? DataType::bfloat16 : DataType::float32; }
  bool is_first_convolution() const { return shape().c == 3; }
  /// Whether this implementation is to be tested here.
  virtual bool is_expected(const std::string& implementation) const = 0;
  TensorDesc input_layout() {
    return is_first_convolution() ? device().picture(shape().input()) : device().activation(shape().input());
  }

  // Operands are rounded to 8 bits (bf16) or 11 (tf32), errors of 2^-9 or 2^-12 of each at most, which mostly cancel.
  // Measured: up to 9e-6 and 2.3e-2 in bf16. A single product left out of the largest sum costs ten times as much.
  // The libraries are not held to more than NVIDIA says: tf32 operands may be cut off instead of rounded.
  Limits limits() const {
    if (type() == DataType::bfloat16) return {2e-5, 4e-2};
    return tested_conv_library() == ConvLibrary::hand ? Limits{5e-7, 3e-3} : Limits{4e-6, 1e-2};
  }
  // Of sums over what was stored: in double, but for a thread's few bfloat16 elements.
  Limits sum_limits() const { return type() == DataType::bfloat16 ? Limits{1e-14, 1e-7} : Limits{1e-24, 1e-12}; }
  // cuDNN's gradient of the weights has the operands' type.
  DataType gradient_type() const { return tested_conv_library() == ConvLibrary::cudnn ? type() : DataType::float32; }

  void compare(const Values& got, const Values& expected, DataType stored, bool exact, const char* what) {
    if (exact)
      expect_equal(got, rounded(expected, stored), what);
    else
      expect_close(got, expected, what, limits());
  }

  struct ForwardOptions {
    bool transform = false, transform_relu = false, bias = false, residual = false, in_place = false, relu = false,
         statistics = false, float_weights = false;
  };

  void forward(const ConvInputs& in, bool exact) {
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

  void forward(const ConvInputs& in, const ForwardOptions& option, bool exact) {
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
    EXPECT_TRUE(is_expected(run.operation().implementation())) << run.operation().implementation();
    Values y = in.residual, sum, sum_squares;
    ConvForwardArguments arguments;
    arguments.x = run.input(spec.x, in.x);
    arguments.weights = weights_for(run, in.w, spec.weights);
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
    expect_close(sum, expected_sum, "sum", sum_limits());
    expect_close(sum_squares, expected_squares, "sum_squares", sum_limits());
  }

  void backward_data(const ConvInputs& in, bool exact) {
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
        EXPECT_TRUE(is_expected(run.operation().implementation())) << run.operation().implementation();
        Values dx = in.before, sum, sum_z;
        ConvBackwardDataArguments arguments;
        arguments.dy = run.input(spec.dy, in.dy);
        arguments.weights = weights_for(run, in.w, spec.weights);
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
        expect_close(sum, sums, "sum", sum_limits());
        expect_close(sum_z, sums_z, "sum_z", sum_limits());
      }
  }

  void backward_weights(const ConvInputs& in, bool exact) {
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
      EXPECT_TRUE(is_expected(run.operation().implementation())) << run.operation().implementation();
      Values dw, db;
      ConvBackwardWeightsArguments arguments;
      arguments.x = run.input(spec.x, in.x);
      arguments.dy = run.input(spec.dy, in.dy);
      arguments.dw = run.output(in.w.size(), &dw);
      if (bias) arguments.db = run.output(shape().k, &db);
      if (mode != Transform::none) arguments.transform = {run.input(in.scale), run.input(in.shift), relu};
      run.execute(arguments);
      compare(dw, expected, gradient_type(), exact, "dw");
      if (bias) compare(db, expected_db, DataType::float32, exact, "db");
    }
  }

 private:
  std::unique_ptr<Device> device_;
};

}  // namespace sandglass::test
