#include "engine/pytorch_file.h"

#include <cstdlib>
#include <cstring>
#include <numeric>

#include "engine/safetensors.h"
#include "tests/engine/support.h"

namespace sandglass {
namespace {

using testing::expect_error;

const std::filesystem::path kData = std::filesystem::path(SANDGLASS_SOURCE_DIR) / "tests/engine/data";

TensorFile parse(const std::string& content) { return parse_pytorch(content, "w.pth"); }

/// first, first + step, ... in `count` values.
std::vector<float> ramp(int count, float first = 0, float step = 1) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) values[static_cast<size_t>(i)] = first + step * static_cast<float>(i);
  return values;
}

// ---------------------------------------------------------------------------------------------------------------------
// Files that PyTorch wrote (make_pytorch_fixtures.py says what is in them)

struct Expected {
  const char* name;
  TensorType type;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

void expect_tensors(const TensorFile& file, const std::vector<Expected>& expected) {
  ASSERT_EQ(file.tensors.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const HostTensor& tensor = file.tensors[i];
    EXPECT_EQ(tensor.name, expected[i].name);
    EXPECT_EQ(tensor.type, expected[i].type) << tensor.name;
    EXPECT_EQ(tensor.shape, expected[i].shape) << tensor.name;
    EXPECT_EQ(tensor.to_float(), expected[i].values) << tensor.name;
  }
}

class PytorchKinds : public ::testing::TestWithParam<const char*> {};

TEST_P(PytorchKinds, ReadsEveryTypeAndMemoryLayout) {
  using enum TensorType;
  const std::vector<float> halves = ramp(6, -1.5f, 0.5f), integers = ramp(6, -3);
  const TensorFile file = read_tensor_file(kData / GetParam());
  expect_tensors(file, {{"f32", f32, {2, 3}, halves},
                        {"f64", f64, {2, 3}, halves},
                        {"f16", f16, {2, 3}, halves},
                        {"bf16", bf16, {2, 3}, halves},
                        {"i64", i64, {2, 3}, integers},
                        {"i32", i32, {2, 3}, integers},
                        {"i16", i16, {2, 3}, integers},
                        {"i8", i8, {2, 3}, integers},
                        {"u8", u8, {2, 3}, ramp(6, 250)},
                        {"bool", boolean, {2, 3}, {0, 1, 0, 1, 0, 1}},
                        {"scalar", i64, {}, {-0x1p40f}},
                        {"empty", f32, {0, 4}, {}},
                        {"transposed", f32, {3, 2}, {0, 3, 1, 4, 2, 5}},
                        {"window", f32, {3, 3}, {7, 9, 11, 13, 15, 17, 19, 21, 23}},
                        {"repeated", f32, {2, 3}, {1, 1, 1, 2, 2, 2}},
                        {"channels_last", f32, {1, 2, 2, 4}, ramp(16)},
                        {"shared", f32, {8}, ramp(8)},
                        {"shared_tail", f32, {3}, {5, 6, 7}},
                        {"parameter", f32, {2}, {0.5f, -0.5f}},
                        {"attributed", f32, {2}, {3, 4}}});
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"text", "not a tensor"}}));
}

INSTANTIATE_TEST_SUITE_P(Formats, PytorchKinds,
                         ::testing::Values("kinds.pth", "kinds_protocol4.pth", "kinds_pytorch2.pth", "kinds_stream.pth",
                                           "kinds_stream_protocol4.pth"),
                         [](const auto& test) { return std::string(test.param, std::strchr(test.param, '.')); });

class PytorchTraining : public ::testing::TestWithParam<const char*> {};

TEST_P(PytorchTraining, FindsTheStateDictAmongAllElse) {
  using enum TensorType;
  const TensorFile file = read_tensor_file(kData / GetParam());
  const std::vector<float> three = ramp(3, 0, 0.25f);
  expect_tensors(file, {{"0.weight", f32, {3, 2}, ramp(6, 0, 0.25f)},
                        {"0.bias", f32, {3}, three},
                        {"1.weight", f32, {3}, three},
                        {"1.bias", f32, {3}, three},
                        {"1.running_mean", f32, {3}, three},
                        {"1.running_var", f32, {3}, three},
                        {"1.num_batches_tracked", i64, {}, {0}}});
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"arch", "FAN"},
                                                               {"best", "0.75"},
                                                               {"done", "false"},
                                                               {"epoch", "12"},
                                                               {"negative", "-3"},
                                                               {"steps", "1099511627776"}}));
}

INSTANTIATE_TEST_SUITE_P(Formats, PytorchTraining, ::testing::Values("training.pth", "training.pth.tar"),
                         [](const auto& test) { return std::string(test.param) == "training.pth" ? "zip" : "stream"; });

TEST(PytorchFile, ReadsWhatPython2Wrote) {
  const TensorFile file = read_tensor_file(kData / "python2.pth.tar");
  expect_tensors(
      file, {{"weight", TensorType::f32, {2, 3}, ramp(6, 0, 0.5f)}, {"bias", TensorType::f32, {3}, {1.5f, 2, 2.5f}}});
  EXPECT_EQ(file.metadata.at("epoch"), "5");
}

TEST(PytorchFile, SaysWhyItRefusesAFile) {
  const std::pair<const char*, const char*> refused[] = {
      {"whole_module.pth", "\"torch.nn.modules.linear.Linear\""},
      {"list.pth", "does not hold a dict"},
      {"complex.pth", "tensor \"wave\": is of a kind (\"ComplexFloatStorage\")"},
      {"complex_stream.pth", "tensor \"wave\": is of a kind (\"ComplexFloatStorage\")"},
      {"quantized.pth", "tensor \"q.weight\": is of a kind (\"_rebuild_qtensor\")"},
      {"script.pt", "TorchScript"},
      {"big_endian.pth", "big-endian"},
      {"compressed.pth", "entry \"kinds/data.pkl\": is compressed"},
      {"other.zip", "no entry data.pkl"},
  };
  for (const auto& [name, reason] : refused) {
    expect_error([name = name] { read_tensor_file(kData / name); }, (kData / name).string() + ": ", reason);
  }
}

TEST(PytorchFile, ChecksumsOfTheZipFormatAreVerified) {
  std::string content = read_file(kData / "kinds.pth");
  const std::string value = "\x00\x00\xc0\xbf";  // -1.5f, the first element of "f32"
  const size_t position = content.find(std::string("\x00\x00\xc0\xbf", 4));
  ASSERT_NE(position, content.npos);
  content[position + 2] = '\x40';
  expect_error([&] { parse(content); }, "w.pth: entry \"kinds/data/0\": damaged");
}

TEST(PytorchFile, EveryPrefixIsRefused) {
  for (const char* name : {"kinds.pth", "training.pth.tar", "python2.pth.tar"}) {
    SCOPED_TRACE(name);
    testing::expect_every_prefix_refused(read_file(kData / name), parse);
  }
}

TEST(PytorchFile, DamageNeverDoesMoreThanAnError) {
  uint64_t seed = 0;
  for (const char* name : {"kinds.pth", "kinds_protocol4.pth", "kinds_stream.pth", "training.pth", "training.pth.tar",
                           "python2.pth.tar"}) {
    SCOPED_TRACE(name);
    testing::expect_robust(read_file(kData / name), 1000, ++seed, [](const std::string& content) {
      for (const HostTensor& tensor : parse(content).tensors) tensor.to_float();
    });
  }
}

/// Both files hold one random network, saved by PyTorch in its two formats, the older one with "module." before all
/// names.
TEST(PytorchFile, BothFormatsOfTheParityWeightsAreBitEqual) {
  const char* folder = std::getenv("SANDGLASS_PARITY_DIR");
  const std::filesystem::path parity =
      folder ? folder : std::filesystem::path(SANDGLASS_SOURCE_DIR) / "../shared/parity";
  if (!std::filesystem::exists(parity / "weights.pth")) {
    GTEST_SKIP() << parity.string() << " has no weights.pth; set SANDGLASS_PARITY_DIR to the folder of parity vectors";
  }
  const TensorFile zip = read_tensor_file(parity / "weights.pth"),
                   stream = read_tensor_file(parity / "weights.pth.tar");
  ASSERT_EQ(zip.tensors.size(), stream.tensors.size());
  int64_t parameters = 0;
  for (size_t i = 0; i < zip.tensors.size(); ++i) {
    const HostTensor &a = zip.tensors[i], &b = stream.tensors[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.type, b.type) << a.name;
    EXPECT_EQ(a.shape, b.shape) << a.name;
    EXPECT_EQ(a.bytes, b.bytes) << a.name;
    if (a.name.ends_with("weight") || a.name.ends_with("bias")) parameters += a.count();
  }
  EXPECT_EQ(parameters, 3416197);
  EXPECT_EQ(stream.metadata.at("epoch"), "7");

  const testing::TemporaryFolder temporary;
  write_safetensors(temporary / "weights.safetensors", stream);
  const TensorFile converted = read_tensor_file(temporary / "weights.safetensors");
  ASSERT_EQ(converted.tensors.size(), zip.tensors.size());
  for (const HostTensor& tensor : zip.tensors) {
    const HostTensor* same = converted.find(tensor.name);
    ASSERT_NE(same, nullptr) << tensor.name;
    EXPECT_TRUE(same->bytes == tensor.bytes && same->shape == tensor.shape && same->type == tensor.type) << tensor.name;
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Files made by hand, in the stream format, from the opcodes of pickle

template <typename Integer>
std::string little_endian(Integer value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}
std::string text(const std::string& value) { return "X" + little_endian(static_cast<uint32_t>(value.size())) + value; }
std::string integer(int64_t value) { return "\x8a\x08" + little_endian(value); }
template <typename... Items>
std::string tuple(const Items&... items) {
  return (std::string("(") + ... + std::string(items)) + "t";
}
std::string sizes(const std::vector<int64_t>& values) {
  std::string items;
  for (const int64_t value : values) items += integer(value);
  return "(" + items + "t";
}
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
const std::string kNone = "N";

std::string storage(int64_t count, const std::string& view = kNone, const std::string& key = "0",
                    const std::string& type = "FloatStorage") {
  return tuple(text("storage"), global("torch", type), text(key), text("cpu"), integer(count), view) + "Q";
}
std::string tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(storage, integer(offset), sizes(shape), sizes(strides), "\x89",
               global("collections", "OrderedDict") + ")R") +
         "R";
}
/// A dict: keys and values in turn, as opcodes.
template <typename... Items>
std::string dict(const Items&... items) {
  return (std::string("}(") + ... + std::string(items)) + "u";
}

std::string pickle(const std::string& opcodes) { return "\x80\x02" + opcodes + "."; }

/// A checkpoint whose only storage, "0", has these elements.
std::string checkpoint(const std::string& object, const std::vector<float>& elements = ramp(6),
                       const std::string& system = dict(text("little_endian"), "\x88"),
                       const std::string& keys = "](" + text("0") + "e") {
  std::string content = pickle(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")) + pickle("M\xe9\x03") +
                        pickle(system) + pickle(object) + pickle(keys) + little_endian(int64_t(elements.size()));
  content.append(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(float));
  return content;
}

std::string with_tensor(const std::string& tensor) { return checkpoint(dict(text("t"), tensor)); }

TEST(Pickle, ReadsAHandMadeCheckpoint) {
  const TensorFile file = parse(with_tensor(tensor(storage(6), 1, {2, 2}, {3, 1})));
  expect_tensors(file, {{"t", TensorType::f32, {2, 2}, {1, 2, 4, 5}}});
}

TEST(Pickle, UnknownFunctionsHaveNoEffect) {
  const std::string command = global("os", "system") + tuple(text("true")) + "R";
  const std::string set = global("builtins", "set") +
                          tuple(
                              "](K\x01K\x02"
                              "e") +
                          "R";
  const std::string object = "(" + global("a", "B") + "K\x01t\x81}" + text("field") + "K\x02sb";
  const TensorFile file = parse(checkpoint(
      dict(text("command"), command, text("set"), set, "K\x01", "K\x02", text("t"), tensor(storage(6), 0, {6}, {1}))));
  expect_tensors(file, {{"t", TensorType::f32, {6}, ramp(6)}});
  EXPECT_TRUE(file.metadata.empty());
}

TEST(Pickle, TheStateDictMayHaveOtherNames) {
  for (const char* key : {"state_dict", "model_state_dict", "model"}) {
    const std::string state = dict(text("t"), tensor(storage(6), 0, {1}, {1}));
    EXPECT_EQ(parse(checkpoint(dict(text("u"), tensor(storage(6), 0, {1}, {1}), text(key), state))).tensors.at(0).name,
              "t")
        << key;
  }
  // One that is no dict does not count.
  const std::string decoy =
      dict(text("state_dict"), kNone, text("model"), dict(text("t"), tensor(storage(6), 0, {1}, {1})));
  EXPECT_EQ(parse(checkpoint(decoy)).tensors.at(0).name, "t");
}

TEST(Pickle, ModuleIsTakenOffOnlyIfAllNamesHaveIt) {
  const std::string one = tensor(storage(6), 0, {1}, {1});
  EXPECT_EQ(parse(checkpoint(dict(text("module.a"), one, text("module.b"), one))).tensors.at(1).name, "b");
  EXPECT_EQ(parse(checkpoint(dict(text("module.a"), one, text("b"), one))).tensors.at(0).name, "module.a");
  EXPECT_EQ(parse(checkpoint(dict(text("module.a"), one, text("version"), "K\x01"))).tensors.at(0).name, "a");
}

TEST(Pickle, ALaterValueOfAKeyReplacesTheEarlier) {
  const std::string first = tensor(storage(6), 0, {1}, {1}), second = tensor(storage(6), 5, {1}, {1});
  expect_tensors(parse(checkpoint(dict(text("a"), first, text("b"), first, text("a"), second))),
                 {{"a", TensorType::f32, {1}, {5}}, {"b", TensorType::f32, {1}, {0}}});
  expect_tensors(parse(checkpoint(dict(text("a"), first, text("b"), first, text("a"), kNone))),
                 {{"b", TensorType::f32, {1}, {0}}});
}

TEST(Pickle, ViewsOfStorages) {
  const auto view = [](int64_t first, int64_t count) { return tuple(text("view"), integer(first), integer(count)); };
  expect_tensors(parse(with_tensor(tensor(storage(6, view(2, 3)), 1, {2}, {1}))),
                 {{"t", TensorType::f32, {2}, {3, 4}}});
  expect_error([&] { parse(with_tensor(tensor(storage(6, view(2, 3)), 1, {3}, {1}))); }, "tensor \"t\"",
               "beyond its storage of 3");
  for (const auto& [first, count] :
       std::vector<std::pair<int64_t, int64_t>>{{-1, 2}, {0, -1}, {2, 5}, {INT64_MAX, INT64_MAX}}) {
    expect_error([&] { parse(with_tensor(tensor(storage(6, view(first, count)), 0, {1}, {1}))); },
                 "a view of elements");
  }
}

TEST(Pickle, TensorsMustLieWithinTheirStorage) {
  struct Case {
    int64_t offset;
    std::vector<int64_t> shape, strides;
    const char* reason;
  };
  const int64_t large = int64_t{1} << 40;
  const Case cases[] = {
      {0, {7}, {1}, "beyond its storage of 6 elements"},
      {1, {6}, {1}, "beyond"},
      {6, {}, {}, "beyond"},
      {-1, {1}, {1}, "beyond"},
      {5, {2}, {-1}, "beyond"},
      {0, {2}, {INT64_MAX}, "beyond"},
      {0, {3}, {INT64_MAX}, "beyond"},
      {INT64_MAX, {2}, {1}, "beyond"},
      {0, {2, 3}, {3, 2}, "beyond"},
      {0, {-1}, {1}, "negative or too large"},
      {0, {-1, -6}, {6, 1}, "negative or too large"},
      {0, {large, large}, {0, 0}, "negative or too large"},
      {0, {large}, {0}, "far more than the file has"},
      {0, {2}, {1, 1}, "1 sizes but 2 strides"},
  };
  for (const Case& c : cases) {
    expect_error([&] { parse(with_tensor(tensor(storage(6), c.offset, c.shape, c.strides))); },
                 "w.pth: tensor \"t\": ", c.reason);
  }
  // The stride of a dimension of size 1 is never used, however large.
  expect_tensors(parse(with_tensor(tensor(storage(6), 1, {2, 1, 2}, {2, INT64_MAX, 1}))),
                 {{"t", TensorType::f32, {2, 1, 2}, {1, 2, 3, 4}}});
  expect_tensors(parse(with_tensor(tensor(storage(6), 1, {1, 2}, {INT64_MAX, 3}))),
                 {{"t", TensorType::f32, {1, 2}, {1, 4}}});
  // An empty tensor touches no element, wherever it lies.
  EXPECT_EQ(parse(with_tensor(tensor(storage(6), 99, {0, 5}, {1, 1}))).tensors.at(0).count(), 0);
}

TEST(Pickle, StoragesMustBeInTheFile) {
  const std::string one = dict(text("t"), tensor(storage(6), 0, {1}, {1}));
  expect_error([&] { parse(checkpoint(one, ramp(6), dict(text("little_endian"), "\x89"))); }, "big-endian");
  expect_error([&] { parse(checkpoint(one, ramp(6), "}", "]")); }, "storage \"0\" is missing");
  expect_error([&] { parse(checkpoint(one, ramp(6), "}", "](" + text("0") + text("0") + "e")); },
               "truncated before storage \"0\"");
  // What follows a storage that no tensor uses cannot be found.
  expect_error([&] { parse(checkpoint(one, ramp(6), "}", "](" + text("1") + text("0") + "e")); },
               "storage \"0\" is missing");
  expect_error(
      [&] {
        parse(checkpoint(one, ramp(6), "}",
                         "](K\x01"
                         "e"));
      },
      "storage \"0\" is missing");
  expect_error([&] { parse(checkpoint(one, ramp(6), "}", "N")); }, "list of storages");
  expect_error([&] { parse(checkpoint(dict(text("t"), tensor(storage(7), 0, {7}, {1})))); },
               "tensor \"t\": storage \"0\" has 24 bytes");
  std::string content = checkpoint(one);
  const size_t count = content.size() - 6 * sizeof(float) - 8;
  content.replace(count, 8, little_endian(int64_t{7}));
  expect_error([&] { parse(content); }, "truncated in storage \"0\": 7 elements of float32");
  content.replace(count, 8, little_endian(int64_t{-1}));
  expect_error([&] { parse(content); }, "truncated in storage");
  content.replace(count, 8, little_endian(INT64_MAX));
  expect_error([&] { parse(content); }, "truncated in storage");
}

TEST(Pickle, OneStorageUnderTwoTypesStaysWithinItsBytes) {
  const std::string content = checkpoint(dict(text("t"), tensor(storage(6), 0, {6}, {1}), text("wide"),
                                              tensor(storage(6, kNone, "0", "DoubleStorage"), 0, {6}, {1})));
  expect_error([&] { parse(content); }, "tensor \"wide\": storage \"0\" has 24 bytes");
}

TEST(Pickle, UnsupportedTensorsMatterOnlyInTheStateDict) {
  const std::string one = tensor(storage(6), 0, {1}, {1});
  const std::string sparse = global("torch._utils", "_rebuild_sparse_tensor") + tuple(kNone) + "R";
  EXPECT_EQ(parse(checkpoint(dict(text("state_dict"), dict(text("t"), one), text("buffer"), sparse))).tensors.size(),
            1u);
  expect_error([&] { parse(checkpoint(dict(text("state_dict"), dict(text("t"), one, text("s"), sparse)))); },
               "tensor \"s\": is of a kind (\"_rebuild_sparse_tensor\")");
  const std::string negated =
      global("torch._utils", "_rebuild_tensor_v2") +
      tuple(storage(6), integer(0), sizes({1}), sizes({1}), "\x89", kNone, dict(text("neg"), "\x88")) + "R";
  expect_error([&] { parse(with_tensor(negated)); }, "tensor \"t\": is of a kind");
}

TEST(Pickle, SaysWhatIsNotThere) {
  expect_error([] { parse(checkpoint(dict(text("lr"), "K\x01", text("epoch"), "K\x02"))); }, "no tensors",
               "\"lr\", \"epoch\"");
  expect_error([] { parse(checkpoint("}")); }, "no tensors", "it has none");
  expect_error([] { parse(checkpoint("N")); }, "does not hold a dict");
  expect_error([] { parse(checkpoint(dict("K\x01", tensor(storage(6), 0, {1}, {1})))); },
               "under a key that is no text");
  expect_error([] { parse(checkpoint(dict(text(std::string(5000, 'x')), kNone))); }, "of 5000 bytes");
  expect_error([] { parse(pickle("}")); }, "a Python pickle, but not a PyTorch checkpoint");
  expect_error(
      [] {
        parse(
            pickle("\x8a\x0a"
                   "0123456789"));
      },
      "a Python pickle, but not");
  expect_error([] { parse("PK\x03\x04 no archive"); }, "w.pth: not a readable zip archive");
  expect_error([] { parse("GIF89a"); }, "not a PyTorch checkpoint");
}

TEST(Pickle, MalformedProgramsAreRefused) {
  const std::pair<std::string, const char*> programs[] = {
      {"", "takes a value where there is none"},    // the stack is empty at STOP
      {"0", "takes a value where there is none"},   // POP
      {"(0", "takes a value where there is none"},  // POP must not reach below the mark
      {"K\x01(0", "takes a value where there is none"},
      {"K\x01(0t", "takes a value where there is none"},
      {"t", "mark where there is none"},
      {"h\x05", "recalls value 5"},
      {"j\xff\xff\xff\xff", "recalls value 4294967295"},
      {"q\x01", "takes a value where there is none"},  // memoise nothing
      {"K\x01K\x02K\x03s", "no dict"},
      {"}(K\x01u", "a dict's key without a value"},
      {"K\x01K\x02"
       "a",
       "no list"},
      {"K\x01)R", "a function or class to call expected"},
      {global("a", "b") + "K\x01R", "a tuple of arguments expected"},
      {"K\x01Q", "a persistent id expected"},
      {")Q", "no storage"},
      {tuple("K\x01") + "Q", "a persistent id's kind expected"},
      {tuple(text("storage")) + "Q", "no storage"},
      {tuple(text("module"), "K\x01") + "Q", "a class expected"},
      {tuple(text("storage"), "K\x01", text("0"), text("cpu"), "K\x01") + "Q", "a storage's class expected"},
      {storage(-1), "a storage of -1 elements"},
      {storage(1, kNone, std::string(256, 'k')), "a storage's key of 256 bytes"},
      {storage(1, tuple("K\x01")), "view of 1 parts"},
      {"\x80\x07", "protocol 7"},
      {"i", "opcode 0x69"},  // INST
      {std::string("\0", 1), "opcode 0x00"},
      {"K\x01K\x02\x93", "a module's name expected"},
      {global("torch._utils", "_rebuild_tensor_v2") + ")R", "a tensor of 0 parts"},
      {global("torch._utils", "_rebuild_tensor_v2") + tuple("N", "N", "N", "N") + "R", "a tensor's storage expected"},
      {global("torch._utils", "_rebuild_tensor_v2") + tuple(storage(1), "N", ")", ")") + "R",
       "a tensor's offset expected"},
      {global("torch._utils", "_rebuild_tensor_v2") + tuple(storage(1), "K\x01", "N", ")") + "R",
       "a tensor's shape expected"},
      {global("torch._utils", "_rebuild_tensor_v2") + tuple(storage(1), "K\x01", tuple("N"), ")") + "R",
       "a tensor's shape expected"},
      {tensor(storage(1), 0, std::vector<int64_t>(65, 1), {}), "65 dimensions"},
      {global("torch._utils", "_rebuild_parameter") + ")R", "without its argument"},
      {global("torch._tensor", "_rebuild_from_type_v2") + ")R", "0 arguments"},
      {global("collections", "OrderedDict") + tuple("K\x01") + "R", "an OrderedDict's list expected"},
      {global("collections", "OrderedDict") + tuple(tuple("K\x01")) + "R", "an OrderedDict's key and value expected"},
      {global("collections", "OrderedDict") + tuple(tuple(tuple("K\x01"))) + "R", "key and value are 1 things"},
  };
  for (const auto& [program, reason] : programs) {
    expect_error([&, program = program] { parse(checkpoint(program)); }, "w.pth: damaged pickle at byte ", reason);
  }
  const std::pair<std::string, const char*> truncated[] = {
      {"X\xff\xff\xff\xff", "4294967295 bytes expected"},
      {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615 bytes expected"},
      {"ctorch", "a name without an end"},
      {"J\x01", "truncated"},
      {"\x8b\xff\xff\xff\x7f", "truncated"},
  };
  for (const auto& [program, reason] : truncated) {
    expect_error([&, program = program] { parse("\x80\x02" + program); }, "w.pth: damaged pickle at byte 2: ", reason);
  }
}

TEST(Pickle, HostileProgramsCostNoMoreThanTheirSize) {
  const std::string one = tensor(storage(6), 0, {1}, {1});
  // A list and a dict that hold themselves, and a call whose arguments are themselves.
  EXPECT_EQ(parse(checkpoint("}q\x01(" + text("self") + "h\x01" + text("list") +
                             "]q\x02h\x02"
                             "a" +
                             text("t") + one + "u"))
                .tensors.size(),
            1u);
  const std::string recursive =
      "]q\x03(" + global("torch._tensor", "_rebuild_from_type_v2") + "q\x04Nh\x03Ne0h\x04h\x03R";
  expect_error([&] { parse(with_tensor(recursive)); }, "tensor \"t\": is of a kind");
  // A million nested tuples.
  EXPECT_EQ(parse(checkpoint(dict(text("deep"), ")" + std::string(1000000, '\x85'), text("t"), one))).tensors.size(),
            1u);
  // More values than any checkpoint has; and few bytes that copy many.
  expect_error([&] { parse(checkpoint(std::string(5000000, ']'))); }, "more than 4194304 values");
  expect_error([&] { parse(checkpoint(std::string(5000000, '('))); }, "more than 4194304 values");
  std::string pairs = "](";
  for (int i = 0; i < 10000; ++i) pairs += "K\x01K\x02\x86";
  std::string copies = global("collections", "OrderedDict") + "q\x01" + pairs + "e\x85q\x02";
  for (int i = 0; i < 1000; ++i) copies += "h\x01h\x02R";
  expect_error([&] { parse(checkpoint(copies)); }, "more than 4194304 values");
  // One storage of 4 MB under 100 names.
  std::string many = "}" + text("t0") + tensor(storage(1000000), 0, {1000000}, {1}) + "q\x05s";
  for (int i = 1; i < 100; ++i) many += text(fmt::format("t{}", i)) + "h\x05s";
  expect_error([&] { parse(checkpoint(many, std::vector<float>(1000000))); }, "far more than the file has");
}

TEST(Pickle, NumbersOfEveryWidth) {
  const std::pair<std::string, const char*> numbers[] = {
      {std::string("\x8a\0", 2), "0"},
      {"\x8a\x01\xfd", "-3"},
      {"\x8a\x02\xfe\xff", "-2"},
      {std::string("\x8a\x02\xff\0", 4), "255"},
      {"\x8a\x08" + little_endian(INT64_MIN), "-9223372036854775808"},
      {std::string("\x8b\x03\0\0\0\0\0\x80", 8), "-8388608"},
      {"J\xff\xff\xff\xff", "-1"},
      {"K\xff", "255"},
      {"M\xff\xff", "65535"},
      {std::string("G\xbf\xf4\0\0\0\0\0\0", 9), "-1.25"},
  };
  std::string object = "}(" + text("t") + tensor(storage(6), 0, {1}, {1});
  for (const auto& [opcodes, value] : numbers) object += text(fmt::format("as {}", value)) + opcodes;
  std::map<std::string, std::string> expected;
  for (const auto& [opcodes, value] : numbers) expected[fmt::format("as {}", value)] = value;
  EXPECT_EQ(parse(checkpoint(object + "u")).metadata, expected);
}

TEST(Pickle, MetadataIsLimited) {
  const std::string one = tensor(storage(6), 0, {1}, {1});
  std::string object = "}(" + text("t") + one + text("long") + text(std::string(1001, 'x')) + text("fits") +
                       text(std::string(1000, 'x')) + text("not UTF-8") + text("\xff") + text("\xc3") + "K\x01";
  const std::map<std::string, std::string> metadata = parse(checkpoint(object + "u")).metadata;
  EXPECT_EQ(metadata, (std::map<std::string, std::string>{{"fits", std::string(1000, 'x')}}));
  for (int i = 0; i < 2000; ++i) object += text(std::to_string(i)) + "K\x01";
  EXPECT_EQ(parse(checkpoint(object + "u")).metadata.size(), 1000u);
}

}  // namespace
}  // namespace sandglass
