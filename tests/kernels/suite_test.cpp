// The suite itself: an operation that breaks a promise must fail its test.
#include "tests/kernels/suite.h"

#include <gtest/gtest-spi.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace sandglass::test {
namespace {

struct AddOneArguments {
  const float* x = nullptr;
  float* y = nullptr;
  void* workspace = nullptr;
};

enum class Fault { none, beyond, before, input, padding, not_repeatable, threads, workspace, nothing_written, tail };

// y = x + 1, with a fault.
struct AddOne {
  using Arguments = AddOneArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "add_one";
  TensorDesc x;
  Fault fault = Fault::none;
  void check() const {}
};

class AddOneOperation final : public AddOne::Operation {
 public:
  explicit AddOneOperation(const AddOne& spec) : spec_(spec) {}
  std::string implementation() const override { return "loop"; }
  size_t workspace_bytes() const override { return sizeof(float); }
  void run(const AddOneArguments& a, Stream) override {
    const TensorDesc& desc = spec_.x;
    const size_t count = desc.elements();
    if (spec_.fault == Fault::nothing_written) return;
    for (size_t i = 0; i < count; ++i) a.y[i] = 0;
    const Shape& s = desc.shape;
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c) a.y[desc.index(0, h, w, c)] = a.x[desc.index(0, h, w, c)] + 1;
    if (spec_.fault == Fault::beyond) reinterpret_cast<uint8_t*>(a.y + count)[0] = 0;
    if (spec_.fault == Fault::before) a.y[-1] = 0;
    if (spec_.fault == Fault::input) const_cast<float*>(a.x)[0] += 1;
    if (spec_.fault == Fault::padding) a.y[count - 1] = 1;
    if (spec_.fault == Fault::not_repeatable) a.y[0] += static_cast<float>(++runs_) * 1e-6f;
    if (spec_.fault == Fault::threads) a.y[0] += static_cast<float>(omp_get_max_threads()) * 1e-6f;
    if (spec_.fault == Fault::workspace) a.y[0] += *static_cast<float*>(a.workspace);
    if (spec_.fault == Fault::tail) a.y[0] = a.x[count];
  }

 private:
  AddOne spec_;
  int runs_ = 0;
};

void run_with(Fault fault) {
  implementations<AddOne>()[DeviceKind::cpu] = [](Device&, const AddOne& spec) {
    return std::make_unique<AddOneOperation>(spec);
  };
  const auto device = open_device(DeviceKind::cpu);
  const TensorDesc desc{{1, 3, 4, 5}, DataType::float32, 8};
  const Values x = uniform(60, -1, 1, 1);
  Values y, expected = x;
  for (double& v : expected) v += 1;
  OperationRun<AddOne> run(*device, {desc, fault});
  AddOneArguments arguments;
  arguments.x = f32(run.input(desc, x));
  arguments.y = f32(run.output(desc, &y));
  run.execute(arguments);
  expect_close(y, expected, "y");
}

// An operation that no device has.
struct Unknown : AddOne {
  static constexpr const char* kName = "unknown_operation";
};

// What the test framework would report of the action.
std::string failures(const std::function<void()>& action) {
  testing::TestPartResultArray results;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    action();
  }
  std::string all;
  for (int i = 0; i < results.size(); ++i) all += std::string(results.GetTestPartResult(i).message()) + "\n";
  return all;
}

void expect_failure(const std::function<void()>& action, const std::string& part) {
  const std::string all = failures(action);
  EXPECT_NE(all.find(part), std::string::npos) << "no failure says '" << part << "'; all there are: " << all;
}

TEST(Suite, accepts_a_correct_operation) {
  EXPECT_EQ(failures([] { run_with(Fault::none); }), "");
}

TEST(Suite, sees_every_fault) {
  const std::pair<Fault, const char*> faults[] = {{Fault::beyond, "written beyond argument 2"},
                                                  {Fault::before, "written before argument 2"},
                                                  {Fault::input, "changed: argument 1"},
                                                  {Fault::padding, "padding channels"},
                                                  {Fault::not_repeatable, "the second run"},
                                                  {Fault::threads, "the run with one thread"},
                                                  {Fault::workspace, "nan"},
                                                  {Fault::nothing_written, "nan"},
                                                  {Fault::tail, "nan"}};
  for (const auto& [fault, message] : faults) expect_failure([fault = fault] { run_with(fault); }, message);
}

TEST(Suite, names_device_and_operation_that_it_lacks) {
  const auto device = open_device(DeviceKind::cpu);
  EXPECT_FALSE(offers<Unknown>(*device));
  expect_error([&] { make_operation(*device, Unknown{}); }, "device 'cpu' has no operation 'unknown_operation'");
}

TEST(Comparison, accepts_rounding_and_no_more) {
  const Values expected = {1, -2, 3, 0};
  expect_close({1 + 1e-8, -2, 3, 1e-8}, expected, "rounded");
  expect_failure([&] { expect_close({1, -2, 3, 1e-4}, expected, "y"); }, "largest scaled error");
  expect_failure([&] { expect_close({1, -2, NAN, 0}, expected, "y"); }, "element 2");
  expect_failure([&] { expect_close({1, -2, 3 * (1 + 5e-6), 0}, expected, "y"); }, "normalised mean square error");
  expect_failure([&] { expect_close({0, 1e-30}, {0, 0}, "y"); }, "1 of 2 elements differ");
  expect_failure([&] { expect_close({1}, {1, 2}, "y"); }, "y");
  expect_failure([&] { expect_equal({1, 2, NAN}, {1, 2, 3}, "y"); }, "element 2");
}

TEST(Inputs, are_seeded_and_in_range) {
  EXPECT_EQ(integers(50, -3, 3, 7), integers(50, -3, 3, 7));
  EXPECT_NE(integers(50, -3, 3, 7), integers(50, -3, 3, 8));
  double low = 0, high = 0;
  for (double v : integers(1000, -3, 3, 7)) low = std::min(low, v), high = std::max(high, v);
  EXPECT_EQ(low, -3);
  EXPECT_EQ(high, 3);
  for (double v : uniform(1000, -1, 2, 7)) {
    EXPECT_EQ(v, static_cast<float>(v));
    EXPECT_TRUE(v >= -1 && v < 2);
  }
}

}  // namespace
}  // namespace sandglass::test
