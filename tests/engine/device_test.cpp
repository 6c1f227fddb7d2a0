// Devices: opening them by name, and memory.
#include "engine/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace sandglass {
namespace {

std::string error_of(const std::string& device_name) {
  try {
    open_device(device_name);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Devices, the_cpu_is_always_there_and_first) {
  const std::vector<DeviceKind> devices = available_devices();
  ASSERT_FALSE(devices.empty());
  EXPECT_EQ(devices.front(), DeviceKind::cpu);
  for (DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt}) {
    const bool listed = std::find(devices.begin(), devices.end(), kind) != devices.end();
    EXPECT_EQ(listed, why_unavailable(kind).empty()) << name_of(kind);
  }
}

TEST(Devices, names_open_devices) {
  for (DeviceKind kind : available_devices()) {
    EXPECT_EQ(open_device(name_of(kind))->kind(), kind);
    EXPECT_FALSE(open_device(kind)->description().empty());
  }
  const bool cuda = why_unavailable(DeviceKind::cuda).empty();
  EXPECT_EQ(open_device("auto")->kind(), cuda ? DeviceKind::cuda : DeviceKind::cpu);
}

TEST(Devices, errors_name_the_devices_to_choose_from) {
  EXPECT_EQ(error_of("gpu"), "unknown device 'gpu': choose auto, cpu, cuda or simt");
  EXPECT_EQ(error_of(""), "unknown device '': choose auto, cpu, cuda or simt");
  for (DeviceKind kind : {DeviceKind::cuda, DeviceKind::simt}) {
    if (why_unavailable(kind).empty()) continue;
    const std::string error = error_of(name_of(kind));
    EXPECT_NE(error.find(why_unavailable(kind)), std::string::npos) << error;
    EXPECT_NE(error.find("available: cpu"), std::string::npos) << error;
  }
}

TEST(Devices, a_library_that_the_build_leaves_out_is_named_with_what_there_is) {
  EXPECT_EQ(why_unavailable(ConvLibrary::hand), "");
  for (const ConvLibrary library : {ConvLibrary::cudnn, ConvLibrary::cublas}) {
    const std::string reason = why_unavailable(library);
    if (reason.empty()) continue;
    EXPECT_NE(reason.find(name_of(library)), std::string::npos) << reason;
    EXPECT_NE(reason.find("it has hand"), std::string::npos) << reason;
  }
}

class DeviceTest : public testing::TestWithParam<DeviceKind> {
 protected:
  std::unique_ptr<Device> device_ = open_device(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Devices, DeviceTest, testing::ValuesIn(available_devices()),
                         [](const auto& info) { return name_of(info.param); });

TEST_P(DeviceTest, copies_and_fills_in_order) {
  constexpr size_t kBytes = 1000;
  std::vector<uint8_t> source(kBytes), result(kBytes);
  for (size_t i = 0; i < kBytes; ++i) source[i] = static_cast<uint8_t>(i * 7);
  DeviceMemory memory(*device_, kBytes);
  device_->fill(memory.data(), 0xaa, kBytes);
  device_->copy_to_device(memory.data() + 10, source.data(), 500);
  device_->fill(memory.data() + 100, 0x11, 3);
  device_->copy_to_host(result.data(), memory.data(), kBytes);
  device_->synchronize();
  std::vector<uint8_t> expected(kBytes, 0xaa);
  std::copy_n(source.begin(), 500, expected.begin() + 10);
  std::fill_n(expected.begin() + 100, 3, 0x11);
  EXPECT_EQ(result, expected);
}

TEST_P(DeviceTest, memory_is_aligned) {
  std::vector<DeviceMemory> memories;
  for (size_t bytes : {0, 1, 63, 64, 65, 4097}) memories.emplace_back(*device_, bytes);
  for (const DeviceMemory& memory : memories) {
    EXPECT_NE(memory.data(), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 64, 0u);
  }
}

TEST_P(DeviceTest, memory_moves_with_its_owner) {
  DeviceMemory a(*device_, 100), b;
  uint8_t* address = a.data();
  EXPECT_EQ(b.data(), nullptr);
  b = std::move(a);
  EXPECT_EQ(b.data(), address);
  EXPECT_EQ(b.bytes(), 100u);
  DeviceMemory c(std::move(b));
  EXPECT_EQ(c.data(), address);
  EXPECT_EQ(reinterpret_cast<uint8_t*>(c.f32()), address);
}

TEST_P(DeviceTest, too_much_memory_is_an_error_that_says_how_much) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer aborts where the C library would report that there is no memory";
#endif
  try {
    device_->allocate(size_t{1} << 60);
    FAIL() << "2^60 bytes were allocated";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1099511627776 MiB"), std::string::npos) << error.what();
  }
}

std::vector<uint8_t> bytes_of(const PinnedMemory& memory) { return {memory.data(), memory.data() + memory.bytes()}; }

TEST_P(DeviceTest, pinned_memory_is_copied_both_ways) {
  const DeviceMemory memory(*device_, 100);
  const PinnedMemory source(*device_, 100), result(*device_, 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(source.data()) % 64, 0u);
  for (uint8_t round : {1, 2, 3}) {
    std::fill_n(source.data(), 100, round);
    device_->copy_to_device(memory.data(), source.data(), 100);
    device_->copy_to_host(result.data(), memory.data(), 100);
    device_->synchronize();
    EXPECT_EQ(bytes_of(result), std::vector<uint8_t>(100, round));
  }
}

// A pipeline: one stream loads, another works on what is loaded, and the first may only load again once that is read.
TEST_P(DeviceTest, events_order_streams) {
  constexpr size_t kBytes = 1000, kRounds = 5;
  const StreamOwner load(*device_), work(*device_);
  const DeviceMemory loaded(*device_, kBytes), results(*device_, kBytes * kRounds);
  const PinnedMemory source(*device_, kBytes * kRounds);
  const auto is_loaded = device_->create_event(), is_read = device_->create_event();
  is_read->hold(load);  // reached, as it was never recorded
  for (size_t i = 0; i < kRounds; ++i) {
    uint8_t* const begin = source.data() + i * kBytes;
    std::fill_n(begin, kBytes, static_cast<uint8_t>(i + 1));
    is_read->hold(load);
    device_->copy_to_device(loaded.data(), begin, kBytes, load);
    is_loaded->record(load);
    is_loaded->hold(work);
    device_->copy(results.data() + i * kBytes, loaded.data(), kBytes, work);
    is_read->record(work);
  }
  is_read->synchronize();
  const PinnedMemory result(*device_, results.bytes());
  device_->copy_to_host(result.data(), results.data(), results.bytes(), load);
  device_->synchronize(load);
  EXPECT_EQ(bytes_of(result), bytes_of(source));
}

TEST_P(DeviceTest, events_measure_time) {
  const DeviceMemory memory(*device_, size_t{1} << 20);
  const auto begin = device_->create_event(), end = device_->create_event();
  EXPECT_THROW(end->milliseconds_since(*begin), Error);
  begin->record();
  for (int i = 0; i < 10; ++i) device_->fill(memory.data(), 1, memory.bytes());
  end->record();
  end->synchronize();
  EXPECT_GT(end->milliseconds_since(*begin), 0);
  EXPECT_LT(end->milliseconds_since(*begin), 60'000);
}

TEST_P(DeviceTest, graphs_run_again_and_again) {
  const DeviceMemory from(*device_, 64), to(*device_, 64);
  const PinnedMemory source(*device_, 64), result(*device_, 64);
  std::fill_n(result.data(), 64, 7);
  const auto graph = device_->capture([&](Stream stream) {
    device_->copy_to_device(from.data(), source.data(), 64, stream);
    device_->copy(to.data(), from.data(), 32, stream);
    device_->fill(to.data() + 32, 9, 32, stream);
    device_->copy_to_host(result.data(), to.data(), 64, stream);
  });
  EXPECT_EQ(bytes_of(result), std::vector<uint8_t>(64, 7)) << "nothing has run";
  const StreamOwner stream(*device_);
  for (uint8_t round : {1, 2, 3}) {
    std::fill_n(source.data(), 64, round);
    graph->launch(stream);
    device_->synchronize(stream);
    std::vector<uint8_t> expected(64, round);
    std::fill_n(expected.begin() + 32, 32, 9);
    EXPECT_EQ(bytes_of(result), expected);
  }
}

TEST_P(DeviceTest, graphs_hold_several_streams) {
  const DeviceMemory memory(*device_, 64);
  const StreamOwner side(*device_), stream(*device_);
  const auto fork = device_->create_event(), join = device_->create_event();
  const auto graph = device_->capture([&](Stream main) {
    device_->fill(memory.data(), 1, 64, main);
    fork->record(main);
    fork->hold(side);
    device_->fill(memory.data(), 2, 16, side);
    device_->fill(memory.data() + 16, 3, 16, main);
    join->record(side);
    join->hold(main);
    device_->copy(memory.data() + 32, memory.data(), 32, main);
  });
  graph->launch(stream);
  graph->launch(stream);
  const PinnedMemory result(*device_, 64);
  device_->copy_to_host(result.data(), memory.data(), 64, stream);
  device_->synchronize(stream);
  std::vector<uint8_t> expected(64, 2);
  for (size_t i = 16; i < 64; i += 32) std::fill_n(expected.begin() + i, 16, 3);
  EXPECT_EQ(bytes_of(result), expected);
}

TEST_P(DeviceTest, what_a_capture_throws_is_thrown) {
  EXPECT_THROW(device_->capture([](Stream) { fail("no"); })->launch(), Error);
}

TEST_P(DeviceTest, layouts_hold_every_shape) {
  for (int channels : {1, 3, 5, 8, 64, 200}) {
    const Shape shape{2, 4, 6, channels};
    for (const TensorDesc& desc : {device_->activation(shape), device_->picture(shape)}) {
      EXPECT_EQ(desc.shape, shape);
      EXPECT_GT(desc.block, 0);
      EXPECT_GE(desc.elements(), static_cast<size_t>(shape.elements()));
    }
  }
}

}  // namespace
}  // namespace sandglass
