#include "tests/kernels/suite.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

namespace sandglass::test {
namespace {

// Guards read as NaN, so that a result computed from bytes beyond a buffer shows as well.
constexpr size_t kGuard = 256;
constexpr uint8_t kGuardByte = 0xff;

}  // namespace

std::vector<DataType> element_types(const Device& device) {
  std::vector<DataType> types;
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    if (device.stores(type)) types.push_back(type);
  return types;
}

void expect_equal(const Values& got, const Values& expected, const std::string& what) {
  const std::string wrong = inequality(got, expected, what);
  if (!wrong.empty()) ADD_FAILURE() << wrong;
}

void expect_close(const Values& got, const Values& expected, const std::string& what, Limits limits) {
  const std::string wrong = difference(got, expected, what, limits);
  if (!wrong.empty()) ADD_FAILURE() << wrong;
}

void expect_error(const std::function<void()>& action, const std::string& part) {
  try {
    action();
    ADD_FAILURE() << "no error; expected one about '" << part << "'";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

std::vector<MapCase> map_cases() {
  return {{{1, 128, 128, 16}}, {{2, 64, 64, 32}}, {{4, 32, 32, 24}}, {{1, 8, 8, 256}},
          {{3, 4, 4, 128}},    {{2, 16, 16, 5}},  {{1, 5, 7, 3}},    {{3, 17, 30, 5}},
          {{1, 30, 17, 64}},   {{2, 7, 5, 200}},  {{1, 2, 3, 1}},    {{2, 45, 47, 8}}};
}

std::vector<TensorDesc> layouts(const Device& device, const Shape& shape, DataType type) {
  std::vector<TensorDesc> all{device.activation(shape)};
  all.front().type = type;
  if (device.kind() != DeviceKind::cpu) return all;
  for (int block : {1, 5, 8, 16, shape.c, shape.c + 3}) {
    const TensorDesc desc{shape, type, block};
    if (std::find(all.begin(), all.end(), desc) == all.end()) all.push_back(desc);
  }
  return all;
}

Threads::Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
Threads::~Threads() { omp_set_num_threads(before_); }

void* Buffers::add(Role role, const Bytes& content, Reader read) {
  Entry entry{role, content.size(), DeviceMemory(device_, content.size() + 2 * kGuard), {}, {}, std::move(read)};
  entry.before.assign(entry.memory.bytes(), kGuardByte);
  std::copy(content.begin(), content.end(), entry.before.begin() + kGuard);
  device_.copy_to_device(entry.memory.data(), entry.before.data(), entry.before.size());
  device_.synchronize();
  entries_.push_back(std::move(entry));
  return entries_.back().memory.data() + kGuard;
}

void* Buffers::add_workspace(size_t bytes) {
  entries_.push_back({Role::workspace, bytes, DeviceMemory(device_, bytes + 2 * kGuard), {}, {}, {}});
  fill_workspace(entries_.back());
  return entries_.back().memory.data() + kGuard;
}

// On the device, because the workspaces of libraries are large.
void Buffers::fill_workspace(const Entry& entry) {
  device_.fill(entry.memory.data(), kGuardByte, entry.memory.bytes());
  device_.fill(entry.memory.data() + kGuard, 0xff, entry.bytes);
  device_.synchronize();
}

Buffers::Bytes Buffers::download(const Entry& entry) {
  const bool all = entry.role != Role::workspace;  // else its guards, side by side
  Bytes bytes(all ? entry.memory.bytes() : 2 * kGuard);
  device_.copy_to_host(bytes.data(), entry.memory.data(), all ? bytes.size() : kGuard);
  if (!all) device_.copy_to_host(bytes.data() + kGuard, entry.memory.data() + kGuard + entry.bytes, kGuard);
  device_.synchronize();
  return bytes;
}

void Buffers::remember() {
  for (Entry& entry : entries_)
    if (entry.role != Role::workspace) entry.before = download(entry);
}

void Buffers::restore() {
  for (Entry& entry : entries_) {
    if (entry.role == Role::workspace)
      fill_workspace(entry);
    else
      device_.copy_to_device(entry.memory.data(), entry.before.data(), entry.before.size());
  }
  device_.synchronize();
}

void Buffers::examine(const std::string& run) {
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    const char* roles[] = {"input", "output", "workspace"};
    const std::string which =
        fmt::format("argument {} ({}, {} bytes), {}", i + 1, roles[static_cast<int>(entry.role)], entry.bytes, run);
    const Bytes now = download(entry);
    const auto is_guard = [](uint8_t byte) { return byte == kGuardByte; };
    EXPECT_TRUE(std::all_of(now.begin(), now.begin() + kGuard, is_guard)) << "written before " << which;
    EXPECT_TRUE(std::all_of(now.end() - kGuard, now.end(), is_guard)) << "written beyond " << which;
    if (entry.role == Role::input) {
      EXPECT_TRUE(now == entry.before) << "changed: " << which;
    }
    if (entry.role == Role::output) {
      if (entry.result.empty()) entry.result = now;
      EXPECT_TRUE(now == entry.result) << "not the same bits as after the first run: " << which;
    }
  }
}

void Buffers::read_results() {
  for (const Entry& entry : entries_)
    if (entry.read) entry.read(Bytes(entry.result.begin() + kGuard, entry.result.end() - kGuard));
}

Values Buffers::to_layout(const TensorDesc& desc, const Values& nhwc) {
  const Shape& s = desc.shape;
  check(nhwc.size() == static_cast<size_t>(s.elements()), "{} values for a {} map", nhwc.size(), to_string(s));
  Values memory(desc.elements(), 0.0);
  size_t i = 0;
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c) memory[desc.index(n, h, w, c)] = nhwc[i++];
  return memory;
}

Values Buffers::from_layout(const TensorDesc& desc, const Values& memory) {
  const Shape& s = desc.shape;
  Values nhwc;
  nhwc.reserve(static_cast<size_t>(s.elements()));
  size_t padding = 0;
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < desc.padded_channels(); ++c) {
          const double value = memory[desc.index(n, h, w, c)];
          if (c < s.c)
            nhwc.push_back(value);
          else if (value != 0)
            ++padding;
        }
  EXPECT_EQ(padding, 0u) << "elements of padding channels that are not zero in a map of " << to_string(s)
                         << " in blocks of " << desc.block;
  return nhwc;
}

}  // namespace sandglass::test
