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
