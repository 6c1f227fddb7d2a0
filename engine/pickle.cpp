#include "engine/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace sandglass::pickle {

namespace {

// Limits far beyond any checkpoint's needs, so that a hostile file cannot use much more memory than its own size.
constexpr size_t kMostCells = size_t{1} << 22;  // values, memo entries and copied references
constexpr size_t kLongestStorageKey = 255;

enum class Opcode : uint8_t {
  mark = '(',
  stop = '.',
  pop = '0',
  pop_mark = '1',
  dup = '2',
  binbytes = 'B',
  short_binbytes = 'C',
  binfloat = 'G',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  none = 'N',
  binpersid = 'Q',
  reduce = 'R',
  binstring = 'T',
  short_binstring = 'U',
  binunicode = 'X',
  empty_list = ']',
  append = 'a',
  build = 'b',
  global = 'c',
  dict = 'd',
  appends = 'e',
  binget = 'h',
  long_binget = 'j',
  list = 'l',
  binput = 'q',
  long_binput = 'r',
  setitem = 's',
  tuple = 't',
  empty_tuple = ')',
  setitems = 'u',
  empty_dict = '}',
  proto = 0x80,
  newobj = 0x81,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  long1 = 0x8a,
  long4 = 0x8b,
  short_binunicode = 0x8c,
  binunicode8 = 0x8d,
  binbytes8 = 0x8e,
  empty_set = 0x8f,
  additems = 0x90,
  frozenset = 0x91,
  newobj_ex = 0x92,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
  bytearray8 = 0x96,
};

struct KnownFunction {
  std::string_view module, name;
  Function function;
};
constexpr std::array kFunctions = {
    KnownFunction{"torch._utils", "_rebuild_tensor", Function::rebuild_tensor},  // until PyTorch 0.3
    KnownFunction{"torch._utils", "_rebuild_tensor_v2", Function::rebuild_tensor},
    KnownFunction{"torch._tensor", "_rebuild_from_type_v2", Function::rebuild_from_type},
    KnownFunction{"torch._utils", "_rebuild_parameter", Function::first_argument},
    KnownFunction{"torch._utils", "_rebuild_parameter_with_state", Function::first_argument},
    KnownFunction{"torch.nn.parameter", "Parameter", Function::first_argument},      // until PyTorch 0.3
    KnownFunction{"torch.autograd.variable", "Variable", Function::first_argument},  // until PyTorch 0.3
    KnownFunction{"torch", "Size", Function::first_argument},
    KnownFunction{"collections", "OrderedDict", Function::ordered_dict},
};

constexpr std::array<std::pair<std::string_view, TensorType>, 10> kStorages = {{{"FloatStorage", TensorType::f32},
                                                                                {"DoubleStorage", TensorType::f64},
                                                                                {"HalfStorage", TensorType::f16},
                                                                                {"BFloat16Storage", TensorType::bf16},
                                                                                {"LongStorage", TensorType::i64},
                                                                                {"IntStorage", TensorType::i32},
                                                                                {"ShortStorage", TensorType::i16},
                                                                                {"CharStorage", TensorType::i8},
                                                                                {"ByteStorage", TensorType::u8},
                                                                                {"BoolStorage", TensorType::boolean}}};

bool is_torch(std::string_view module) { return module == "torch" || module.starts_with("torch."); }

}  // namespace

Unpickler::Unpickler(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

Ref Unpickler::load() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  for (;;) {
    opcode_position_ = position_;
    const auto opcode = static_cast<Opcode>(read_integer<uint8_t>());
    switch (opcode) {
      case Opcode::proto: {
        const int protocol = read_integer<uint8_t>();
        if (protocol < 2 || protocol > 5) malformed("protocol {} is not 2 to 5", protocol);
        break;
      }
      case Opcode::frame:
        read(8);
        break;
      case Opcode::stop:
        return pop();

      case Opcode::mark:
        charge(1);
        marks_.push_back(stack_.size());
        break;
      case Opcode::pop:
        pop();
        break;
      case Opcode::pop_mark:
        pop_to_mark();
        break;
      case Opcode::dup:
        push(top());
        break;
      case Opcode::binput:
        memoize(read_integer<uint8_t>());
        break;
      case Opcode::long_binput:
        memoize(read_integer<uint32_t>());
        break;
      case Opcode::memoize:
        memoize(static_cast<uint32_t>(memo_.size()));
        break;
      case Opcode::binget:
        push(recall(read_integer<uint8_t>()));
        break;
      case Opcode::long_binget:
        push(recall(read_integer<uint32_t>()));
        break;

      case Opcode::none:
        push_new(None{});
        break;
      case Opcode::newtrue:
        push_new(true);
        break;
      case Opcode::newfalse:
        push_new(false);
        break;
      case Opcode::binint:
        push_new(int64_t{read_integer<int32_t>()});
        break;
      case Opcode::binint1:
        push_new(int64_t{read_integer<uint8_t>()});
        break;
      case Opcode::binint2:
        push_new(int64_t{read_integer<uint16_t>()});
        break;
      case Opcode::long1:
        push_integer(read(read_integer<uint8_t>()));
        break;
      case Opcode::long4:
        push_integer(read(read_integer<uint32_t>()));
        break;
      case Opcode::binfloat:  // the one big-endian number of the format
        push_new(std::bit_cast<double>(__builtin_bswap64(read_integer<uint64_t>())));
        break;
      case Opcode::short_binunicode:
      case Opcode::short_binstring:
        push_new(read(read_integer<uint8_t>()));
        break;
      case Opcode::binunicode:
      case Opcode::binstring:
        push_new(read(read_integer<uint32_t>()));
        break;
      case Opcode::binunicode8:
        push_new(read(read_integer<uint64_t>()));
        break;
      case Opcode::short_binbytes:
        read(read_integer<uint8_t>()), push_new(Object{"builtins", "bytes"});
        break;
      case Opcode::binbytes:
        read(read_integer<uint32_t>()), push_new(Object{"builtins", "bytes"});
        break;
      case Opcode::binbytes8:
        read(read_integer<uint64_t>()), push_new(Object{"builtins", "bytes"});
        break;
      case Opcode::bytearray8:
        read(read_integer<uint64_t>()), push_new(Object{"builtins", "bytearray"});
        break;

      case Opcode::empty_tuple:
      case Opcode::empty_list:
        push_new(Sequence{});
        break;
      case Opcode::tuple:
      case Opcode::list:
        push_new(Sequence{pop_to_mark()});
        break;
      case Opcode::tuple1:
        push_new(Sequence{pop_items(1)});
        break;
      case Opcode::tuple2:
        push_new(Sequence{pop_items(2)});
        break;
      case Opcode::tuple3:
        push_new(Sequence{pop_items(3)});
        break;
      case Opcode::append:
        append_to_top(pop_items(1));
        break;
      case Opcode::appends:
        append_to_top(pop_to_mark());
        break;
      case Opcode::empty_dict:
        push_new(Dict{});
        break;
      case Opcode::dict: {
        const std::vector<Ref> keys_and_values = pop_to_mark();
        push_new(Dict{});
        set_items_of_top(keys_and_values);
        break;
      }
      case Opcode::setitem:
        set_items_of_top(pop_items(2));
        break;
      case Opcode::setitems:
        set_items_of_top(pop_to_mark());
        break;
      case Opcode::empty_set:
        push_new(Object{"builtins", "set"});
        break;
      case Opcode::additems:
        pop_to_mark(), top();
        break;
      case Opcode::frozenset:
        pop_to_mark(), push_new(Object{"builtins", "frozenset"});
        break;

      case Opcode::global: {
        const std::string_view module = read_line(), name = read_line();
        push_new(global(module, name));
        break;
      }
      case Opcode::stack_global: {
        const std::vector<Ref> names = pop_items(2);
        const auto module = expect<std::string_view>(names[0], "a module's name");
        push_new(global(module, expect<std::string_view>(names[1], "a name in a module")));
        break;
      }
      case Opcode::reduce:
      case Opcode::newobj: {
        const std::vector<Ref> operands = pop_items(2);
        push(call(operands[0], expect<Sequence>(operands[1], "a tuple of arguments").items));
        break;
      }
      case Opcode::newobj_ex: {
        const std::vector<Ref> operands = pop_items(3);
        push(call(operands[0], expect<Sequence>(operands[1], "a tuple of arguments").items));
        break;
      }
      case Opcode::build:
        pop(), top();
        break;  // attributes of an object: none is needed
      case Opcode::binpersid:
        push_new(persistent_object(expect<Sequence>(pop(), "a persistent id").items));
        break;

      default:
        malformed("opcode 0x{:02x} is none that a checkpoint of tensors uses", static_cast<int>(opcode));
    }
  }
}

std::string_view Unpickler::read(uint64_t count) {
  if (count > bytes_.size() - position_)
    malformed("{} bytes expected, {} left: truncated?", count, bytes_.size() - position_);
  const std::string_view result = bytes_.substr(position_, count);
  position_ += count;
  return result;
}

template <typename Integer>
Integer Unpickler::read_integer() {
  Integer integer;
  std::memcpy(&integer, read(sizeof(Integer)).data(), sizeof(Integer));
  return integer;
}

std::string_view Unpickler::read_line() {
  const size_t end = bytes_.find('\n', position_);
  if (end == bytes_.npos) malformed("a name without an end: truncated?");
  const std::string_view line = read(end - position_);
  read(1);
  return line;
}

void Unpickler::charge(size_t cells) {
  cells_ += cells;
  if (cells_ > kMostCells) malformed("more than {} values", kMostCells);
}

Ref Unpickler::add(Value value) {
  charge(1);
  values_.push_back(std::move(value));
  return static_cast<Ref>(values_.size() - 1);
}

void Unpickler::push_integer(std::string_view bytes) {
  if (bytes.size() > sizeof(int64_t)) return push_new(BigInteger{bytes});
  int64_t integer = !bytes.empty() && bytes.back() < 0 ? -1 : 0;  // the sign, over all bytes
  std::memcpy(&integer, bytes.data(), bytes.size());
  push_new(integer);
}

Ref Unpickler::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) malformed("takes a value where there is none");
  return stack_.back();
}

Ref Unpickler::pop() {
  const Ref ref = top();
  stack_.pop_back();
  return ref;
}

std::vector<Ref> Unpickler::pop_items(size_t count) {
  std::vector<Ref> items(count);
  for (size_t i = count; i > 0; --i) items[i - 1] = pop();
  return items;
}

std::vector<Ref> Unpickler::pop_to_mark() {
  if (marks_.empty()) malformed("takes values up to a mark where there is none");
  std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

void Unpickler::memoize(uint32_t index) {
  charge(1);
  memo_[index] = top();
}

Ref Unpickler::recall(uint32_t index) const {
  const auto found = memo_.find(index);
  if (found == memo_.end()) malformed("recalls value {}, which was never stored", index);
  return found->second;
}

void Unpickler::append_to_top(const std::vector<Ref>& items) {
  Value& value = values_[top()];
  if (auto* list = std::get_if<Sequence>(&value)) {
    list->items.insert(list->items.end(), items.begin(), items.end());
  } else if (!std::holds_alternative<Object>(value)) {
    malformed("appends to a value that is no list");
  }
}

void Unpickler::set_items_of_top(const std::vector<Ref>& keys_and_values) {
  if (keys_and_values.size() % 2 != 0) malformed("a dict's key without a value");
  Value& value = values_[top()];
  if (auto* dict = std::get_if<Dict>(&value)) {
    for (size_t i = 0; i < keys_and_values.size(); i += 2) {
      dict->entries.emplace_back(keys_and_values[i], keys_and_values[i + 1]);
    }
  } else if (!std::holds_alternative<Object>(value)) {
    malformed("sets items of a value that is no dict");
  }
}

template <typename T>
const T& Unpickler::expect(Ref ref, const char* what) const {
  const T* value = get_if<T>(ref);
  if (value == nullptr) malformed("{} expected", what);
  return *value;
}

std::vector<int64_t> Unpickler::expect_sizes(Ref ref, const char* what) const {
  const std::vector<Ref>& items = expect<Sequence>(ref, what).items;
  if (items.size() > kMostDimensions)
    malformed("{} of {} dimensions, the limit is {}", what, items.size(), kMostDimensions);
  std::vector<int64_t> sizes;
  for (const Ref item : items) sizes.push_back(expect<int64_t>(item, what));
  return sizes;
}

Value Unpickler::global(std::string_view module, std::string_view name) const {
  const auto function = std::ranges::find_if(
      kFunctions, [&](const KnownFunction& known) { return known.module == module && known.name == name; });
  if (function != kFunctions.end()) return function->function;
  const auto storage = std::ranges::find(kStorages, name, [](const auto& known) { return known.first; });
  if (is_torch(module) && storage != kStorages.end()) return storage->second;
  return Object{module, name};
}

Ref Unpickler::call(Ref function, const std::vector<Ref>& arguments) {
  if (const auto* known = get_if<Function>(function)) {
    switch (*known) {
      case Function::rebuild_tensor:
        return add(rebuild_tensor(arguments));
      case Function::rebuild_from_type: {  // (function, type, arguments, attributes)
        if (arguments.size() != 4) malformed("_rebuild_from_type_v2 with {} arguments, expected 4", arguments.size());
        const auto* inner = get_if<Function>(arguments[0]);
        if (inner == nullptr || *inner != Function::rebuild_tensor) return add(UnknownTensor{"_rebuild_from_type_v2"});
        return add(rebuild_tensor(expect<Sequence>(arguments[2], "a tuple of arguments").items));
      }
      case Function::first_argument:
        if (arguments.empty()) malformed("a call without its argument");
        return arguments[0];
      case Function::ordered_dict:
        return add(ordered_dict(arguments));
    }
  }
  if (std::holds_alternative<TensorType>(values_[function])) return add(Object{"torch", "Storage"});
  const Object object = expect<Object>(function, "a function or class to call");
  if (is_torch(object.module) && object.name.starts_with("_rebuild")) return add(UnknownTensor{object.name});
  return add(object);
}

/// _rebuild_tensor(storage, offset, size, stride), _v2 with (..., requires_grad, backward_hooks[, metadata]).
Value Unpickler::rebuild_tensor(const std::vector<Ref>& arguments) {
  if (arguments.size() < 4) malformed("a tensor of {} parts, expected at least 4", arguments.size());
  if (const auto* unknown = get_if<Object>(arguments[0])) return UnknownTensor{unknown->name};
  if (arguments.size() > 6) {  // metadata, such as "this view is to be negated", would change the values
    const auto* metadata = get_if<Dict>(arguments[6]);
    if (metadata != nullptr && !metadata->entries.empty()) return UnknownTensor{"metadata"};
  }
  StridedTensor tensor{*expect<std::shared_ptr<const Storage>>(arguments[0], "a tensor's storage"),
                       expect<int64_t>(arguments[1], "a tensor's offset"),
                       expect_sizes(arguments[2], "a tensor's shape"),
                       expect_sizes(arguments[3], "a tensor's strides")};
  charge(4 + 2 * tensor.shape.size());
  return std::make_shared<const StridedTensor>(std::move(tensor));
}

/// OrderedDict(), filled later, or Python 2's OrderedDict([[key, value], ...]).
Value Unpickler::ordered_dict(const std::vector<Ref>& arguments) {
  Dict dict;
  if (arguments.empty()) return dict;
  for (const Ref item : expect<Sequence>(arguments[0], "an OrderedDict's list").items) {
    const std::vector<Ref>& pair = expect<Sequence>(item, "an OrderedDict's key and value").items;
    if (pair.size() != 2) malformed("an OrderedDict's key and value are {} things", pair.size());
    charge(1);
    dict.entries.emplace_back(pair[0], pair[1]);
  }
  return dict;
}

/// ("storage", type, key, device, count[, None or (view's key, first, count)]), or ("module", class, source file,
/// source).
Value Unpickler::persistent_object(const std::vector<Ref>& id) {
  const std::string_view kind = id.empty() ? "" : expect<std::string_view>(id[0], "a persistent id's kind");
  if (kind == "module" && id.size() >= 2) return expect<Object>(id[1], "a class");
  if (kind != "storage" || id.size() < 5) malformed("a persistent id that is no storage");
  if (const auto* unknown = get_if<Object>(id[1])) return *unknown;
  Storage storage{expect<std::string_view>(id[2], "a storage's key"), expect<TensorType>(id[1], "a storage's class"), 0,
                  expect<int64_t>(id[4], "a storage's number of elements")};
  if (storage.key.size() > kLongestStorageKey) malformed("a storage's key of {} bytes", storage.key.size());
  if (storage.count < 0) malformed("a storage of {} elements", storage.count);
  if (const auto* view = id.size() > 5 ? get_if<Sequence>(id[5]) : nullptr) {
    if (view->items.size() != 3) malformed("a storage's view of {} parts, expected 3", view->items.size());
    const int64_t first = expect<int64_t>(view->items[1], "a view's first element");
    const int64_t count = expect<int64_t>(view->items[2], "a view's number of elements");
    if (first < 0 || count < 0 || first > storage.count || count > storage.count - first) {
      malformed("a view of elements {} to {} + {} in a storage of {}", first, first, count, storage.count);
    }
    storage.first = first;
    storage.count = count;
  }
  storage_types_.try_emplace(storage.key, storage.type);
  charge(4);
  return std::make_shared<const Storage>(storage);
}

}  // namespace sandglass::pickle
