// Named tensors in host memory, as files of weights hold them, whatever the file's format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandglass {

/// The type of a tensor's elements in a file: IEEE 754 floats (bf16: the upper half of an f32), two's complement
/// integers, booleans as one byte 0 or 1. Always little-endian.
enum class TensorType { f32, f64, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// Bytes per element: 1, 2, 4 or 8.
size_t bytes_per_element(TensorType type);

/// "float32", "bfloat16", "int64", "bool", ...
const char* name_of(TensorType type);

/// Bytes of a tensor of this shape (the empty shape is a scalar), or nothing if a size is negative or the product does
/// not fit in an int64_t.
std::optional<int64_t> byte_count(std::span<const int64_t> shape, TensorType type);

/// Whether `text` is valid UTF-8.
bool is_utf8(std::string_view text);

/// `name` in quotes, control characters and broken UTF-8 escaped, long ones shortened: fit for a one-line message.
std::string in_quotes(std::string_view name);
/// `text` as JSON can hold it: as it is if it is UTF-8, else in_quotes. File names may be any bytes.
std::string utf8_text(const std::string& text);

/// One tensor: row-major (the last dimension is contiguous), `bytes.size()` = product of `shape` x element size.
struct HostTensor {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  /// An f32 tensor. Throws Error if `values` does not have as many elements as `shape`.
  static HostTensor from_floats(std::string name, std::vector<int64_t> shape, std::span<const float> values);

  /// Number of elements.
  int64_t count() const { return static_cast<int64_t>(bytes.size() / bytes_per_element(type)); }

  /// All elements as float, row-major. f16 and bf16 are exact; f64 and integers beyond 2^24 are rounded to the nearest.
  std::vector<float> to_float() const;
};

/// What a file of weights holds.
struct TensorFile {
  std::vector<HostTensor> tensors;              ///< in the file's order; names are unique
  std::map<std::string, std::string> metadata;  ///< free text about the file, UTF-8

  /// The tensor of this name, or nullptr.
  const HostTensor* find(std::string_view name) const;
};

/// Reads a file of weights in any format this program knows, recognised by its content, not by its name: safetensors
/// (see engine/safetensors.h), a PyTorch checkpoint (see engine/pytorch_file.h) or an ONNX model (network_tensors() of
/// engine/onnx_file.h).
/// Throws Error naming the file, and the tensor where one is at fault, if it is missing, damaged or of another kind.
TensorFile read_tensor_file(const std::filesystem::path& path);

}  // namespace sandglass
