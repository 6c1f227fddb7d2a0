#include "engine/pytorch_file.h"

#ifdef SANDGLASS_LIBZIP
#include <zip.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/pickle.h"

namespace sandglass {

using pickle::Dict;
using pickle::Ref;
using pickle::StridedTensor;
using pickle::Unpickler;

namespace {

constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kStreamMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";  // 0x1950a86a20f9469cfc6c
constexpr int64_t kStreamVersion = 1001;
constexpr size_t kLongestName = 4096;
constexpr size_t kMostMetadata = 1000, kLongestMetadata = 1000;
// Tensors that share a storage, or repeat its elements by a stride of 0, can take more bytes than the file. State dicts
// hardly do that; a hostile file could ask for any amount.
constexpr uint64_t kLargestGrowth = 4, kAlwaysAllowed = 1 << 20;

/// The bytes of the storage with this key.
using StorageReader = std::function<std::string_view(std::string_view key)>;

// ---------------------------------------------------------------------------------------------------------------------
// From the saved object to tensors

bool is_contiguous(const StridedTensor& tensor) {
  int64_t expected = 1;
  for (size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

/// Copies the elements in row-major order. All of them lie within `storage`.
void gather(const StridedTensor& tensor, const char* storage, size_t element, std::byte* out) {
  const size_t dimensions = tensor.shape.size();
  std::array<int64_t, pickle::kMostDimensions> index{};
  int64_t from = tensor.offset;
  for (;;) {
    std::memcpy(out, storage + from * static_cast<int64_t>(element), element);
    out += element;
    size_t d = dimensions;
    for (;; --d) {  // the next index, like an odometer
      if (d == 0) return;
      if (++index[d - 1] < tensor.shape[d - 1]) break;
      from -= tensor.strides[d - 1] * (tensor.shape[d - 1] - 1);
      index[d - 1] = 0;
    }
    from += tensor.strides[d - 1];
  }
}

/// The tensor as one of its own; `where` names it. `budget` is what may still be allocated, in bytes.
HostTensor materialise(const std::string& name, const StridedTensor& tensor, const StorageReader& read_storage,
                       uint64_t& budget, const std::string& where) {
  const size_t element = bytes_per_element(tensor.storage.type);
  check(tensor.shape.size() == tensor.strides.size(), "{}: has {} sizes but {} strides", where, tensor.shape.size(),
        tensor.strides.size());
  const std::optional<int64_t> size = byte_count(tensor.shape, tensor.storage.type);
  check(size.has_value(), "{}: its shape [{}] is negative or too large", where, fmt::join(tensor.shape, ", "));
  const uint64_t cost =
      static_cast<uint64_t>(*size) + sizeof(HostTensor) + name.size() + tensor.shape.size() * sizeof(int64_t);
  check(cost <= budget, "{}: shape [{}] takes {} bytes, far more than the file has: damaged?", where,
        fmt::join(tensor.shape, ", "), *size);
  budget -= cost;
  HostTensor result{name, tensor.storage.type, tensor.shape, std::vector<std::byte>(static_cast<size_t>(*size))};
  if (*size == 0) return result;

  int64_t last = tensor.offset;  // the largest index into the storage; strides are never negative in PyTorch
  bool good = tensor.offset >= 0;
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    int64_t step = 0;
    good = good && tensor.strides[d] >= 0 && !__builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &step) &&
           !__builtin_add_overflow(last, step, &last);
  }
  check(good && last < tensor.storage.count,
        "{}: shape [{}], strides [{}] and offset {} reach beyond its storage of {} elements", where,
        fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "), tensor.offset, tensor.storage.count);
  const std::string_view storage = read_storage(tensor.storage.key);
  const auto elements = static_cast<int64_t>(storage.size() / element);
  check(tensor.storage.first <= elements && tensor.storage.count <= elements - tensor.storage.first,
        "{}: storage {} has {} bytes, too few for elements {} to {} of {}", where, in_quotes(tensor.storage.key),
        storage.size(), tensor.storage.first, tensor.storage.first + tensor.storage.count,
        name_of(tensor.storage.type));
  const char* first = storage.data() + tensor.storage.first * static_cast<int64_t>(element);
  if (is_contiguous(tensor)) {
    std::memcpy(result.bytes.data(), first + tensor.offset * static_cast<int64_t>(element), result.bytes.size());
  } else {
    gather(tensor, first, element, result.bytes.data());
  }
  return result;
}

/// The dict's value under `key`, or nullptr.
template <typename T>
const T* find(const Unpickler& values, const Dict& dict, std::string_view key) {
  const T* found = nullptr;
  for (const auto& [entry_key, value] : dict.entries) {
    const auto* text = values.get_if<std::string_view>(entry_key);
    if (text != nullptr && *text == key) found = values.get_if<T>(value);
  }
  return found;
}

/// The dict that holds the tensors: the saved one or the state dict in it.
const Dict& state_dict(const Unpickler& values, const Dict& saved) {
  for (const char* key : {"state_dict", "model_state_dict", "model"}) {
    if (const Dict* inner = find<Dict>(values, saved, key)) return *inner;
  }
  return saved;
}

bool is_metadata(std::string_view text) { return text.size() <= kLongestMetadata && is_utf8(text); }

std::map<std::string, std::string> scalars(const Unpickler& values, const Dict& saved) {
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : saved.entries) {
    const auto* name = values.get_if<std::string_view>(key);
    if (name == nullptr || !is_metadata(*name) || metadata.size() == kMostMetadata) continue;
    if (const auto* integer = values.get_if<int64_t>(value)) {
      metadata[std::string(*name)] = fmt::to_string(*integer);
    } else if (const auto* real = values.get_if<double>(value)) {
      metadata[std::string(*name)] = fmt::to_string(*real);
    } else if (const auto* boolean = values.get_if<bool>(value)) {
      metadata[std::string(*name)] = *boolean ? "true" : "false";
    } else if (const auto* text = values.get_if<std::string_view>(value); text && is_metadata(*text)) {
      metadata[std::string(*name)] = std::string(*text);
    }
  }
  return metadata;
}

/// The first keys of a dict, for a message.
std::string some_keys(const Unpickler& values, const Dict& dict) {
  constexpr size_t kShown = 8;
  std::vector<std::string> keys;
  for (const auto& [key, value] : dict.entries) {
    const auto* text = values.get_if<std::string_view>(key);
    if (text != nullptr) keys.push_back(in_quotes(*text));
    if (keys.size() == kShown) break;
  }
  return keys.empty() ? "it has none" : fmt::format("its first keys: {}", fmt::join(keys, ", "));
}

TensorFile collect_tensors(const Unpickler& values, Ref saved_object, const StorageReader& read_storage,
                           size_t file_size, const std::string& path) {
  if (const auto* object = values.get_if<pickle::Object>(saved_object)) {
    fail("{}: holds a Python object {}, not a state dict; save the model's state_dict() instead of the model", path,
         in_quotes(fmt::format("{}.{}", object->module, object->name)));
  }
  const Dict* saved = values.get_if<Dict>(saved_object);
  check(saved != nullptr, "{}: does not hold a dict; save a model's state_dict()", path);
  const Dict& state = state_dict(values, *saved);

  struct Entry {
    std::string_view name;
    const StridedTensor* tensor;
  };
  std::vector<Entry> entries;
  std::map<std::string_view, size_t> index_of_name;
  for (const auto& [key, value] : state.entries) {
    const auto* tensor = values.get_if<std::shared_ptr<const StridedTensor>>(value);
    const auto* unknown = values.get_if<pickle::UnknownTensor>(value);
    const auto* name = values.get_if<std::string_view>(key);
    if (name == nullptr) {
      check(tensor == nullptr && unknown == nullptr, "{}: the state dict has a tensor under a key that is no text",
            path);
      continue;
    }
    check(name->size() <= kLongestName, "{}: the state dict has a key {} of {} bytes, the limit is {}", path,
          in_quotes(*name), name->size(), kLongestName);
    check(unknown == nullptr,
          "{}: tensor {}: is of a kind ({}) that cannot be read here; save it as a plain float32 tensor", path,
          in_quotes(*name), in_quotes(unknown ? unknown->kind : ""));
    const auto [position, is_new] = index_of_name.try_emplace(*name, entries.size());
    if (is_new) entries.push_back({*name, nullptr});
    entries[position->second].tensor = tensor ? tensor->get() : nullptr;
  }
  std::erase_if(entries, [](const Entry& entry) { return entry.tensor == nullptr; });
  check(!entries.empty(), "{}: no tensors in its state dict ({})", path, some_keys(values, state));

  constexpr std::string_view kModule = "module.";
  const bool all_have_prefix =
      std::ranges::all_of(entries, [&](const Entry& entry) { return entry.name.starts_with(kModule); });
  TensorFile file;
  file.metadata = scalars(values, *saved);
  uint64_t budget = kAlwaysAllowed + kLargestGrowth * file_size;
  for (const Entry& entry : entries) {
    const std::string name(entry.name.substr(all_have_prefix ? kModule.size() : 0));
    const std::string where = fmt::format("{}: tensor {}", path, in_quotes(name));
    file.tensors.push_back(materialise(name, *entry.tensor, read_storage, budget, where));
  }
  return file;
}

// ---------------------------------------------------------------------------------------------------------------------
// The zip format

#ifdef SANDGLASS_LIBZIP

/// A zip archive in memory.
class Archive {
 public:
  Archive(std::string_view content, const std::string& path) : path_(path), largest_total_(content.size()) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(content.data(), content.size(), 0, &error);
    if (source != nullptr) zip_.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
    if (zip_ == nullptr) {
      const std::string reason = zip_error_strerror(&error);
      if (source != nullptr) zip_source_free(source);
      zip_error_fini(&error);
      fail("{}: not a readable zip archive ({}): damaged or truncated?", path, reason);
    }
    zip_error_fini(&error);
  }

  /// The entry's name, or "" for one that was deleted or cannot be decoded.
  std::string_view name(int64_t index) const {
    const char* name = zip_get_name(zip_.get(), static_cast<uint64_t>(index), ZIP_FL_ENC_RAW);
    return name == nullptr ? "" : name;
  }

  int64_t entries() const { return zip_get_num_entries(zip_.get(), 0); }

  bool has(const std::string& name) const { return zip_name_locate(zip_.get(), name.c_str(), ZIP_FL_ENC_RAW) >= 0; }

  /// The entry's content, its checksum verified.
  std::string read(const std::string& name) {
    const std::string where = fmt::format("{}: entry {}", path_, in_quotes(name));
    zip_stat_t stat;
    check(zip_stat(zip_.get(), name.c_str(), ZIP_FL_ENC_RAW, &stat) == 0, "{}: missing from the archive", where);
    check(stat.comp_method == ZIP_CM_STORE && stat.encryption_method == ZIP_EM_NONE,
          "{}: is compressed or encrypted, which torch.save never does; unpack it and pack it again without", where);
    total_ += stat.size;  // entries that overlap would be a way to ask for more memory than the file has bytes
    check(stat.size <= largest_total_ && total_ <= largest_total_, "{}: more bytes than the file has: damaged?", where);
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen(zip_.get(), name.c_str(), ZIP_FL_ENC_RAW),
                                                                  &zip_fclose);
    check(file != nullptr, "{}: cannot be opened ({})", where, zip_strerror(zip_.get()));
    std::string content(stat.size, '\0');
    const int64_t count = zip_fread(file.get(), content.data(), content.size());
    char beyond;  // the checksum is compared when the end is reached
    const bool at_end = count == static_cast<int64_t>(content.size()) && zip_fread(file.get(), &beyond, 1) == 0;
    check(at_end, "{}: damaged ({})", where, zip_file_strerror(file.get()));
    return content;
  }

 private:
  struct Discard {
    void operator()(zip_t* zip) const { zip_discard(zip); }
  };
  std::string path_;
  std::unique_ptr<zip_t, Discard> zip_;
  uint64_t largest_total_, total_ = 0;
};

TensorFile parse_zip(std::string_view content, const std::string& path) {
  Archive archive(content, path);
  std::string prefix;
  for (int64_t i = 0; i < archive.entries() && prefix.empty(); ++i) {
    constexpr std::string_view kPickle = "/data.pkl";
    const std::string_view name = archive.name(i);
    if (name.ends_with(kPickle)) prefix = name.substr(0, name.size() - kPickle.size());
  }
  check(!prefix.empty(), "{}: a zip archive, but not a PyTorch checkpoint: it has no entry data.pkl", path);
  check(!archive.has(prefix + "/constants.pkl"),
        "{}: a TorchScript archive, not a checkpoint; save the model's state_dict() with torch.save", path);
  if (archive.has(prefix + "/byteorder")) {
    check(archive.read(prefix + "/byteorder") == "little",
          "{}: written on a big-endian machine, which is not supported", path);
  }

  const std::string bytes = archive.read(prefix + "/data.pkl");
  Unpickler values(bytes, fmt::format("{}: {}/data.pkl", path, prefix));
  const Ref saved = values.load();
  std::map<std::string_view, std::string> storages;
  const StorageReader read_storage = [&](std::string_view key) -> std::string_view {
    const auto [storage, is_new] = storages.try_emplace(key);
    if (is_new) storage->second = archive.read(fmt::format("{}/data/{}", prefix, key));
    return storage->second;
  };
  return collect_tensors(values, saved, read_storage, content.size(), path);
}

#else

TensorFile parse_zip(std::string_view, const std::string& path) {
  fail(
      "{}: a zip archive, which this build cannot read: it leaves out libzip (configure with -DSANDGLASS_LIBZIP=ON); "
      "`sandglass convert` of another build makes safetensors of it",
      path);
}

#endif

// ---------------------------------------------------------------------------------------------------------------------
// The older format, a stream of pickles

TensorFile parse_stream(std::string_view content, const std::string& path) {
  Unpickler values(content, path);
  const Ref magic = values.load();
  const auto* number = values.get_if<pickle::BigInteger>(magic);
  check(number != nullptr && number->bytes == kStreamMagic,
        "{}: a Python pickle, but not a PyTorch checkpoint (torch.save)", path);
  const auto* version = values.get_if<int64_t>(values.load());
  check(version != nullptr && *version == kStreamVersion, "{}: of an unknown version of PyTorch's format, expected {}",
        path, kStreamVersion);
  const auto* system = values.get_if<Dict>(values.load());
  const bool* little_endian = system ? find<bool>(values, *system, "little_endian") : nullptr;
  check(little_endian == nullptr || *little_endian, "{}: written on a big-endian machine, which is not supported",
        path);
  const Ref saved = values.load();
  const auto* keys = values.get_if<pickle::Sequence>(values.load());
  check(keys != nullptr, "{}: the list of storages is missing: damaged?", path);

  std::map<std::string_view, std::string_view> storages;
  size_t position = values.position();
  for (const Ref item : keys->items) {
    const auto* key = values.get_if<std::string_view>(item);
    const auto type = key ? values.storage_types().find(*key) : values.storage_types().end();
    if (type == values.storage_types().end()) break;  // its size is not known, nor where the next one starts
    int64_t count = 0;
    check(content.size() - position >= sizeof(count), "{}: truncated before storage {}", path, in_quotes(*key));
    std::memcpy(&count, content.data() + position, sizeof(count));
    position += sizeof(count);
    const std::optional<int64_t> size = byte_count({&count, 1}, type->second);
    check(size.has_value() && static_cast<uint64_t>(*size) <= content.size() - position,
          "{}: truncated in storage {}: {} elements of {} expected, {} bytes left", path, in_quotes(*key), count,
          name_of(type->second), content.size() - position);
    storages[*key] = content.substr(position, static_cast<size_t>(*size));
    position += static_cast<size_t>(*size);
  }
  const StorageReader read_storage = [&](std::string_view key) {
    const auto storage = storages.find(key);
    check(storage != storages.end(), "{}: storage {} is missing, or comes after one of a type that is not known here",
          path, in_quotes(key));
    return storage->second;
  };
  return collect_tensors(values, saved, read_storage, content.size(), path);
}

}  // namespace

bool looks_like_pytorch(std::string_view content) {
  const bool is_pickle = content.size() >= 2 && content[0] == '\x80' && content[1] >= 2 && content[1] <= 5;
  return is_pickle || content.starts_with(kZipMagic);
}

TensorFile parse_pytorch(std::string_view content, const std::string& path) {
  check(looks_like_pytorch(content), "{}: not a PyTorch checkpoint: neither a zip archive nor a pickle", path);
  return content.starts_with(kZipMagic) ? parse_zip(content, path) : parse_stream(content, path);
}

TensorFile read_pytorch(const std::filesystem::path& path) { return parse_pytorch(read_file(path), path.string()); }

}  // namespace sandglass
