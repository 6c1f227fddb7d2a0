#include "engine/onnx_file.h"

#include <chrono>
#include <cmath>

#include "tests/engine/support.h"

namespace sandglass {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

// Protobuf's encoding by hand, for files that this program does not write: fields with a number, and with bytes.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7f));
  return bytes += static_cast<char>(value);
}
std::string number(int field, uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(int field, const std::string& content) {
  return varint(field << 3 | 2) + varint(content.size()) + content;
}
std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// The fields of onnx.proto that are used here.
constexpr int kFloat = 1, kInt8 = 3, kInt32 = 6, kInt64 = 7, kString = 8, kFloat16 = 10, kDouble = 11,
              kUint32 = 12;  // TensorProto.DataType
std::string node(const std::string& type, const std::vector<std::string>& inputs, const std::string& output) {
  std::string content;
  for (const std::string& input : inputs) content += bytes(1, input);
  return bytes(1, content + bytes(2, output) + bytes(4, type));
}
std::string tensor(const std::string& name, int type, const std::vector<uint64_t>& shape, const std::string& values) {
  std::string content;
  for (const uint64_t size : shape) content += number(1, size);
  return bytes(5, content + number(2, type) + bytes(8, name) + values);
}
std::string raw_data(const std::vector<float>& values) { return bytes(9, floats(values)); }
std::string float_data(const std::vector<float>& values) { return bytes(4, floats(values)); }
std::string value_info(int field, const std::vector<uint64_t>& shape) {
  std::string dimensions;
  for (const uint64_t size : shape) dimensions += bytes(1, number(1, size));
  return bytes(field, bytes(1, "x") + bytes(2, bytes(1, number(1, kFloat) + bytes(2, dimensions))));
}
std::string model_of(const std::string& graph) {
  return number(1, 8) + bytes(2, "tool") + bytes(7, graph) + bytes(8, number(2, 17));
}

class OnnxFile : public ::testing::Test {
 protected:
  void SetUp() override {
    if (onnx_version().empty()) GTEST_SKIP() << "this build has no ONNX";
  }
  static OnnxModel parse(const std::string& content) { return parse_onnx(content, "net.onnx"); }
  static TensorFile tensors_of(const std::string& graph) { return network_tensors(parse(model_of(graph)), "net.onnx"); }
};

OnnxModel example() {
  OnnxModel model;
  model.producer = "sandglass";
  model.producer_version = "1.2.3";
  model.nodes = {{"Conv", "conv", {"x", "w"}, {"z"}, {{"strides", std::vector<int64_t>{1, 1}}, {"group", int64_t{1}}}},
                 {"Resize", "resize", {"z", "", "scales"}, {"y"}, {{"mode", "nearest"}, {"cubic_coeff_a", -0.5f}}}};
  model.inputs = {{"x", {OnnxValue::kBatch, 1, 4, 4}}};
  model.outputs = {{"y", {OnnxValue::kBatch, 1, 4, 2}}};
  model.weights.tensors = {HostTensor::from_floats("w", {1, 2, 1, 1}, std::vector<float>{1.5f, -0.0f}),
                           HostTensor::from_floats("scales", {4}, std::vector<float>{1, 1, 1, 1})};
  model.weights.metadata = {{"aus", "AU06"}, {"note", "caf\u00e9"}};
  return model;
}

std::string content_of(const OnnxModel& model) {
  const TemporaryFolder folder;
  write_onnx(folder / "net.onnx", model);
  return folder.read("net.onnx");
}

TEST_F(OnnxFile, WhatIsWrittenIsRead) {
  const OnnxModel model = example(), again = parse(content_of(model));
  EXPECT_TRUE(looks_like_onnx(content_of(model)));
  EXPECT_EQ(again.producer, model.producer);
  EXPECT_EQ(again.producer_version, model.producer_version);
  EXPECT_EQ(again.opset, 13);
  ASSERT_EQ(again.nodes.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.nodes[i].type, model.nodes[i].type);
    EXPECT_EQ(again.nodes[i].name, model.nodes[i].name);
    EXPECT_EQ(again.nodes[i].inputs, model.nodes[i].inputs);
    EXPECT_EQ(again.nodes[i].outputs, model.nodes[i].outputs);
    EXPECT_EQ(again.nodes[i].attributes, model.nodes[i].attributes);
  }
  ASSERT_EQ(again.inputs.size(), 1u);
  EXPECT_EQ(again.inputs[0].name, "x");
  EXPECT_EQ(again.inputs[0].shape, model.inputs[0].shape);
  ASSERT_EQ(again.outputs.size(), 1u);
  EXPECT_EQ(again.outputs[0].shape, model.outputs[0].shape);
  ASSERT_EQ(again.weights.tensors.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(again.weights.tensors[i].name, model.weights.tensors[i].name);
    EXPECT_EQ(again.weights.tensors[i].shape, model.weights.tensors[i].shape);
    EXPECT_EQ(again.weights.tensors[i].bytes, model.weights.tensors[i].bytes);
  }
  EXPECT_EQ(again.weights.metadata, model.weights.metadata);
}

TEST_F(OnnxFile, TensorsAreThoseOfConvolutionsAndBatchNorms) {
  const std::string weights = tensor("w", kFloat, {1, 2, 1, 1}, float_data({1, 2})) +
                              tensor("half", kFloat16, {2}, bytes(9, std::string("\x00\x3c\x00\xc0", 4))) +
                              tensor("scales", kFloat, {1}, raw_data({4}));
  const TensorFile file =
      tensors_of(node("Identity", {"half"}, "same") + node("Conv", {"x", "w"}, "z") +
                 node("Resize", {"z", "", "scales"}, "u") + node("BatchNormalization", {"u", "half", "same"}, "y") +
                 weights + value_info(11, {2, 3, 64, 64}) + value_info(12, {2, 5}));
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_EQ(file.tensors[0].name, "w");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<int64_t>{1, 2, 1, 1}));
  EXPECT_EQ(file.tensors[0].to_float(), (std::vector<float>{1, 2}));
  for (const char* name : {"half", "same"}) {
    ASSERT_TRUE(file.find(name)) << name;
    EXPECT_EQ(file.find(name)->to_float(), (std::vector<float>{1, -2}));
  }
  EXPECT_EQ(file.metadata.at("input_size"), "64");
  EXPECT_EQ(file.metadata.at("head"), "regression");
}

TEST_F(OnnxFile, EpsilonsGroupsAndDilationsAreThoseOfTheNetworks) {
  const auto expect_refused = [](const std::string& type, const OnnxAttribute& value, const std::string& attribute,
                                 const std::string& part) {
    OnnxModel model;
    model.nodes = {{type, "node7", {"x", "w"}, {"y"}, {{attribute, value}}}};
    expect_error([&] { network_tensors(model, "net.onnx"); }, "net.onnx", "\"node7\"", part);
    model.nodes[0].name = "";
    expect_error([&] { network_tensors(model, "net.onnx"); }, "net.onnx", "\"y\"", part);
  };
  expect_refused("BatchNormalization", 1e-3f, "epsilon", "epsilon 0.001, expected 1e-05");
  expect_refused("BatchNormalization", NAN, "epsilon", "epsilon nan");
  expect_refused("Conv", int64_t{2}, "group", "2 groups");
  expect_refused("Conv", std::vector<int64_t>{1, 2}, "dilations", "has the dilations 1 x 2, expected 1 x 1");
  expect_refused("Conv", "SAME_UPPER", "auto_pad", "has the auto_pad \"SAME_UPPER\"");
  OnnxModel good;
  good.nodes = {{"BatchNormalization", "", {"x", "w"}, {"y"}, {{"epsilon", 9.9999997e-6f}}},
                {"Conv", "", {"y", "w"}, {"z"}, {{"group", int64_t{1}}, {"dilations", std::vector<int64_t>{1, 1}}}}};
  EXPECT_NO_THROW(network_tensors(good, "net.onnx"));
}

TEST_F(OnnxFile, ConvolutionsMoveAndPadAsTheNetworks) {
  using Numbers = std::vector<int64_t>;
  const auto parsed = [](int64_t size, const Numbers& kernel, const Numbers& strides, const Numbers& pads) {
    OnnxModel model;
    model.weights.tensors = {
        HostTensor::from_floats("w", {1, 1, size, size}, std::vector<float>(static_cast<size_t>(size * size)))};
    model.nodes = {{"Identity", "", {"w"}, {"v"}, {}},
                   {"Conv", "conv", {"x", "v"}, {"z"}, {{"kernel_shape", kernel}, {"strides", strides}}}};
    if (!pads.empty()) model.nodes[1].attributes.emplace("pads", pads);
    return network_tensors(model, "net.onnx");
  };
  EXPECT_NO_THROW(parsed(7, {7, 7}, {2, 2}, {3, 3, 3, 3}));
  EXPECT_NO_THROW(parsed(3, {3, 3}, {1, 1}, {1, 1, 1, 1}));
  EXPECT_NO_THROW(parsed(1, {1, 1}, {1, 1}, {}));
  expect_error(
      [&] {
        parsed(7, {7, 7}, {1, 1}, {3, 3, 3, 3});
      },
      "net.onnx: the convolution \"conv\" has the strides 1 x 1", "expected 2 x 2");
  expect_error([&] { parsed(3, {3, 3}, {2, 2}, {1, 1, 1, 1}); }, "the strides 2 x 2, expected 1 x 1");
  expect_error([&] { parsed(3, {3, 3}, {1, 1}, {}); }, "the pads 0 x 0 x 0 x 0, expected 1 x 1 x 1 x 1");
  expect_error([&] { parsed(3, {1, 9}, {1, 1}, {1, 1, 1, 1}); }, "the kernel_shape 1 x 9, expected 3 x 3");
}

TEST_F(OnnxFile, MetadataDoNotContradictTheGraph) {
  OnnxModel model;
  model.inputs = {{"x", {OnnxValue::kBatch, 3, 64, 64}}};
  model.outputs = {{"y", {OnnxValue::kBatch, 5, 16, 16}}};
  EXPECT_EQ(network_tensors(model, "net.onnx").metadata.at("head"), "heatmap");
  model.weights.metadata = {{"head", "regression"}};
  expect_error([&] { network_tensors(model, "net.onnx"); },
               "net.onnx: its metadata 'head' is \"regression\", but its graph has heatmap");
  model.weights.metadata = {{"input_size", "128"}};
  expect_error([&] { network_tensors(model, "net.onnx"); }, "'input_size' is \"128\", but its graph has 64");
}

TEST_F(OnnxFile, ReadsWeightsHoweverTheyAreStored) {
  const std::string halves = bytes(5, varint(0x3c00) + varint(0xc000));  // int32_data
  const std::string constant =
      bytes(1, bytes(2, "v") + bytes(4, "Constant") +
                   bytes(5, bytes(1, "value") + number(20, 4) + tensor("", kFloat, {1}, float_data({7}))));
  const TensorFile file =
      tensors_of(constant + node("Conv", {"x", "w", "v"}, "z") + node("BatchNormalization", {"z", "d", "b", "n"}, "y") +
                 tensor("w", kFloat16, {2}, halves) +
                 tensor("d", kDouble, {1}, bytes(10, std::string("\0\0\0\0\0\0\xf8\x3f", 8))) +
                 tensor("b", kInt8, {2}, bytes(5, varint(5) + varint(uint64_t(-1)))) +
                 tensor("n", kInt64, {1}, bytes(7, varint(9))));
  ASSERT_EQ(file.tensors.size(), 5u);
  EXPECT_EQ(file.find("w")->to_float(), (std::vector<float>{1, -2}));
  EXPECT_EQ(file.find("v")->to_float(), (std::vector<float>{7}));
  EXPECT_EQ(file.find("d")->to_float(), (std::vector<float>{1.5f}));
  EXPECT_EQ(file.find("b")->to_float(), (std::vector<float>{5, -1}));
  EXPECT_EQ(file.find("n")->to_float(), (std::vector<float>{9}));
}

TEST_F(OnnxFile, WhatNoWeightsAreInMayBeStoredAnyhow) {
  const std::string others = tensor("names", kString, {1}, bytes(6, "x")) + tensor("far", kFloat, {1}, number(14, 1));
  EXPECT_EQ(parse(model_of(node("Relu", {"x"}, "y") + others)).weights.tensors.size(), 0u);
}

TEST_F(OnnxFile, ManyIdentitiesTakeNeitherTimeNorMemory) {
  OnnxModel many;  // 40,000 of one number: ten seconds and more if each looks through all tensors
  for (int i = 0; i < 40000; ++i) {
    const std::string number = std::to_string(i);
    many.weights.tensors.push_back(HostTensor::from_floats("w" + number, {1}, std::vector<float>{1}));
    many.nodes.push_back({"Identity", "", {"w" + number}, {"v" + number}, {}});
    many.nodes.push_back({"Conv", "", {"x", "v" + number}, {"y" + number}, {}});
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(network_tensors(many, "net.onnx").tensors.size(), 40000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));

  OnnxModel large;  // 257 copies of 1 MiB
  large.weights.tensors = {HostTensor::from_floats("w", {1 << 18}, std::vector<float>(1 << 18))};
  for (int i = 0; i < 257; ++i) {
    const std::string copy = "v" + std::to_string(i);
    large.nodes.push_back({"Identity", "", {"w"}, {copy}, {}});
    large.nodes.push_back({"Conv", "", {"x", copy}, {"y"}, {}});
  }
  expect_error([&] { network_tensors(large, "net.onnx"); }, "net.onnx", "Identity", "256 MiB");
  large.nodes.pop_back();
  EXPECT_EQ(network_tensors(large, "net.onnx").tensors.size(), 256u);
}

TEST_F(OnnxFile, WhatIsNotReadIsNamed) {
  const auto expect = [](const std::string& content, const auto&... parts) {
    expect_error([&] { parse(content); }, "net.onnx", parts...);
  };
  const auto expect_tensor = [&](const std::string& tensor, const auto&... parts) {
    expect(model_of(node("Conv", {"x", "w"}, "y") + tensor), parts...);
  };
  expect_tensor(tensor("w", kFloat, {1}, number(14, 1)), "tensor \"w\"", "in another file", "dynamo=False");
  expect_tensor(tensor("w", kUint32, {1}, raw_data({1})), "tensor \"w\"", "type 12", "float32");
  expect_tensor(tensor("w", kInt32, {2}, number(5, 1)), "tensor \"w\" has 4 bytes", "[2] of int32");
  expect_tensor(tensor("w", kFloat, {2, 3}, raw_data({1})), "has 4 bytes", "[2, 3]");
  expect_tensor(tensor("w", kFloat, {uint64_t(-1), uint64_t(-1)}, raw_data({1})), "[-1, -1]");
  expect_tensor(tensor("w", kFloat, {1u << 31, 1u << 31, 4}, ""), "has 0 bytes");
  expect_tensor(tensor("w", kFloat, {1}, raw_data({1})) + tensor("w", kFloat, {1}, raw_data({1})), "occurs twice");
  expect(number(1, 8), "no graph");
  expect(number(1, 8) + bytes(7, ""), "no operator set");
  expect("\x08\x07 these are no weights", "damaged or truncated");
}

TEST_F(OnnxFile, NoTruncatedFilePasses) {
  testing::expect_every_prefix_refused(content_of(example()), [](const std::string& content) { parse(content); });
}

TEST_F(OnnxFile, DamageIsAnErrorAtWorst) {
  testing::expect_robust(content_of(example()), 3000, 1,
                         [](const std::string& content) { network_tensors(parse(content), "net.onnx"); });
}

TEST(OnnxFileLeftOut, SaysWhatToInstall) {
  if (!onnx_version().empty()) GTEST_SKIP() << "this build has ONNX";
  expect_error([] { parse_onnx(model_of(""), "net.onnx"); }, "net.onnx", "libonnx-dev");
  expect_error([] { write_onnx("net.onnx", {}); }, "net.onnx", "libonnx-dev");
}

}  // namespace
}  // namespace sandglass
