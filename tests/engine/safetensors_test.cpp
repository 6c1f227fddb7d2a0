#include "engine/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "tests/engine/support.h"

namespace sandglass {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

/// A file from its header and data.
std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header + data;
}

std::string bytes_of(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

TensorFile parse(const std::string& content) { return parse_safetensors(content, "w.safetensors"); }

template <typename T>
HostTensor tensor_of(const std::string& name, TensorType type, std::vector<int64_t> shape,
                     const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {name, type, std::move(shape), {bytes.begin(), bytes.end()}};
}

void expect_equal(const HostTensor& a, const HostTensor& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.type, b.type) << a.name;
  EXPECT_EQ(a.shape, b.shape) << a.name;
  EXPECT_EQ(a.bytes, b.bytes) << a.name;
}

/// Every type, with names and metadata that need escaping, a scalar and an empty tensor; widths not in descending
/// order.
TensorFile example() {
  TensorFile file;
  file.tensors.push_back(tensor_of<uint8_t>("flags", TensorType::boolean, {3}, {1, 0, 1}));
  file.tensors.push_back(
      HostTensor::from_floats("conv1.weight", {2, 1, 3}, std::vector<float>{1, -2, 3.5f, 0, -0.0f, 1e-40f}));
  file.tensors.push_back(tensor_of<int64_t>("steps", TensorType::i64, {}, {-(int64_t{1} << 40)}));
  file.tensors.push_back(tensor_of<uint16_t>("half", TensorType::f16, {2}, {0x3c00, 0xc000}));
  file.tensors.push_back(tensor_of<uint16_t>("brain \"\\\n\u00e9", TensorType::bf16, {1}, {0x3f80}));
  file.tensors.push_back(tensor_of<double>("double", TensorType::f64, {1, 1}, {M_PI}));
  file.tensors.push_back(tensor_of<int32_t>("i32", TensorType::i32, {2}, {1, -1}));
  file.tensors.push_back(tensor_of<int16_t>("i16", TensorType::i16, {2}, {-300, 300}));
  file.tensors.push_back(tensor_of<int8_t>("i8", TensorType::i8, {1}, {-7}));
  file.tensors.push_back(tensor_of<uint8_t>("u8", TensorType::u8, {2, 2}, {0, 1, 128, 255}));
  file.tensors.push_back(tensor_of<float>("nothing", TensorType::f32, {4, 0, 2}, {}));
  file.tensors.push_back(HostTensor::from_floats("last", {1}, std::vector<float>{9}));
  file.metadata = {{"epoch", "12"}, {"note \"quoted\"", "tab\there, caf\u00e9"}, {"", ""}};
  return file;
}

TEST(TensorFile, ConvertsEveryTypeToFloat) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(tensor_of<double>("", TensorType::f64, {3}, {0.1, -2.0, 1e300}).to_float(),
            (std::vector{0.1f, -2.0f, infinity}));
  EXPECT_EQ(tensor_of<int64_t>("", TensorType::i64, {2}, {-5, int64_t{1} << 40}).to_float(),
            (std::vector{-5.0f, 0x1p40f}));
  EXPECT_EQ(tensor_of<int32_t>("", TensorType::i32, {2}, {-70000, 7}).to_float(), (std::vector{-70000.0f, 7.0f}));
  EXPECT_EQ(tensor_of<int16_t>("", TensorType::i16, {1}, {-300}).to_float(), (std::vector{-300.0f}));
  EXPECT_EQ(tensor_of<int8_t>("", TensorType::i8, {1}, {-128}).to_float(), (std::vector{-128.0f}));
  EXPECT_EQ(tensor_of<uint8_t>("", TensorType::u8, {1}, {255}).to_float(), (std::vector{255.0f}));
  EXPECT_EQ(tensor_of<uint8_t>("", TensorType::boolean, {2}, {0, 1}).to_float(), (std::vector{0.0f, 1.0f}));
  EXPECT_EQ(tensor_of<uint16_t>("", TensorType::bf16, {4}, {0x3f80, 0xc040, 0x0001, 0xff80}).to_float(),
            (std::vector{1.0f, -3.0f, 0x1p-133f, -infinity}));
  // 1, -2, largest, smallest normal, smallest subnormal, largest subnormal, infinities
  const std::vector<uint16_t> halves = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x03ff, 0x7c00, 0xfc00};
  EXPECT_EQ(tensor_of("", TensorType::f16, {8}, halves).to_float(),
            (std::vector{1.0f, -2.0f, 65504.0f, 0x1p-14f, 0x1p-24f, 0x1p-14f - 0x1p-24f, infinity, -infinity}));
  const std::vector<float> odd = tensor_of<uint16_t>("", TensorType::f16, {2}, {0x7e00, 0x8000}).to_float();
  EXPECT_TRUE(std::isnan(odd[0]));
  EXPECT_TRUE(odd[1] == 0 && std::signbit(odd[1]));
}

TEST(TensorFile, FromFloatsChecksTheShape) {
  const std::vector<float> six(6);
  EXPECT_EQ(HostTensor::from_floats("t", {2, 3}, six).count(), 6);
  EXPECT_EQ(HostTensor::from_floats("t", {}, std::vector<float>(1)).count(), 1);
  EXPECT_EQ(HostTensor::from_floats("t", {0}, {}).count(), 0);
  expect_error([&] { HostTensor::from_floats("conv.bias", {2, 2}, six); }, "conv.bias", "6 values", "[2, 2]");
  expect_error([&] { HostTensor::from_floats("t", {-2, -3}, six); }, "[-2, -3]");
}

TEST(TensorFile, FindsByName) {
  const TensorFile file = example();
  EXPECT_EQ(file.find("steps"), &file.tensors[2]);
  EXPECT_EQ(file.find("step"), nullptr);
}

TEST(Safetensors, ReadsAFileOfAnotherWriter) {
  // Two tensors out of order in the header, unknown fields, metadata, header not padded.
  const TensorFile file = parse(file_of(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12],"more":[1.5,null]},)"
                                        R"("__metadata__":{"format":"pt"},)"
                                        R"("a":{"shape":[],"data_offsets":[0,4],"dtype":"F32"}}  )",
                                        bytes_of({1, 2, 3})));
  ASSERT_EQ(file.tensors.size(), 2u);
  expect_equal(file.tensors[0], HostTensor::from_floats("b", {2}, std::vector<float>{2, 3}));
  expect_equal(file.tensors[1], HostTensor::from_floats("a", {}, std::vector<float>{1}));
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  EXPECT_TRUE(parse(file_of("{}", "")).tensors.empty());
}

TEST(Safetensors, WritesExactlyThisFile) {
  const TemporaryFolder folder;
  TensorFile file;
  file.tensors.push_back(tensor_of<uint8_t>("b", TensorType::u8, {1, 3}, {7, 8, 9}));
  file.tensors.push_back(HostTensor::from_floats("a", {2}, std::vector<float>{1, 2}));
  file.metadata = {{"k", "v"}};
  write_safetensors(folder / "f", file);
  std::string header = R"({"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[1,3],"data_offsets":[8,11]},)"
                       R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(read_file(folder / "f"), file_of(header, bytes_of({1, 2}) + "\x07\x08\x09"));
}

TEST(Safetensors, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  const TensorFile file = example();
  write_safetensors(folder / "f", file);
  const TensorFile read = read_safetensors(folder / "f");
  EXPECT_EQ(read.metadata, file.metadata);
  ASSERT_EQ(read.tensors.size(), file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) expect_equal(read.tensors[i], file.tensors[i]);
  write_safetensors(folder / "g", read);
  EXPECT_EQ(read_file(folder / "f"), read_file(folder / "g"));
  EXPECT_EQ(read_tensor_file(folder / "f").tensors.size(), file.tensors.size());

  write_safetensors(folder / "empty", {});
  EXPECT_TRUE(read_tensor_file(folder / "empty").tensors.empty());
}

TEST(Safetensors, EveryTensorIsAlignedToItsElements) {
  const TemporaryFolder folder;
  const TensorFile file = example();
  write_safetensors(folder / "f", file);
  const std::string content = read_file(folder / "f");
  for (const HostTensor& tensor : file.tensors) {
    if (tensor.bytes.size() < 4) continue;  // too short to be found by content
    const size_t position =
        content.rfind(std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()));
    ASSERT_NE(position, content.npos) << tensor.name;
    EXPECT_EQ(position % bytes_per_element(tensor.type), 0u) << tensor.name;
  }
}

TEST(Safetensors, RefusesToWriteWhatCouldNotBeRead) {
  const TemporaryFolder folder;
  const auto expect_refused = [&](TensorFile file, std::string_view reason) {
    expect_error([&] { write_safetensors(folder / "f", file); }, (folder / "f").string(), "cannot be written", reason);
    EXPECT_FALSE(std::filesystem::exists(folder / "f"));
  };
  const HostTensor one = HostTensor::from_floats("one", {1}, std::vector<float>{1});
  HostTensor changed = one;
  expect_refused({{one, one}, {}}, "tensor \"one\": occurs twice");
  changed.name = "__metadata__";
  expect_refused({{changed}, {}}, "reserves");
  changed.name = "\xff";
  expect_refused({{one, changed}, {}}, "UTF-8");
  changed = one;
  changed.shape = {2};
  expect_refused({{changed}, {}}, "has 4 bytes, which is not float32 of shape [2]");
  changed.shape = {int64_t{1} << 62, 4};
  expect_refused({{changed}, {}}, "\"one\"");
  expect_refused({{one}, {{"key", "\xc3"}}}, "\"key\" is not valid UTF-8");
  expect_refused({{one}, {{"\xc3", "value"}}}, "UTF-8");
}

struct Damage {
  const char* header;
  size_t data_bytes;
  const char* reason;
};

TEST(Safetensors, SaysWhatIsWrongWithAFile) {
  const Damage damages[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 8, "not valid JSON"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}})", 8, "not valid JSON"},
      {"{\"a\xff\":{}}", 0, "not valid JSON"},
      {R"([1])", 0, "does not start with '{'"},
      {R"( {})", 0, "does not start with '{'"},
      {"", 0, "does not start with '{'"},
      {R"({"a":1})", 0, "tensor \"a\": its entry"},
      {R"({"a":[]})", 0, "tensor \"a\": its entry"},
      {R"({"a":{}})", 0, "no text \"dtype\""},
      {R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", 8, "no text \"dtype\""},
      {R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", 8, "\"F8_E4M3\" is not one"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8, "no list \"shape\""},
      {R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", 8, "no list \"shape\""},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "\"shape\" must be a list of non-negative"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "\"shape\" must be a list of non-negative"},
      {R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", 8, "\"shape\" must be a list of non-negative"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}})", 8, "\"shape\" must be a list"},
      {R"({"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,8]}})", 8, "not valid JSON"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "too large"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, "too large"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "no list \"data_offsets\""},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "two numbers"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", 8, "two numbers"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-1,7]}})", 8,
       "\"data_offsets\" must be a list of non-negative"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "before its begin"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7,
       "ends at byte 8 of the data, of which the file has 7"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "[3] takes 12 bytes, but its offsets span 8"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, "end at byte 8 of the data, but it has 9"},
      {R"({})", 4, "end at byte 0 of the data, but it has 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8,
       "tensor \"a\": starts at byte 4 of the data, but the one "
       "before it ends at 0 (hole)"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
       7, "tensor \"b\": starts at byte 3 of the data, but the one before it ends at 4 (overlap)"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       4, "overlap"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
       4, "overlap"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       4, "has \"a\" twice"},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2, "has \"dtype\" twice"},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, "has \"k\" twice"},
      {R"({"__metadata__":{"k":1}})", 0, "\"__metadata__\": the value of \"k\" is not a text"},
      {R"({"__metadata__":"text"})", 0, "\"__metadata__\" is not an object"},
      {R"({"a":{"dtype":"U8","shape":[[0]],"data_offsets":[0,0]}})", 0, "nested too deeply"},
  };
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.header);
    expect_error([&] { parse(file_of(damage.header, std::string(damage.data_bytes, '\1'))); },
                 "w.safetensors: ", damage.reason);
  }
}

TEST(Safetensors, ChecksTheHeadersLengthFirst) {
  expect_error([] { parse(""); }, "too few");
  expect_error([] { parse("1234567"); }, "7 bytes are too few");
  expect_error([] { parse(std::string("\x03\0\0\0\0\0\0\0{}", 10)); }, "truncated");
  expect_error([] { parse(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)); }, "18446744073709551615", "limit");
  const uint64_t too_long = 100'000'001;
  expect_error([&] { parse(std::string(reinterpret_cast<const char*>(&too_long), 8) + "{}"); }, "limit is 100000000");
}

TEST(Safetensors, ErrorsOfHostileNamesAreOneShortLine) {
  const std::string name = "a\\n\\u0000" + std::string(100000, 'x');
  expect_error([&] { parse(file_of("{\"" + name + "\":7}", "")); }, "\"a\\n\\u0000xxx", "...\"");
  // Deep nesting must not cost memory or stack in proportion to its depth.
  expect_error([&] { parse(file_of("{\"a\":" + std::string(1000000, '['), "")); }, "nested too deeply");
  expect_error([&] { parse(file_of("{\"a\":\"" + std::string(1000000, 'x'), "")); }, "not valid JSON");
}

TEST(Safetensors, EveryPrefixIsRefused) {
  const TemporaryFolder folder;
  write_safetensors(folder / "f", example());
  testing::expect_every_prefix_refused(read_file(folder / "f"), parse);
}

TEST(Safetensors, DamageNeverDoesMoreThanAnError) {
  const TemporaryFolder folder;
  TensorFile small;
  small.tensors = {HostTensor::from_floats("a", {1}, std::vector<float>{1}),
                   HostTensor::from_floats("b", {2}, std::vector<float>{1, 2})};
  write_safetensors(folder / "f", small);
  testing::expect_robust(read_file(folder / "f"), 3000, 1, [](const std::string& content) {
    for (const HostTensor& tensor : parse(content).tensors) tensor.to_float();
  });
}

TEST(TensorFile, UnknownFilesAreNamed) {
  const TemporaryFolder folder;
  write_file(folder / "empty.pth", "");
  expect_error([&] { read_tensor_file(folder / "empty.pth"); }, "empty.pth", "is empty");
  write_file(folder / "page.safetensors", "<!DOCTYPE html>\n<html>");
  expect_error([&] { read_tensor_file(folder / "page.safetensors"); }, "page.safetensors",
               "not a safetensors file nor a PyTorch checkpoint", "<!DOCTYPE html>");
  expect_error([&] { read_tensor_file(folder / "missing"); }, "missing: no such file");
  expect_error([&] { read_tensor_file(folder.path()); }, "folder");
}

TEST(TensorFile, AHeaderOf640BytesIsNoPickle) {
  // Its length starts with the bytes 0x80 0x02, as a pickle of protocol 2 does.
  const TemporaryFolder folder;
  write_file(folder / "f", file_of("{}" + std::string(638, ' '), ""));
  EXPECT_TRUE(read_tensor_file(folder / "f").tensors.empty());
}

}  // namespace
}  // namespace sandglass
