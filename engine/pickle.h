// The part of Python's pickle format that PyTorch's checkpoints use. Nothing in a file is ever executed: a pickle is a
// program for a small stack machine; the few functions that build tensors and dicts are known here by name, and
// whatever else it calls yields an Object, a value without effect. Source: CPython's Lib/pickletools.py (the opcodes),
// torch/_utils.py and torch/serialization.py (the functions).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/error.h"
#include "engine/tensor_file.h"

namespace sandglass::pickle {

/// Index of a value in its Unpickler. Values name each other by index, so a file's cycles and depth of nesting are
/// harmless.
using Ref = uint32_t;

struct None {};
/// An int beyond int64_t: two's complement, little-endian.
struct BigInteger {
  std::string_view bytes;
};
/// A list or tuple.
struct Sequence {
  std::vector<Ref> items;
};
/// Keys and values as they were set: where a key comes twice, the later value counts.
struct Dict {
  std::vector<std::pair<Ref, Ref>> entries;
};
/// Elements first .. first + count - 1 of an array that the file holds under the name `key`.
struct Storage {
  std::string_view key;
  TensorType type;
  int64_t first, count;
};
/// Most dimensions of a tensor: NumPy's limit; PyTorch's own is close to it.
inline constexpr size_t kMostDimensions = 64;
/// Element (i, j, ...) is element offset + i * strides[0] + j * strides[1] + ... of the storage. As the file says it:
/// whether shape, strides and offset are sensible and within the storage is not checked yet; neither has more than
/// kMostDimensions.
struct StridedTensor {
  Storage storage;
  int64_t offset;
  std::vector<int64_t> shape, strides;
};
/// A tensor of a kind that is not supported: quantised, sparse, complex, ...
struct UnknownTensor {
  std::string_view kind;  ///< PyTorch's name of the class or function that is not known here
};
/// A function with a known meaning.
enum class Function { rebuild_tensor, rebuild_from_type, first_argument, ordered_dict };
/// A class or function that is not known, or the result of calling one.
struct Object {
  std::string_view module, name;
};

/// A str is a std::string_view into the file, a storage class such as torch.FloatStorage is its TensorType.
using Value =
    std::variant<None, bool, int64_t, double, BigInteger, std::string_view, Sequence, Dict, Function, TensorType,
                 std::shared_ptr<const Storage>, std::shared_ptr<const StridedTensor>, UnknownTensor, Object>;

/// Runs pickles of protocol 2 to 5. Memory and time stay proportional to the pickle's size.
class Unpickler {
 public:
  /// `bytes` must outlive the unpickler and all values. Errors start with `where`, the file (and the part of it).
  Unpickler(std::string_view bytes, std::string where);

  /// Runs the pickle that starts at position() and returns its value; position() is then behind it. Values of earlier
  /// calls stay valid. Throws Error if it is truncated, malformed, or uses an opcode no checkpoint needs.
  Ref load();

  const Value& operator[](Ref ref) const { return values_[ref]; }
  template <typename T>
  const T* get_if(Ref ref) const {
    return std::get_if<T>(&values_[ref]);
  }

  /// Where the next pickle starts, in bytes.
  size_t position() const { return position_; }

  /// The type of every storage that the pickles so far refer to, by key.
  const std::map<std::string_view, TensorType>& storage_types() const { return storage_types_; }

 private:
  std::string_view read(uint64_t count);
  template <typename Integer>
  Integer read_integer();
  std::string_view read_line();

  void charge(size_t cells);
  Ref add(Value value);
  void push(Ref ref) { stack_.push_back(ref); }
  void push_new(Value value) { push(add(std::move(value))); }
  void push_integer(std::string_view bytes);
  Ref top() const;
  Ref pop();
  std::vector<Ref> pop_items(size_t count);
  std::vector<Ref> pop_to_mark();
  void memoize(uint32_t index);
  Ref recall(uint32_t index) const;

  void append_to_top(const std::vector<Ref>& items);
  void set_items_of_top(const std::vector<Ref>& keys_and_values);
  Value global(std::string_view module, std::string_view name) const;
  Ref call(Ref function, const std::vector<Ref>& arguments);
  Value rebuild_tensor(const std::vector<Ref>& arguments);
  Value ordered_dict(const std::vector<Ref>& arguments);
  Value persistent_object(const std::vector<Ref>& id);

  template <typename T>
  const T& expect(Ref ref, const char* what) const;
  std::vector<int64_t> expect_sizes(Ref ref, const char* what) const;
  template <typename... Args>
  [[noreturn]] void malformed(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: damaged pickle at byte {}: {}", where_, opcode_position_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view bytes_;
  std::string where_;
  size_t position_ = 0, opcode_position_ = 0;
  std::deque<Value> values_;
  size_t cells_ = 0;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::map<uint32_t, Ref> memo_;
  std::map<std::string_view, TensorType> storage_types_;
};

}  // namespace sandglass::pickle
