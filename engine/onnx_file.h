// ONNX models: a network's graph together with its weights, for the programs that run such files.
// Source: https://github.com/onnx/onnx, docs/IR.md and onnx/onnx.proto, from which the build makes the message classes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/tensor_file.h"

namespace sandglass {

using OnnxAttribute = std::variant<int64_t, float, std::string, std::vector<int64_t>>;

/// One operation of the graph. Values go by their names.
struct OnnxNode {
  std::string type;                  ///< an operator of the standard set, "Conv"
  std::string name;                  ///< free text
  std::vector<std::string> inputs;   ///< an empty name is an optional input that is left out
  std::vector<std::string> outputs;  ///< names that no other node computes
  std::map<std::string, OnnxAttribute> attributes;
};

/// A float32 tensor that goes into the model or comes out of it.
struct OnnxValue {
  static constexpr int64_t kBatch = -1;  ///< the size of a dimension that whoever runs the model chooses
  std::string name;
  std::vector<int64_t> shape;
};

struct OnnxModel {
  std::string producer, producer_version;
  int64_t opset = 13;           ///< version of the standard operators; 13 (2021) is read by all that is in use
  std::vector<OnnxNode> nodes;  ///< each after those whose values it takes
  std::vector<OnnxValue> inputs, outputs;
  TensorFile weights;  ///< constant tensors ("initializers") and metadata
};

/// Version of ONNX that this build was made with; empty: it was made without, and neither reads nor writes ONNX files.
std::string onnx_version();

/// Writes the model in one file, replacing `path` in one step (see write_file()). Throws Error if it is larger than the
/// format's 2 GiB, if the file cannot be written, or if this build has no ONNX.
void write_onnx(const std::filesystem::path& path, const OnnxModel& model);

/// True if `content` starts like an ONNX model.
bool looks_like_onnx(std::string_view content);

/// A file's content as a model. The tensors of Constant nodes count as its constant tensors, too. Attributes of kinds
/// that OnnxAttribute lacks are skipped, and so are an input's initial value, functions and whatever else no weights
/// are in. Throws Error naming `path`, and the tensor where one is at fault: if the file is damaged or this build has
/// no ONNX, or if a tensor that may be weights has a type that is not one of TensorType, or its values in another file
/// ("external data").
OnnxModel parse_onnx(std::string_view content, const std::string& path);

/// The constant tensors that the model's convolutions and batch norms use, under their names; of a tensor that an
/// Identity node gives further names (PyTorch writes equal tensors once), one for each. The metadata are the model's,
/// and what its graph says: `input_size`, the side of square pictures N x C x S x S, and `head`, "regression" where the
/// result has no pixels. Throws Error naming `path`, and the node: if a batch norm has an epsilon other than 1e-5, or a
/// convolution has groups, is dilated, moves by other steps than 1 (filters of 7 x 7 pixels: 2) or is padded by other
/// than half its filter's size; if metadata contradict the graph; or if the Identity nodes copy more than 256 MiB.
TensorFile network_tensors(const OnnxModel& model, const std::string& path);

}  // namespace sandglass
