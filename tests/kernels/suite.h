// The operation suite: runs any operation on every device that is present and holds it against its float64 reference.
//
// A test of an operation is a fixture derived from OperationTest<Case, Spec...>, instantiated by
//
//   INSTANTIATE_TEST_SUITE_P(Devices, MyTest, on_every_device(my_cases()), case_name<MyCase>);
//
// where MyCase has `std::string name() const`. A device joins by being in available_devices(); tests of operations that
// it does not offer are reported as skipped. In the test's body an OperationRun<Spec> owns the device's copies of all
// arguments; its execute() runs the operation several times and checks what every operation promises:
//
//   OperationRun<ResidualForward> run(device(), spec);
//   Values y;                                                    // result, plain NHWC
//   ResidualForwardArguments arguments;
//   arguments.z = run.input(desc, z);                            // a feature map in the layout `desc`
//   arguments.scale = run.input(scale);                          // a plain array
//   arguments.y = run.output(desc, &y);
//   run.execute(arguments);
//   expect_close(y, expected, "y");
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "engine/bfloat16.h"
#include "kernels/operation.h"
#include "tests/kernels/conv_stand_in.h"
#include "tests/kernels/values.h"

namespace sandglass::test {

/// The types in which the device stores feature maps: float32, and bfloat16 where it has that.
std::vector<DataType> element_types(const Device& device);

/// Every element is exactly as expected; reports the first that is not, and how many there are.
void expect_equal(const Values& got, const Values& expected, const std::string& what);
/// The difference is within the limits; NaN never is. Where everything expected is zero, everything must be zero.
void expect_close(const Values& got, const Values& expected, const std::string& what, Limits limits = {});

/// `action` throws Error, and its message contains `part`.
void expect_error(const std::function<void()>& action, const std::string& part);

/// A feature map to test operations with; the cases are the network's sizes, some with fewer pictures or channels, and
/// odd ones.
struct MapCase {
  Shape shape;
  std::string name() const { return to_string(shape); }
};
std::vector<MapCase> map_cases();

/// The layouts a feature map of this shape is tested in: the device's own and, on the cpu device, whose kernels take
/// any block, some more.
std::vector<TensorDesc> layouts(const Device& device, const Shape& shape, DataType type = DataType::float32);

/// Device copies of an operation's arguments, each between guard bytes. The pointers stay valid as long as the object.
class Buffers {
 public:
  explicit Buffers(Device& device) : device_(device) {}

  /// An argument that must not change: a plain array, or a feature map stored in the layout `desc`, padding zero.
  template <typename T = float>
  const T* input(const Values& values) {
    return static_cast<const T*>(add(Role::input, encode<T>(values), {}));
  }
  const void* input(const TensorDesc& desc, const Values& nhwc) {
    return add(Role::input, encode(desc.type, to_layout(desc, nhwc)), {});
  }
  /// The same for structures, copied as they are.
  template <typename T>
  const T* input_objects(const std::vector<T>& objects) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(objects.data());
    return static_cast<const T*>(add(Role::input, {bytes, bytes + objects.size() * sizeof(T)}, {}));
  }
  /// Memory that the test fills itself before execute() and the operation must not change: packed weights.
  void* prepared(size_t bytes) { return add(Role::input, nans(bytes), {}); }

  /// An argument that is only written, all bytes 0xff (NaN) before each run; `*result` holds it after execute().
  template <typename T = float>
  T* output(size_t count, Values* result) {
    return static_cast<T*>(add(Role::output, nans(count * sizeof(T)), reader<T>(result)));
  }
  void* output(const TensorDesc& desc, Values* nhwc) {
    return add(Role::output, nans(desc.bytes()), reader(desc, nhwc));
  }
  /// An argument that is read and written: starts as `*values`, which is replaced by the result.
  template <typename T = float>
  T* in_out(Values* values) {
    return static_cast<T*>(add(Role::output, encode<T>(*values), reader<T>(values)));
  }
  void* in_out(const TensorDesc& desc, Values* nhwc) {
    return add(Role::output, encode(desc.type, to_layout(desc, *nhwc)), reader(desc, nhwc));
  }

 protected:
  /// NaN before each run; only its guards are looked at.
  void* add_workspace(size_t bytes);
  /// Takes what every buffer holds now as its content before each run.
  void remember();
  void restore();
  /// After a run: guards whole, inputs unchanged, outputs bit-equal to the first run's.
  void examine(const std::string& run);
  /// Hands the results to the test; padding channels must be zero.
  void read_results();

  Device& device_;

 private:
  enum class Role { input, output, workspace };
  using Bytes = std::vector<uint8_t>;
  using Reader = std::function<void(const Bytes&)>;
  struct Entry {
    Role role;
    size_t bytes;  // without guards
    DeviceMemory memory;
    Bytes before, result;  // with guards
    Reader read;
  };

  void* add(Role role, const Bytes& content, Reader read);
  void fill_workspace(const Entry& entry);
  Bytes download(const Entry& entry);

  static Bytes nans(size_t bytes) { return Bytes(bytes, 0xff); }
  template <typename T>
  static T element(double value) {
    if constexpr (std::is_same_v<T, bfloat16>)
      return bfloat16(static_cast<float>(value));
    else
      return static_cast<T>(value);
  }
  static Bytes encode(DataType type, const Values& values) {
    switch (type) {
      case DataType::float32:
        return encode<float>(values);
      case DataType::bfloat16:
        return encode<bfloat16>(values);
      case DataType::uint8:
        return encode<uint8_t>(values);
    }
    fail("no elements of this type");
  }
  template <typename T>
  static Bytes encode(const Values& values) {
    std::vector<T> elements(values.size());
    for (size_t i = 0; i < values.size(); ++i) elements[i] = element<T>(values[i]);
    const auto* bytes = reinterpret_cast<const uint8_t*>(elements.data());
    return {bytes, bytes + elements.size() * sizeof(T)};
  }
  template <typename T>
  static Values decode(const Bytes& bytes) {
    const auto* elements = reinterpret_cast<const T*>(bytes.data());
    Values values(bytes.size() / sizeof(T));
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, bfloat16>)
        values[i] = static_cast<float>(elements[i]);
      else
        values[i] = static_cast<double>(elements[i]);
    }
    return values;
  }
  static Values decode(DataType type, const Bytes& bytes) {
    switch (type) {
      case DataType::float32:
        return decode<float>(bytes);
      case DataType::bfloat16:
        return decode<bfloat16>(bytes);
      case DataType::uint8:
        return decode<uint8_t>(bytes);
    }
    fail("no elements of this type");
  }
  template <typename T>
  static Reader reader(Values* result) {
    return [result](const Bytes& bytes) { *result = decode<T>(bytes); };
  }
  static Reader reader(const TensorDesc& desc, Values* nhwc) {
    return [desc, nhwc](const Bytes& bytes) { *nhwc = from_layout(desc, decode(desc.type, bytes)); };
  }
  static Values to_layout(const TensorDesc& desc, const Values& nhwc);
  static Values from_layout(const TensorDesc& desc, const Values& memory);

  std::vector<Entry> entries_;
};

/// Sets the number of OpenMP threads for a scope.
class Threads {
 public:
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// What an operation promises of its results' bits: the same whatever the number of threads (the rule), or only for
/// equal numbers of threads.
enum class Bits { same, same_for_equal_threads };

/// An operation with its arguments on a device.
template <typename Spec>
class OperationRun : public Buffers {
 public:
  OperationRun(Device& device, const Spec& spec)
      : Buffers(device), spec_(spec), operation_(make_operation(device, spec)) {}

  typename Spec::Operation& operation() { return *operation_; }

  /// Runs twice, and once more as prepared and run with another number of threads, from the same content of all
  /// buffers; the results must have the same bits. The workspace is supplied here, filled with NaN.
  void execute(typename Spec::Arguments arguments, Bits bits = Bits::same) {
    remember();
    run_once(*operation_, arguments, "the first run");
    run_once(*operation_, arguments, "the second run");
    if (bits == Bits::same) {
      Threads one(1);
      run_once(*make_operation(device_, spec_), arguments, "the run with one thread");
    }
    read_results();
  }

 private:
  void run_once(typename Spec::Operation& operation, typename Spec::Arguments arguments, const std::string& name) {
    restore();
    if constexpr (requires { arguments.workspace; })
      arguments.workspace = add_workspace(operation.workspace_bytes());
    else
      EXPECT_EQ(operation.workspace_bytes(), 0u) << Spec::kName << " has no argument for its workspace";
    operation.run(arguments, {});
    device_.synchronize();
    examine(name);
  }

  Threads threads_{3};
  Spec spec_;
  std::unique_ptr<typename Spec::Operation> operation_;
};

/// Fixture of a test over (device, case): opens the device and skips where it lacks one of the operations.
template <typename Case, typename... Specs>
class OperationTest : public testing::TestWithParam<std::tuple<DeviceKind, Case>> {
 protected:
  void SetUp() override {
    device_ = open_device_with(tested_conv_library(), std::get<0>(this->GetParam()));
    std::string missing;
    ((offers<Specs>(*device_) ? void() : void(missing += std::string(" ") + Specs::kName)), ...);
    if (!missing.empty()) GTEST_SKIP() << "device '" << name_of(device_->kind()) << "' does not offer:" << missing;
  }
  Device& device() { return *device_; }
  const Case& test_case() const { return std::get<1>(this->GetParam()); }

 private:
  std::unique_ptr<Device> device_;
};

template <typename Case>
auto on_every_device(std::vector<Case> cases) {
  return testing::Combine(testing::ValuesIn(available_devices()), testing::ValuesIn(std::move(cases)));
}

/// "cpu_" and the case's name, with _ for what GoogleTest does not allow in names.
template <typename Case>
std::string case_name(const testing::TestParamInfo<std::tuple<DeviceKind, Case>>& info) {
  std::string name = std::string(name_of(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name();
  for (char& c : name)
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

}  // namespace sandglass::test
