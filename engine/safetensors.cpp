#include "engine/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "engine/error.h"
#include "engine/file.h"

namespace sandglass {

using nlohmann::json;

namespace {

constexpr uint64_t kLongestHeader = 100'000'000;
constexpr size_t kMostEvents =
    size_t{1} << 21;  // of the header's JSON, some 16 per tensor: a bound on the memory it takes
constexpr size_t kLengthBytes = 8;
constexpr std::string_view kMetadata = "__metadata__";

constexpr std::array<std::pair<TensorType, std::string_view>, 10> kTypes = {{{TensorType::f32, "F32"},
                                                                             {TensorType::f64, "F64"},
                                                                             {TensorType::f16, "F16"},
                                                                             {TensorType::bf16, "BF16"},
                                                                             {TensorType::i64, "I64"},
                                                                             {TensorType::i32, "I32"},
                                                                             {TensorType::i16, "I16"},
                                                                             {TensorType::i8, "I8"},
                                                                             {TensorType::u8, "U8"},
                                                                             {TensorType::boolean, "BOOL"}}};

uint64_t header_length(std::string_view content) {
  uint64_t length;
  std::memcpy(&length, content.data(), kLengthBytes);
  return length;
}

struct Header {
  json object;
  std::vector<std::string> names;  // the keys in the file's order, which the object does not keep
};

Header parse_header(std::string_view text, const std::string& path) {
  Header header;
  std::vector<std::set<std::string>> keys;  // of each object that is open
  size_t events = 0;
  const auto observe = [&](int depth, json::parse_event_t event, json& parsed) {
    constexpr int kDeepest = 3;  // the file's object, a tensor's object, its lists
    check(++events <= kMostEvents, "{}: the header has more than {} parts", path, kMostEvents);
    const bool opens = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    check(!opens || depth < kDeepest, "{}: the header is nested too deeply for safetensors", path);
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      check(keys.back().insert(key).second, "{}: the header has {} twice", path, in_quotes(key));
      if (keys.size() == 1) header.names.push_back(key);
    }
    return true;
  };
  try {
    header.object = json::parse(text, observe);
  } catch (const json::parse_error& error) {
    fail("{}: the header is not valid JSON (at its byte {})", path, error.byte);
  } catch (const json::exception&) {  // a number beyond the range of double
    fail("{}: the header is not valid JSON (a number out of range)", path);
  }
  check(header.object.is_object(), "{}: the header is not a JSON object", path);
  return header;
}

/// The list `key` of a tensor's entry: non-negative integers that fit in an int64_t.
std::vector<int64_t> integers(const json& entry, const char* key, const std::string& where) {
  const auto list = entry.find(key);
  check(list != entry.end() && list->is_array(), "{}: has no list \"{}\"", where, key);
  std::vector<int64_t> values;
  for (const json& item : *list) {
    check(item.is_number_unsigned() && item.get<uint64_t>() <= std::numeric_limits<int64_t>::max(),
          "{}: \"{}\" must be a list of non-negative integers", where, key);
    values.push_back(item.get<int64_t>());
  }
  return values;
}

TensorType parse_type(const json& entry, const std::string& where) {
  const auto dtype = entry.find("dtype");
  check(dtype != entry.end() && dtype->is_string(), "{}: has no text \"dtype\"", where);
  const auto type =
      std::ranges::find(kTypes, dtype->get_ref<const std::string&>(), [](auto& known) { return known.second; });
  check(type != kTypes.end(), "{}: type {} is not one that can be read here; convert it to F32", where,
        in_quotes(dtype->get_ref<const std::string&>()));
  return type->first;
}

}  // namespace

bool looks_like_safetensors(std::string_view content) {
  return content.size() > kLengthBytes && content[kLengthBytes] == '{' && header_length(content) <= kLongestHeader;
}

TensorFile parse_safetensors(std::string_view content, const std::string& path) {
  check(content.size() >= kLengthBytes, "{}: not a safetensors file: {} bytes are too few for its header's length",
        path, content.size());
  const uint64_t length = header_length(content);
  check(length <= kLongestHeader, "{}: not a safetensors file: its header would have {} bytes, the limit is {}", path,
        length, kLongestHeader);
  check(length <= content.size() - kLengthBytes, "{}: truncated: the header has {} bytes, the file only {}", path,
        length, content.size());
  check(length > 0 && content[kLengthBytes] == '{', "{}: not a safetensors file: the header does not start with '{{'",
        path);
  const Header header = parse_header(content.substr(kLengthBytes, length), path);
  const std::string_view data = content.substr(kLengthBytes + length);

  TensorFile file;
  struct Range {
    int64_t begin, end;
    size_t tensor;
  };
  std::vector<Range> ranges;
  for (const std::string& name : header.names) {
    const json& entry = header.object.at(name);
    if (name == kMetadata) {
      check(entry.is_object(), "{}: \"{}\" is not an object of texts", path, kMetadata);
      for (const auto& [key, value] : entry.items()) {
        check(value.is_string(), "{}: \"{}\": the value of {} is not a text", path, kMetadata, in_quotes(key));
        file.metadata[key] = value.get<std::string>();
      }
      continue;
    }
    const std::string where = fmt::format("{}: tensor {}", path, in_quotes(name));
    check(entry.is_object(), "{}: its entry in the header is not an object", where);
    HostTensor tensor{name, parse_type(entry, where), integers(entry, "shape", where), {}};
    const std::vector<int64_t> offsets = integers(entry, "data_offsets", where);
    check(offsets.size() == 2, "{}: \"data_offsets\" must be two numbers", where);
    const int64_t begin = offsets[0], end = offsets[1];
    check(begin <= end, "{}: ends at byte {} of the data, before its begin at {}", where, end, begin);
    check(static_cast<uint64_t>(end) <= data.size(),
          "{}: ends at byte {} of the data, of which the file has {}: truncated?", where, end, data.size());
    const std::optional<int64_t> expected = byte_count(tensor.shape, tensor.type);
    check(expected.has_value(), "{}: its shape [{}] is too large", where, fmt::join(tensor.shape, ", "));
    check(*expected == end - begin, "{}: {} of shape [{}] takes {} bytes, but its offsets span {}", where,
          name_of(tensor.type), fmt::join(tensor.shape, ", "), *expected, end - begin);
    ranges.push_back({begin, end, file.tensors.size()});
    file.tensors.push_back(std::move(tensor));
  }

  // Before any data is copied: the ranges must fill the data exactly, so no file can ask for more memory than it has
  // bytes.
  std::ranges::sort(ranges, {}, [](const Range& range) { return std::pair(range.begin, range.end); });
  int64_t filled = 0;
  for (const Range& range : ranges) {
    check(range.begin == filled, "{}: tensor {}: starts at byte {} of the data, but the one before it ends at {} ({})",
          path, in_quotes(file.tensors[range.tensor].name), range.begin, filled,
          range.begin < filled ? "overlap" : "hole");
    filled = range.end;
  }
  check(static_cast<uint64_t>(filled) == data.size(), "{}: the tensors end at byte {} of the data, but it has {} bytes",
        path, filled, data.size());
  for (const Range& range : ranges) {
    const auto bytes = std::as_bytes(std::span(data)).subspan(range.begin, range.end - range.begin);
    file.tensors[range.tensor].bytes.assign(bytes.begin(), bytes.end());
  }
  return file;
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  for (const auto& [key, value] : file.metadata) {
    check(is_utf8(key) && is_utf8(value), "{}: cannot be written: the metadata {} is not valid UTF-8", path.string(),
          in_quotes(key));
  }
  std::set<std::string_view> names;
  for (const HostTensor& tensor : file.tensors) {
    const std::string where = fmt::format("{}: cannot be written: tensor {}", path.string(), in_quotes(tensor.name));
    check(tensor.name != kMetadata, "{}: the format reserves this name", where);
    check(is_utf8(tensor.name), "{}: the name is not valid UTF-8", where);
    check(names.insert(tensor.name).second, "{}: occurs twice", where);
    check(byte_count(tensor.shape, tensor.type) == static_cast<int64_t>(tensor.bytes.size()),
          "{}: has {} bytes, which is not {} of shape [{}]", where, tensor.bytes.size(), name_of(tensor.type),
          fmt::join(tensor.shape, ", "));
  }

  std::vector<size_t> layout(file.tensors.size());  // the order of the data: widest elements first
  std::iota(layout.begin(), layout.end(), size_t{0});
  std::ranges::stable_sort(layout, std::greater(), [&](size_t i) { return bytes_per_element(file.tensors[i].type); });
  std::vector<size_t> begins(file.tensors.size());
  size_t data_size = 0;
  for (const size_t i : layout) {
    begins[i] = data_size;
    data_size += file.tensors[i].bytes.size();
  }

  std::vector<std::string> entries;
  if (!file.metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, value] : file.metadata) {
      texts.push_back(fmt::format("{}:{}", json(key).dump(), json(value).dump()));
    }
    entries.push_back(fmt::format("\"{}\":{{{}}}", kMetadata, fmt::join(texts, ",")));
  }
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const HostTensor& tensor = file.tensors[i];
    const auto type = std::ranges::find(kTypes, tensor.type, [](auto& known) { return known.first; });
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  json(tensor.name).dump(), type->second, fmt::join(tensor.shape, ","), begins[i],
                                  begins[i] + tensor.bytes.size()));
  }
  std::string header = fmt::format("{{{}}}", fmt::join(entries, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');
  check(header.size() <= kLongestHeader, "{}: cannot be written: its header would have {} bytes, the limit is {}",
        path.string(), header.size(), kLongestHeader);

  const uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), kLengthBytes);
  content.reserve(kLengthBytes + header.size() + data_size);
  content += header;
  for (const size_t i : layout) {
    const std::vector<std::byte>& bytes = file.tensors[i].bytes;
    content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  write_file(path, content);
}

}  // namespace sandglass
