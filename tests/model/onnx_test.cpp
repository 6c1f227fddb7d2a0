// The network as an ONNX file: what the file says, what it computes, and the way back. The file is computed here by the
// operations' float64 references.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/file.h"
#include "engine/random.h"
#include "kernels/average_pool/average_pool.h"
#include "kernels/conv/conv.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/upsample/upsample.h"
#include "model/inference_network.h"
#include "model/onnx_export.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

const NetworkConfig kHeatmap{.width = 16, .depth = 2, .heatmaps = 3, .input_size = 32};
const NetworkConfig kRegression{.width = 8, .depth = 1, .heatmaps = 2, .input_size = 16, .head = Head::regression};

// Weights in which every number matters: batch norms with statistics and shifts of their own.
Weights weights_of(const NetworkConfig& config) {
  const std::vector<std::string> aus{"AU06", "AU12", "AU17"};
  Weights weights = initial_weights(config, {aus.begin(), aus.begin() + config.heatmaps}, 3);
  const ParameterTable table(config);
  Random random(5);
  for (const ParameterInfo& p : table.all()) {
    float* values = weights.values(p);
    if (p.kind != ParameterInfo::Kind::conv_weight)
      for (size_t i = 0; i < p.elements; ++i) values[i] += random.uniform(-0.4f, 0.4f);
  }
  weights.metadata["note"] = "kept";
  return weights;
}

/// Evaluates a model's nodes one after the other, on maps in NHWC.
class Interpreter {
 public:
  explicit Interpreter(const OnnxModel& model) : model_(model) {}

  /// picture and result: NCHW.
  std::vector<double> run(const Shape& shape, const std::vector<float>& picture) {
    std::vector<double> nhwc(picture.size());
    for (int64_t i = 0; i < shape.elements(); ++i) nhwc[i] = picture[nchw_place(shape, i)];
    maps_[model_.inputs.at(0).name] = {shape, nhwc};
    for (const OnnxNode& node : model_.nodes) maps_[node.outputs.at(0)] = compute(node);
    const Map& result = maps_.at(model_.outputs.at(0).name);
    std::vector<double> values(result.values.size());
    for (int64_t i = 0; i < result.shape.elements(); ++i) values[nchw_place(result.shape, i)] = result.values[i];
    return values;
  }

 private:
  struct Map {
    Shape shape;
    std::vector<double> values;
  };

  static size_t nchw_place(const Shape& s, int64_t nhwc) {
    const int64_t c = nhwc % s.c, pixel = nhwc / s.c % (s.h * s.w), n = nhwc / s.c / (s.h * s.w);
    return (n * s.c + c) * s.h * s.w + pixel;
  }

  std::vector<double> tensor(const OnnxNode& node, size_t input) const {
    const std::vector<float> values = model_.weights.find(node.inputs.at(input))->to_float();
    return {values.begin(), values.end()};
  }

  template <typename T>
  static T attribute(const OnnxNode& node, const std::string& name) {
    return std::get<T>(node.attributes.at(name));
  }
  static int size(const OnnxNode& node, const std::string& name) {
    const auto sizes = attribute<std::vector<int64_t>>(node, name);
    for (const int64_t each : sizes) EXPECT_EQ(each, sizes[0]) << node.name;
    return static_cast<int>(sizes[0]);
  }

  Map compute(const OnnxNode& node) const {
    const Map& x = maps_.at(node.inputs.at(0));
    Map y = x;
    if (node.type == "Conv") return conv(node, x);
    if (node.type == "BatchNormalization") {
      const auto gamma = tensor(node, 1), beta = tensor(node, 2), mean = tensor(node, 3), variance = tensor(node, 4);
      for (size_t i = 0; i < y.values.size(); ++i) {
        const size_t c = i % x.shape.c;
        y.values[i] =
            (x.values[i] - mean[c]) / std::sqrt(variance[c] + attribute<float>(node, "epsilon")) * gamma[c] + beta[c];
      }
    } else if (node.type == "Relu") {
      for (double& value : y.values) value = std::max(value, 0.0);
    } else if (node.type == "Add") {
      const Map& other = maps_.at(node.inputs.at(1));
      EXPECT_EQ(other.shape, x.shape) << node.name;
      for (size_t i = 0; i < y.values.size(); ++i) y.values[i] += other.values[i];
    } else if (node.type == "MaxPool") {
      EXPECT_EQ(size(node, "kernel_shape"), 2);
      EXPECT_EQ(size(node, "strides"), 2);
      y.shape = pooled(x.shape);
      y.values.resize(y.shape.elements());
      std::vector<uint8_t> argmax(y.values.size());
      reference::max_pool_forward(x.shape, x.values.data(), y.values.data(), argmax.data());
    } else if (node.type == "Resize") {
      EXPECT_EQ(attribute<std::string>(node, "mode"), "nearest");
      EXPECT_EQ(attribute<std::string>(node, "nearest_mode"), "floor");
      EXPECT_EQ(attribute<std::string>(node, "coordinate_transformation_mode"), "asymmetric");
      EXPECT_EQ(tensor(node, 2), (std::vector<double>{1, 1, 2, 2}));
      y.shape = {x.shape.n, 2 * x.shape.h, 2 * x.shape.w, x.shape.c};
      y.values.resize(y.shape.elements());
      const std::vector<double> nothing(y.values.size());
      reference::upsample_add_forward(y.shape, x.values.data(), nothing.data(), y.values.data());
    } else if (node.type == "GlobalAveragePool") {
      y.shape = {x.shape.n, 1, 1, x.shape.c};
      y.values.resize(y.shape.elements());
      reference::average_pool_forward(x.shape, x.values.data(), y.values.data());
    } else {
      EXPECT_EQ(node.type, "Flatten");
    }
    return y;
  }

  Map conv(const OnnxNode& node, const Map& x) const {
    const std::vector<int64_t>& kcrs = model_.weights.find(node.inputs.at(1))->shape;
    const auto k = static_cast<int>(kcrs[0]), c = static_cast<int>(kcrs[1]), r = static_cast<int>(kcrs[2]);
    EXPECT_EQ(size(node, "kernel_shape"), r);
    const ConvShape shape{x.shape.n, x.shape.h, x.shape.w, c, k, r, r, size(node, "strides"), size(node, "pads")};
    const std::vector<double> weights = tensor(node, 1);
    std::vector<double> krsc(weights.size());
    for (int row = 0; row < k; ++row)  // a row of weights is a picture: C x R x S
      for (int i = 0; i < c * r * r; ++i)
        krsc[row * c * r * r + i] = weights[row * c * r * r + nchw_place({1, r, r, c}, i)];
    const std::vector<double> bias = node.inputs.size() > 2 ? tensor(node, 2) : std::vector<double>(k);
    Map y{shape.output(), std::vector<double>(shape.output().elements())};
    reference::conv_forward(shape, x.values.data(), krsc.data(), {}, bias.data(), nullptr, false, y.values.data());
    return y;
  }

  const OnnxModel& model_;
  std::map<std::string, Map> maps_;
};

class Onnx : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (onnx_version().empty()) GTEST_SKIP() << "this build has no ONNX";
  }
  OnnxModel written(const Weights& weights) const {
    write_onnx(path, to_onnx(weights, GetParam()));
    return parse_onnx(read_file(path), path.string());
  }
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "net.onnx";
};

TEST_P(Onnx, ComputesWhatTheNetworkComputes) {
  const auto device = open_device(DeviceKind::cpu);
  if (!offers<ConvForward>(*device)) GTEST_SKIP() << device->description() << " has no convolution";
  for (const NetworkConfig& config : {kHeatmap, kRegression}) {
    const Weights weights = weights_of(config);
    const Shape shape{2, config.input_size, config.input_size, 3};
    std::vector<float> picture(shape.elements());
    Random random(9);
    for (float& value : picture) value = random.uniform();
    InferenceNetwork network(*device, weights, shape.n, 0);
    network.run_on_tensors(picture);
    const std::vector<float> expected = network.heatmaps();
    const std::vector<double> got = Interpreter(written(weights)).run(shape, picture);
    ASSERT_EQ(got.size(), expected.size());
    double largest = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      largest = std::max(largest, std::abs(double{expected[i]}));
      ASSERT_NEAR(got[i], expected[i], 2e-5) << name_of(config.head) << " " << i;
    }
    EXPECT_GT(largest, 0.1) << "nothing to compare";
  }
}

TEST_P(Onnx, SaysWhatItIs) {
  for (const NetworkConfig& config : {kHeatmap, kRegression}) {
    const OnnxModel model = written(weights_of(config));
    EXPECT_EQ(model.producer, "sandglass");
    EXPECT_EQ(model.opset, 13);
    const int64_t k = config.heatmaps, size = config.input_size, side = config.input_size / 4;
    ASSERT_EQ(model.inputs.size(), 1u);
    EXPECT_EQ(model.inputs[0].name, "picture");
    EXPECT_EQ(model.inputs[0].shape, (std::vector<int64_t>{OnnxValue::kBatch, 3, size, size}));
    ASSERT_EQ(model.outputs.size(), 1u);
    if (config.head == Head::heatmap) {
      EXPECT_EQ(model.outputs[0].name, "heatmaps");
      EXPECT_EQ(model.outputs[0].shape, (std::vector<int64_t>{OnnxValue::kBatch, k, side, side}));
    } else {
      EXPECT_EQ(model.outputs[0].name, "intensities");
      EXPECT_EQ(model.outputs[0].shape, (std::vector<int64_t>{OnnxValue::kBatch, k}));
    }
    const auto& metadata = model.weights.metadata;
    EXPECT_EQ(metadata.at("aus"), config.heatmaps == 3 ? "AU06,AU12,AU17" : "AU06,AU12");
    EXPECT_EQ(metadata.at("input_size"), std::to_string(size));
    EXPECT_EQ(metadata.at("width"), std::to_string(config.width));
    EXPECT_EQ(metadata.at("depth"), std::to_string(config.depth));
    EXPECT_EQ(metadata.at("head"), name_of(config.head));
  }
}

TEST_P(Onnx, UsesNothingBeforeItIsThereAndNoNameTwice) {
  for (const NetworkConfig& config : {kHeatmap, kRegression}) {
    const OnnxModel model = written(weights_of(config));
    std::set<std::string> values, names, used;
    std::map<std::string, int> count;
    for (const OnnxValue& input : model.inputs) values.insert(input.name);
    for (const HostTensor& tensor : model.weights.tensors)
      EXPECT_TRUE(values.insert(tensor.name).second) << tensor.name;
    for (const OnnxNode& node : model.nodes) {
      EXPECT_TRUE(names.insert(node.name).second) << node.name;
      ++count[node.type];
      for (const std::string& input : node.inputs) {
        EXPECT_TRUE(input.empty() || values.contains(input)) << node.name << " uses " << input;
        used.insert(input);
      }
      for (const std::string& output : node.outputs) EXPECT_TRUE(values.insert(output).second) << output;
    }
    for (const HostTensor& tensor : model.weights.tensors) EXPECT_TRUE(used.contains(tensor.name)) << tensor.name;
    EXPECT_TRUE(values.contains(model.outputs.at(0).name));
    const int bottlenecks = 5 + 3 * config.depth;  // conv2 to conv4, the levels, b2_plus_1, top_m_0
    const int downsamples = 2;                     // of conv2 and conv4
    EXPECT_EQ(count["Conv"], 3 + 3 * bottlenecks + downsamples);
    EXPECT_EQ(count["BatchNormalization"], GetParam() ? count["Conv"] - 1 : 0);
    EXPECT_EQ(count["Relu"], 2 + 3 * bottlenecks);
    EXPECT_EQ(count["MaxPool"], 1 + config.depth);
  }
}

TEST_P(Onnx, ReadsBackWithItsBatchNorm) {
  for (const NetworkConfig& config : {kHeatmap, kRegression}) {
    const Weights weights = weights_of(config);
    written(weights);
    if (!GetParam()) {
      EXPECT_NE(error_of([&] { read_weights(path); }).find("batch norm seems to be folded"), std::string::npos);
      continue;
    }
    const Weights again = read_weights(path);
    EXPECT_EQ(again.config, weights.config);
    EXPECT_EQ(again.aus, weights.aus);
    EXPECT_EQ(again.parameters, weights.parameters);
    EXPECT_EQ(again.statistics, weights.statistics);
    EXPECT_EQ(again.metadata.at("note"), "kept");
  }
}

INSTANTIATE_TEST_SUITE_P(BatchNorm, Onnx, testing::Bool(),
                         [](const auto& info) { return info.param ? "kept" : "folded"; });

}  // namespace
}  // namespace sandglass
