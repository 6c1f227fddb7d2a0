#include "engine/onnx_file.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "engine/batch_norm_epsilon.h"
#include "engine/error.h"
#include "engine/file.h"
#ifdef SANDGLASS_ONNX
#include <onnx/common/version.h>

#include "sandglass_onnx.pb.h"
#endif

namespace sandglass {

bool looks_like_onnx(std::string_view content) {
  // Field 1, ir_version, a small number: what every writer puts first.
  return content.size() > 2 && content[0] == 0x08 && content[1] > 0 && content[1] < 0x20;
}

namespace {

// What Identity nodes copy of a network is a few batch norms' values; a small file could ask for any amount.
constexpr size_t kMaxCopiedBytes = size_t{256} << 20;

constexpr int64_t kStemSize = 7;  // the only filters that move by two pixels

bool has_weights(const OnnxNode& node) { return node.type == "Conv" || node.type == "BatchNormalization"; }

template <typename T>
T attribute_or(const OnnxNode& node, const std::string& name, T absent) {
  const auto found = node.attributes.find(name);
  const T* value = found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
  return value ? *value : absent;
}

// Throws Error if the node's weights mean something else here, where convolutions and batch norms have no attributes
// of these names. `weights`: the convolution's, or null.
void check_attributes(const OnnxNode& node, const HostTensor* weights, const std::string& path) {
  const std::string name = in_quotes(!node.name.empty() || node.outputs.empty() ? node.name : node.outputs[0]);
  if (node.type != "Conv") {
    const auto epsilon = attribute_or<float>(node, "epsilon", kBatchNormEpsilon);
    check(std::abs(epsilon - kBatchNormEpsilon) <= 1e-3 * kBatchNormEpsilon,
          "{}: the batch norm {} has the epsilon {}, expected {}", path, name, epsilon, kBatchNormEpsilon);
    return;
  }
  const auto group = attribute_or<int64_t>(node, "group", 1);
  check(group == 1, "{}: the convolution {} has {} groups, expected 1", path, name, group);
  const auto auto_pad = attribute_or<std::string>(node, "auto_pad", "NOTSET");
  check(auto_pad == "NOTSET", "{}: the convolution {} has the auto_pad {}, expected numbers (pads)", path, name,
        in_quotes(auto_pad));
  using Numbers = std::vector<int64_t>;
  const auto check_numbers = [&](const char* attribute, const Numbers& absent, const Numbers& expected) {
    const auto numbers = attribute_or<Numbers>(node, attribute, absent);
    check(numbers == expected, "{}: the convolution {} has the {} {}, expected {}", path, name, attribute,
          fmt::join(numbers, " x "), fmt::join(expected, " x "));
  };
  check_numbers("dilations", {1, 1}, {1, 1});
  if (!weights || weights->shape.size() != 4) return;
  const int64_t r = weights->shape[2], s = weights->shape[3], stride = r == kStemSize ? 2 : 1;
  check_numbers("kernel_shape", {r, s}, {r, s});
  check_numbers("strides", {1, 1}, {stride, stride});
  check_numbers("pads", {0, 0, 0, 0}, {r / 2, s / 2, r / 2, s / 2});
}

}  // namespace

TensorFile network_tensors(const OnnxModel& model, const std::string& path) {
  std::set<std::string> missing;
  for (const OnnxNode& node : model.nodes) {
    if (!has_weights(node)) continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) missing.insert(node.inputs[i]);
  }
  TensorFile result;
  result.metadata = model.weights.metadata;
  std::map<std::string_view, const HostTensor*> constants;
  for (const HostTensor& tensor : model.weights.tensors) {
    constants.emplace(tensor.name, &tensor);
    if (missing.erase(tensor.name)) result.tensors.push_back(tensor);
  }
  size_t copied = 0;
  for (const OnnxNode& node : model.nodes) {
    if (node.type != "Identity" || node.inputs.size() != 1 || node.outputs.size() != 1) continue;
    const auto found = constants.find(node.inputs[0]);
    if (found == constants.end() || !missing.erase(node.outputs[0])) continue;
    copied += found->second->bytes.size();
    check(copied <= kMaxCopiedBytes, "{}: its Identity nodes copy more than {} MiB of tensors, which no network needs",
          path, kMaxCopiedBytes >> 20);
    result.tensors.push_back(*found->second);
    result.tensors.back().name = node.outputs[0];
    constants.emplace(node.outputs[0], found->second);
  }
  for (const OnnxNode& node : model.nodes) {
    if (!has_weights(node)) continue;
    const auto weights = node.inputs.size() > 1 ? constants.find(node.inputs[1]) : constants.end();
    check_attributes(node, weights == constants.end() ? nullptr : weights->second, path);
  }
  const auto graph_says = [&](const std::string& key, const std::string& value) {
    const std::string& said = result.metadata.emplace(key, value).first->second;
    check(said == value, "{}: its metadata '{}' is {}, but its graph has {}", path, key, in_quotes(said), value);
  };
  if (!model.inputs.empty()) {
    const std::vector<int64_t>& shape = model.inputs[0].shape;
    if (shape.size() == 4 && shape[2] == shape[3] && shape[3] > 0) graph_says("input_size", std::to_string(shape[3]));
  }
  if (!model.outputs.empty()) {
    const std::vector<int64_t>& shape = model.outputs[0].shape;
    if (shape.size() == 2) graph_says("head", "regression");
    if (shape.size() == 4 && shape[3] > 1) graph_says("head", "heatmap");
  }
  return result;
}

#ifdef SANDGLASS_ONNX

namespace {

// The version of the file format that came with operator set 13.
constexpr int64_t kIrVersion = 7;

struct ElementType {
  TensorType ours;
  onnx_proto::TensorProto::DataType theirs;
};
constexpr ElementType kTypes[] = {
    {TensorType::f32, onnx_proto::TensorProto::FLOAT},   {TensorType::f64, onnx_proto::TensorProto::DOUBLE},
    {TensorType::f16, onnx_proto::TensorProto::FLOAT16}, {TensorType::bf16, onnx_proto::TensorProto::BFLOAT16},
    {TensorType::i64, onnx_proto::TensorProto::INT64},   {TensorType::i32, onnx_proto::TensorProto::INT32},
    {TensorType::i16, onnx_proto::TensorProto::INT16},   {TensorType::i8, onnx_proto::TensorProto::INT8},
    {TensorType::u8, onnx_proto::TensorProto::UINT8},    {TensorType::boolean, onnx_proto::TensorProto::BOOL},
};

template <typename... Kinds>
struct Overloaded : Kinds... {
  using Kinds::operator()...;
};

void write_attribute(const OnnxAttribute& value, onnx_proto::AttributeProto& to) {
  std::visit(Overloaded{[&](int64_t number) {
                          to.set_type(onnx_proto::AttributeProto::INT);
                          to.set_i(number);
                        },
                        [&](float number) {
                          to.set_type(onnx_proto::AttributeProto::FLOAT);
                          to.set_f(number);
                        },
                        [&](const std::string& text) {
                          to.set_type(onnx_proto::AttributeProto::STRING);
                          to.set_s(text);
                        },
                        [&](const std::vector<int64_t>& numbers) {
                          to.set_type(onnx_proto::AttributeProto::INTS);
                          to.mutable_ints()->Assign(numbers.begin(), numbers.end());
                        }},
             value);
}

void write_node(const OnnxNode& node, onnx_proto::NodeProto& to) {
  to.set_op_type(node.type);
  to.set_name(node.name);
  to.mutable_input()->Assign(node.inputs.begin(), node.inputs.end());
  to.mutable_output()->Assign(node.outputs.begin(), node.outputs.end());
  for (const auto& [name, value] : node.attributes) {
    onnx_proto::AttributeProto& attribute = *to.add_attribute();
    attribute.set_name(name);
    write_attribute(value, attribute);
  }
}

void write_value(const OnnxValue& value, onnx_proto::ValueInfoProto& to) {
  to.set_name(value.name);
  onnx_proto::TypeProto::Tensor& type = *to.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx_proto::TensorProto::FLOAT);
  for (const int64_t size : value.shape) {
    onnx_proto::TensorShapeProto::Dimension& dimension = *type.mutable_shape()->add_dim();
    if (size == OnnxValue::kBatch) {
      dimension.set_dim_param("N");
    } else {
      dimension.set_dim_value(size);
    }
  }
}

void write_tensor(const HostTensor& tensor, onnx_proto::TensorProto& to) {
  to.set_name(tensor.name);
  to.set_data_type(std::ranges::find(kTypes, tensor.type, &ElementType::ours)->theirs);
  to.mutable_dims()->Assign(tensor.shape.begin(), tensor.shape.end());
  to.set_raw_data(tensor.bytes.data(), tensor.bytes.size());
}

// nothing: a kind that no network here has.
std::optional<OnnxAttribute> read_attribute(const onnx_proto::AttributeProto& from) {
  switch (from.type()) {
    case onnx_proto::AttributeProto::INT:
      return from.i();
    case onnx_proto::AttributeProto::FLOAT:
      return from.f();
    case onnx_proto::AttributeProto::STRING:
      return from.s();
    case onnx_proto::AttributeProto::INTS:
      return std::vector<int64_t>(from.ints().begin(), from.ints().end());
    default:
      return std::nullopt;
  }
}

OnnxNode read_node(const onnx_proto::NodeProto& from) {
  OnnxNode node{from.op_type(),
                from.name(),
                {from.input().begin(), from.input().end()},
                {from.output().begin(), from.output().end()},
                {}};
  for (const onnx_proto::AttributeProto& attribute : from.attribute())
    if (std::optional<OnnxAttribute> value = read_attribute(attribute))
      node.attributes.emplace(attribute.name(), std::move(*value));
  return node;
}

OnnxValue read_value(const onnx_proto::ValueInfoProto& from) {
  OnnxValue value{from.name(), {}};
  for (const onnx_proto::TensorShapeProto::Dimension& dimension : from.type().tensor_type().shape().dim())
    value.shape.push_back(dimension.has_dim_value() ? dimension.dim_value() : OnnxValue::kBatch);
  return value;
}

template <typename Elements>
std::vector<std::byte> bytes_of(const Elements& elements) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(elements.data(), size_t(elements.size())));
  return {bytes.begin(), bytes.end()};
}

// As the elements lie in memory: a field holds each as a number of its own width or a wider one.
template <typename Element, typename Field>
std::vector<std::byte> narrowed(const Field& field) {
  return bytes_of(std::vector<Element>(field.begin(), field.end()));
}

std::vector<std::byte> values_of(const onnx_proto::TensorProto& from, TensorType type) {
  if (from.has_raw_data()) return bytes_of(from.raw_data());
  if (type == TensorType::f32) return bytes_of(from.float_data());
  if (type == TensorType::f64) return bytes_of(from.double_data());
  if (type == TensorType::i64) return bytes_of(from.int64_data());
  const size_t width = bytes_per_element(type);
  if (width == 4) return bytes_of(from.int32_data());
  return width == 2 ? narrowed<uint16_t>(from.int32_data()) : narrowed<uint8_t>(from.int32_data());
}

const ElementType* known_type(const onnx_proto::TensorProto& tensor) {
  const auto type = std::ranges::find(kTypes, tensor.data_type(), &ElementType::theirs);
  return type == std::end(kTypes) ? nullptr : type;
}

bool is_external(const onnx_proto::TensorProto& tensor) {
  return tensor.data_location() == onnx_proto::TensorProto::EXTERNAL;
}

HostTensor read_tensor(const std::string& name, const onnx_proto::TensorProto& from, const std::string& path) {
  check(!is_external(from),
        "{}: the values of tensor {} are in another file; export the model as one file (PyTorch: "
        "torch.onnx.export(..., dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False))",
        path, in_quotes(name));
  const ElementType* const type = known_type(from);
  check(type, "{}: tensor {} has elements of ONNX's type {}, which is not read; export it as float32", path,
        in_quotes(name), from.data_type());
  HostTensor tensor{name, type->ours, {from.dims().begin(), from.dims().end()}, values_of(from, type->ours)};
  check(byte_count(tensor.shape, tensor.type) == static_cast<int64_t>(tensor.bytes.size()),
        "{}: tensor {} has {} bytes of values, which do not fill the shape [{}] of {}", path, in_quotes(name),
        tensor.bytes.size(), fmt::join(tensor.shape, ", "), name_of(tensor.type));
  return tensor;
}

// The graph's constant tensors: its initializers, and what its Constant nodes hold.
std::vector<std::pair<const std::string*, const onnx_proto::TensorProto*>> constants_of(
    const onnx_proto::GraphProto& graph) {
  std::vector<std::pair<const std::string*, const onnx_proto::TensorProto*>> constants;
  for (const onnx_proto::TensorProto& tensor : graph.initializer()) constants.emplace_back(&tensor.name(), &tensor);
  for (const onnx_proto::NodeProto& node : graph.node()) {
    if (node.op_type() != "Constant" || node.output_size() != 1) continue;
    for (const onnx_proto::AttributeProto& attribute : node.attribute())
      if (attribute.name() == "value" && attribute.has_t()) constants.emplace_back(&node.output(0), &attribute.t());
  }
  return constants;
}

// The values that weights can be, by themselves or through an Identity node.
std::set<std::string> possible_weights(const std::vector<OnnxNode>& nodes) {
  std::set<std::string> names;
  for (const OnnxNode& node : nodes)
    if (has_weights(node) || node.type == "Identity") names.insert(node.inputs.begin(), node.inputs.end());
  return names;
}

}  // namespace

std::string onnx_version() { return onnx::LAST_RELEASE_VERSION; }

void write_onnx(const std::filesystem::path& path, const OnnxModel& model) {
  // Two messages, one after the other, are one. The graph is the last of it, so that no truncated file looks complete.
  onnx_proto::ModelProto head, body;
  head.set_ir_version(kIrVersion);
  head.set_producer_name(model.producer);
  head.set_producer_version(model.producer_version);
  head.add_opset_import()->set_version(model.opset);
  onnx_proto::GraphProto& graph = *body.mutable_graph();
  graph.set_name(model.producer);
  for (const OnnxNode& node : model.nodes) write_node(node, *graph.add_node());
  for (const OnnxValue& value : model.inputs) write_value(value, *graph.add_input());
  for (const OnnxValue& value : model.outputs) write_value(value, *graph.add_output());
  for (const HostTensor& tensor : model.weights.tensors) write_tensor(tensor, *graph.add_initializer());
  for (const auto& [key, text] : model.weights.metadata) {
    onnx_proto::StringStringEntryProto& entry = *head.add_metadata_props();
    entry.set_key(key);
    entry.set_value(text);
  }
  const size_t bytes = head.ByteSizeLong() + body.ByteSizeLong();
  check(bytes <= INT_MAX, "{}: cannot be written: the model has {} MiB, an ONNX file at most 2048", path.string(),
        bytes >> 20);
  write_file(path, head.SerializeAsString() + body.SerializeAsString());
}

OnnxModel parse_onnx(std::string_view content, const std::string& path) {
  onnx_proto::ModelProto file;
  check(content.size() <= INT_MAX && file.ParseFromArray(content.data(), static_cast<int>(content.size())),
        "{}: is damaged or truncated: not a complete ONNX model", path);
  check(file.has_graph() && file.opset_import_size() > 0, "{}: is no ONNX model: it has no graph or no operator set",
        path);
  const onnx_proto::GraphProto& graph = file.graph();
  OnnxModel model;
  model.producer = file.producer_name();
  model.producer_version = file.producer_version();
  model.opset = file.opset_import(0).version();
  for (const onnx_proto::NodeProto& node : graph.node()) model.nodes.push_back(read_node(node));
  for (const onnx_proto::ValueInfoProto& value : graph.input()) model.inputs.push_back(read_value(value));
  for (const onnx_proto::ValueInfoProto& value : graph.output()) model.outputs.push_back(read_value(value));
  const std::set<std::string> needed = possible_weights(model.nodes);
  std::set<std::string> names;
  for (const auto& [name, tensor] : constants_of(graph)) {
    check(names.insert(*name).second, "{}: tensor {} occurs twice", path, in_quotes(*name));
    const bool readable = known_type(*tensor) && !is_external(*tensor);
    if (readable || needed.contains(*name)) model.weights.tensors.push_back(read_tensor(*name, *tensor, path));
  }
  for (const onnx_proto::StringStringEntryProto& entry : file.metadata_props())
    model.weights.metadata[entry.key()] = entry.value();
  return model;
}

#else

namespace {

[[noreturn]] void fail_without_onnx(const std::string& path) {
  fail(
      "{}: this build neither reads nor writes ONNX files; build Sandglass where libonnx-dev, libprotobuf-dev and "
      "protobuf-compiler are installed",
      path);
}

}  // namespace

std::string onnx_version() { return ""; }
void write_onnx(const std::filesystem::path& path, const OnnxModel&) { fail_without_onnx(path.string()); }
OnnxModel parse_onnx(std::string_view, const std::string& path) { fail_without_onnx(path); }

#endif

}  // namespace sandglass
