#include "engine/tensor_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/bfloat16.h"
#include "engine/error.h"
#include "engine/file.h"
#include "engine/onnx_file.h"
#include "engine/pytorch_file.h"
#include "engine/safetensors.h"

namespace sandglass {

static_assert(std::endian::native == std::endian::little, "files of weights are little-endian and copied as they are");

namespace {

struct Float16 {
  uint16_t bits;
  explicit operator float() const {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float magnitude;
    if (exponent == 31) {
      magnitude = mantissa ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
    } else if (exponent == 0) {  // zero and subnormals
      magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    } else {
      magnitude = std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
    }
    return std::copysign(magnitude, bits >> 15 ? -1.0f : 1.0f);
  }
};

template <typename Element>
std::vector<float> convert_to_float(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(Element));
  for (size_t i = 0; i < values.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof(Element), sizeof(Element));
    values[i] = static_cast<float>(element);
  }
  return values;
}

}  // namespace

size_t bytes_per_element(TensorType type) {
  switch (type) {
    case TensorType::f64:
    case TensorType::i64:
      return 8;
    case TensorType::f32:
    case TensorType::i32:
      return 4;
    case TensorType::f16:
    case TensorType::bf16:
    case TensorType::i16:
      return 2;
    case TensorType::i8:
    case TensorType::u8:
    case TensorType::boolean:
      return 1;
  }
  fail("tensor type {} does not exist", static_cast<int>(type));
}

const char* name_of(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return "float32";
    case TensorType::f64:
      return "float64";
    case TensorType::f16:
      return "float16";
    case TensorType::bf16:
      return "bfloat16";
    case TensorType::i64:
      return "int64";
    case TensorType::i32:
      return "int32";
    case TensorType::i16:
      return "int16";
    case TensorType::i8:
      return "int8";
    case TensorType::u8:
      return "uint8";
    case TensorType::boolean:
      return "bool";
  }
  fail("tensor type {} does not exist", static_cast<int>(type));
}

std::optional<int64_t> byte_count(std::span<const int64_t> shape, TensorType type) {
  auto product = static_cast<int64_t>(bytes_per_element(type));
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return product;
}

bool is_utf8(std::string_view text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

std::string utf8_text(const std::string& text) { return is_utf8(text) ? text : in_quotes(text); }

std::string in_quotes(std::string_view name) {
  constexpr size_t kLongest = 100;
  const bool shortened = name.size() > kLongest;
  const nlohmann::json text = std::string(name.substr(0, kLongest)) + (shortened ? "..." : "");
  return text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

HostTensor HostTensor::from_floats(std::string name, std::vector<int64_t> shape, std::span<const float> values) {
  check(byte_count(shape, TensorType::f32) == static_cast<int64_t>(values.size_bytes()),
        "tensor {}: {} values do not fill the shape [{}]", in_quotes(name), values.size(), fmt::join(shape, ", "));
  const std::span<const std::byte> bytes = std::as_bytes(values);
  return {std::move(name), TensorType::f32, std::move(shape), {bytes.begin(), bytes.end()}};
}

std::vector<float> HostTensor::to_float() const {
  switch (type) {
    case TensorType::f32:
      return convert_to_float<float>(bytes);
    case TensorType::f64:
      return convert_to_float<double>(bytes);
    case TensorType::f16:
      return convert_to_float<Float16>(bytes);
    case TensorType::bf16:
      return convert_to_float<bfloat16>(bytes);
    case TensorType::i64:
      return convert_to_float<int64_t>(bytes);
    case TensorType::i32:
      return convert_to_float<int32_t>(bytes);
    case TensorType::i16:
      return convert_to_float<int16_t>(bytes);
    case TensorType::i8:
      return convert_to_float<int8_t>(bytes);
    case TensorType::u8:
    case TensorType::boolean:
      return convert_to_float<uint8_t>(bytes);
  }
  fail("tensor type {} does not exist", static_cast<int>(type));
}

const HostTensor* TensorFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &HostTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

TensorFile read_tensor_file(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  if (looks_like_safetensors(content)) return parse_safetensors(content, path.string());
  if (looks_like_pytorch(content)) return parse_pytorch(content, path.string());
  if (looks_like_onnx(content)) return network_tensors(parse_onnx(content, path.string()), path.string());
  check(!content.empty(), "{}: is empty, expected a safetensors file, a PyTorch checkpoint or an ONNX model",
        path.string());
  fail("{}: not a safetensors file nor a PyTorch checkpoint (torch.save) nor an ONNX model; it begins with {}",
       path.string(), in_quotes(std::string_view(content).substr(0, 16)));
}

}  // namespace sandglass
