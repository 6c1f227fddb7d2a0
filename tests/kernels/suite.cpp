#include "tests/kernels/suite.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sandglass::test {
namespace {

// Guards read as NaN, so that a result computed from bytes beyond a buffer shows as well.
constexpr size_t kGuard = 256;
constexpr uint8_t kGuardByte = 0xff;

double root_mean_square(const Values& values) {
  return values.empty() ? 0 : std::sqrt(dot(values, values) / static_cast<double>(values.size()));
}

}  // namespace

Values integers(size_t count, int low, int high, uint64_t seed, double step) {
  Random random(seed, 1);
  Values values(count);
  for (double& v : values) v = (low + static_cast<int>(random.below(static_cast<uint32_t>(high - low + 1)))) * step;
  return values;
}

Values uniform(size_t count, double low, double high, uint64_t seed) {
  Random random(seed, 2);
  Values values(count);
  for (double& v : values) v = random.uniform(static_cast<float>(low), static_cast<float>(high));
  return values;
}

std::vector<DataType> element_types(const Device& device) {
  std::vector<DataType> types;
  for (const DataType type : {DataType::float32, DataType::bfloat16})
    if (device.stores(type)) types.push_back(type);
  return types;
}

Values rounded(Values values, DataType type) {
  if (type == DataType::bfloat16)
    for (double& v : values) v = static_cast<float>(bfloat16(static_cast<float>(v)));
  else
    for (double& v : values) v = static_cast<float>(v);
  return values;
}

double dot(const Values& a, const Values& b) {
  check(a.size() == b.size(), "dot: {} and {} elements", a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Limits limits_for(DataType type) {
  switch (type) {
    case DataType::float32:
      return {1e-12, 1e-5};
    case DataType::bfloat16:
      return {1e-5, 2e-2};  // 8 bits of mantissa: a relative error of up to 2^-8 for each rounding
    case DataType::uint8:
      return {0, 0};
  }
  fail("no limits for this data type");
}

void expect_equal(const Values& got, const Values& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  size_t wrong = 0, first = 0;
  for (size_t i = got.size(); i-- > 0;)
    if (!(got[i] == expected[i])) ++wrong, first = i;
  if (wrong)
    ADD_FAILURE() << what << ": " << wrong << " of " << got.size() << " elements differ; the first is element " << first
                  << ": " << testing::PrintToString(got[first]) << " instead of "
                  << testing::PrintToString(expected[first]);
}

void expect_close(const Values& got, const Values& expected, const std::string& what, Limits limits) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  const double scale = root_mean_square(expected);
  if (scale == 0) return expect_equal(got, expected, what);
  double squares = 0, worst = -1;
  size_t worst_at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    squares += error * error;
    const double scaled = error / std::max(std::abs(expected[i]), scale);
    if (!(scaled <= worst)) worst = scaled, worst_at = i;
    if (std::isnan(scaled)) break;
  }
  const double nmse = squares / (scale * scale * static_cast<double>(got.size()));
  if (!(nmse <= limits.nmse) || !(worst <= limits.scaled))
    ADD_FAILURE() << what << ": normalised mean square error " << nmse << " (limit " << limits.nmse
                  << "), largest scaled error " << worst << " (limit " << limits.scaled << ") at element " << worst_at
                  << ": " << testing::PrintToString(got[worst_at]) << " instead of "
                  << testing::PrintToString(expected[worst_at]);
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
