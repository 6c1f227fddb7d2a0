// Planted faults: each must be reported with kernel, block and thread, and the next kernel must run as if nothing was.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/simt_memory.h"
#include "kernels/cuda/launch.h"
#include "tests/error_of.h"
#include "tests/simt/support.h"

namespace sandglass::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

__global__ void sum_by_barriers(int* result) {
  SIMT_SHARED(int, tile, [64]);
  const int i = static_cast<int>(threadIdx.x);
  tile[i] = i;
  for (int distance = 32; distance > 0; distance /= 2) {
    __syncthreads();
    if (i < distance) tile[i] += tile[i + distance];
  }
  if (i == 0) *result = tile[0];
}

class Fault : public InThreadOrder {
 protected:
  void TearDown() override {
    int sum = 0;
    run(KERNEL(sum_by_barriers), 1, 64, 0, &sum);
    EXPECT_EQ(sum, 2016) << "after the fault";
    InThreadOrder::TearDown();
  }
};
INSTANTIATE_TEST_SUITE_P(Orders, Fault, all_thread_orders(), thread_order_name);

__global__ void some_skip_the_barrier() {
  if (blockIdx.y == 1 && threadIdx.x == 3) return;
  __syncthreads();
}

TEST_P(Fault, barrier_that_a_thread_never_reaches) {
  const std::string error = error_of([] { run(KERNEL(some_skip_the_barrier), dim3(1, 2), 8, 0); });
  expect_part(error,
              "kernel 'some_skip_the_barrier', block (0, 1, 0), thread (0, 0, 0): waits in __syncthreads (fault_test");
  expect_part(error, "for thread (3, 0, 0), which has returned");
}

__global__ void halves_wait_apart() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}

TEST_P(Fault, barriers_in_different_places) {
  const std::string error = error_of([] { run(KERNEL(halves_wait_apart), 1, 64, 0); });
  expect_part(error, "kernel 'halves_wait_apart', block (0, 0, 0), thread (");
  expect_part(error, "in another one");
}

__global__ void barrier_against_shuffle() {
  if (threadIdx.x == 0)
    __syncthreads();
  else
    __syncwarp();
}

TEST_P(Fault, barrier_against_shuffle) {
  const std::string error = error_of([] { run(KERNEL(barrier_against_shuffle), 1, 4, 0); });
  expect_part(error, "thread (0, 0, 0): waits in __syncthreads");
  expect_part(error, "for thread (1, 0, 0), which waits in __syncwarp");
}

__global__ void shuffle_with(unsigned mask, unsigned other_mask, int source, int width, int lanes) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane < lanes) __shfl_sync(lane == 1 ? other_mask : mask, lane, source, width);
  __syncthreads();
}

TEST_P(Fault, shuffles_with_wrong_masks) {
  const auto error = [](unsigned mask, unsigned other_mask, int source, int width, int lanes) {
    return error_of([&] { run(KERNEL(shuffle_with), 1, 32, 0, mask, other_mask, source, width, lanes); });
  };
  constexpr unsigned kAll = 0xffffffff;
  EXPECT_EQ(error(kAll, kAll, 0, 32, 32), "");
  expect_part(error(kAll, ~2u, 0, 32, 32), "lane 1 calls __shfl_sync");
  expect_part(error(kAll, ~2u, 0, 32, 32), "kernel 'shuffle_with', block (0, 0, 0), thread (1, 0, 0): lane 1");
  expect_part(error(0xffff, 3, 0, 32, 16), "with the mask 0x00000003");
  expect_part(error(0xffff, 0xffff, 20, 32, 16), "takes the value of lane 20 in __shfl_sync");
  expect_part(error(kAll, kAll, 0, 5, 32), "width is 5");
  expect_part(error(kAll, kAll, 0, 32, 31), "waits in __shfl_sync");
  expect_part(error(kAll, kAll, 0, 32, 31), "for thread (31, 0, 0), which waits in __syncthreads");
}

__global__ void pass_on_without_barrier(float* y) {
  SIMT_SHARED(float, tile, [64]);
  const int i = static_cast<int>(threadIdx.x);
  tile[i] = static_cast<float>(i);
  // Here a __syncthreads() is missing.
  y[i] = tile[63 - i];
}

// Shows as NaN wherever a thread reads what a later one writes, which in every order some do.
TEST_P(Fault, missing_barrier_gives_nan) {
  std::vector<float> y(64);
  run(KERNEL(pass_on_without_barrier), 1, 64, 0, y.data());
  EXPECT_TRUE(std::any_of(y.begin(), y.end(), [](float v) { return std::isnan(v); }));
}

__global__ void nothing() {}
__global__ void little_static_shared_memory() {
  SIMT_SHARED(float, little, [1]);
  little[0] = 0;
}
__global__ void much_static_shared_memory() {
  SIMT_SHARED(float, half, [6 * 1024]);
  SIMT_SHARED(float, too_much, [6 * 1024 + 1]);
  half[0] = too_much[0] = 0;
}

TEST_P(Fault, launches_over_the_limits) {
  const auto error = [](dim3 grid, dim3 block, size_t shared) {
    return error_of([&] { run(KERNEL(nothing), grid, block, shared); });
  };
  EXPECT_EQ(error(1, 1024, 163 * 1024), "");
  EXPECT_EQ(error(1, 1025, 0), "kernel 'nothing': block.x is 1025, it must be 1 to 1024");
  EXPECT_EQ(error(1, dim3(1, 1, 65), 0), "kernel 'nothing': block.z is 65, it must be 1 to 64");
  EXPECT_EQ(error(1, dim3(32, 33), 0),
            "kernel 'nothing': a block of 32 x 33 x 1 has 1056 threads, at most 1024 are possible");
  EXPECT_EQ(error(1, 0, 0), "kernel 'nothing': block.x is 0, it must be 1 to 1024");
  EXPECT_EQ(error(dim3(1, 65536), 1, 0), "kernel 'nothing': grid.y is 65536, it must be 1 to 65535");
  EXPECT_EQ(error(dim3(1, 1, 65536), 1, 0), "kernel 'nothing': grid.z is 65536, it must be 1 to 65535");
  EXPECT_EQ(error(0, 1, 0), "kernel 'nothing': grid.x is 0, it must be 1 to 2147483647");
  EXPECT_EQ(error(1, 1, 163 * 1024 + 1),
            "kernel 'nothing': 166913 bytes of dynamic shared memory, at most 166912 are possible on sm_80");
  expect_part(error_of([] { run(KERNEL(little_static_shared_memory), 1, 1, 163 * 1024); }),
              "kernel 'little_static_shared_memory', block (0, 0, 0), thread (0, 0, 0): 'little' makes it 166916 bytes "
              "of static and dynamic shared memory, at most 166912 are possible");
  simt::set_architecture(simt::Architecture::sm_90);
  EXPECT_EQ(error(1, 1024, 227 * 1024), "");
  EXPECT_EQ(error(1, 1, 227 * 1024 + 1),
            "kernel 'nothing': 232449 bytes of dynamic shared memory, at most 232448 are possible on sm_90");
  simt::set_architecture(simt::Architecture::sm_80);
  expect_part(
      error_of([] { run(KERNEL(much_static_shared_memory), 1, 1, 0); }),
      "kernel 'much_static_shared_memory', block (0, 0, 0), thread (0, 0, 0): 'too_much' makes it 49156 bytes of "
      "static shared memory, at most 49152 are possible");
}

__global__ void launch_another() { launch(KERNEL(nothing), 1, 1, 0, {}); }

TEST_P(Fault, launch_by_a_kernel) {
  expect_part(error_of([] { run(KERNEL(launch_another), 1, 1, 0); }), "kernel 'nothing': launched by a kernel");
}

// Index `at` by thread 5 of block 1.
__global__ void write_at(float* x, int at) {
  if (blockIdx.x == 1 && threadIdx.x == 5) x[at] = 1;
}
__global__ void read_at(const float* x, int at, float* y) {
  if (blockIdx.x == 1 && threadIdx.x == 5) *y = x[at];
}
__global__ void write_shared_at(int at) {
  SIMT_DYNAMIC_SHARED(float, tile);
  if (blockIdx.x == 1 && threadIdx.x == 5) tile[at] = 1;
}

// Without AddressSanitizer the action throws `error`; with it the program ends and says which thread it was.
void expect_report(const std::function<void()>& action, const std::string& kernel, const std::string& error) {
  if (kAddressSanitizer)
    EXPECT_DEATH(action(), "sandglass: simt: kernel '" + kernel + "', block .1, 0, 0., thread .5, 0, 0.(.|\n)*" +
                               "AddressSanitizer");
  else
    expect_part(error_of(action), "kernel '" + kernel + "'" + error);
}

TEST(MemoryFault, write_outside_of_device_memory) {
  const auto device = open_device(DeviceKind::simt);
  const DeviceMemory x(*device, 10 * sizeof(float)), y(*device, sizeof(float));
  const auto write = [&](int at) { return [&x, at] { run(KERNEL(write_at), 2, 8, 0, x.f32(), at); }; };
  EXPECT_EQ(error_of(write(9)), "");
  expect_report(write(10), "write_at", ": wrote outside of device memory, allocation");
  expect_report(write(12), "write_at", "");
  expect_report(write(-1), "write_at", "");
  if (!kAddressSanitizer) {
    expect_part(error_of(write(12)), "(40 bytes): 4 bytes behind it, the first 8 bytes from its end");
    expect_part(error_of(write(-3)), "(40 bytes): 4 bytes before it, the last 9 bytes from its begin");
  }
  EXPECT_EQ(error_of(write(0)), "") << "the report before is done with";
}

TEST(MemoryFault, write_outside_of_shared_memory) {
  const auto write = [](int at) { return [at] { run(KERNEL(write_shared_at), 2, 8, 64, at); }; };
  EXPECT_EQ(error_of(write(15)), "");
  expect_report(write(16), "write_shared_at",
                ", block (1, 0, 0): wrote outside of dynamic shared memory (64 bytes): 4 bytes behind it");
  expect_report(write(-1), "write_shared_at", ", block (1, 0, 0): wrote outside of dynamic shared memory");
}

TEST(MemoryFault, read_outside_of_device_memory) {
  const auto device = open_device(DeviceKind::simt);
  const DeviceMemory x(*device, 10 * sizeof(float));
  device->fill(x.data(), 0, x.bytes());
  float y = 0;
  const auto read = [&] { run(KERNEL(read_at), 2, 8, 0, x.f32(), 10, &y); };
  if (kAddressSanitizer) return expect_report(read, "read_at", "");
  read();
  EXPECT_TRUE(std::isnan(y));
}

TEST(MemoryFault, use_of_freed_device_memory) {
  const auto device = open_device(DeviceKind::simt);
  auto* const x = static_cast<float*>(device->allocate(40));
  device->free(x);
  const auto write = [&] { run(KERNEL(write_at), 2, 8, 0, x, 0); };
  if (kAddressSanitizer) return expect_report(write, "write_at", "");
  EXPECT_DEATH(write(),
               "kernel 'write_at', block .1, 0, 0., thread .5, 0, 0. accessed freed device memory: byte 0 of what was "
               "allocation [0-9]+ .40 bytes.");
}

TEST(MemoryFault, access_to_no_memory_at_all) {
  const auto write = [] { run(KERNEL(write_at), 2, 8, 0, nullptr, 0); };
  EXPECT_DEATH(write(), "kernel 'write_at', block .1, 0, 0., thread .5, 0, 0.");
}

TEST(MemoryFault, copies_outside_of_device_memory) {
  const auto device = open_device(DeviceKind::simt);
  const DeviceMemory x(*device, 40), y(*device, 40);
  std::vector<uint8_t> host(50);
  EXPECT_EQ(error_of([&] { device->copy_to_host(host.data(), x.data() + 10, 30); }), "");
  expect_part(error_of([&] { device->copy_to_host(host.data(), x.data() + 10, 31); }),
              "simt device: copy to the host of 31 bytes at byte 10 of allocation");
  expect_part(error_of([&] { device->copy_to_device(x.data(), host.data(), 41); }), "copy to the device of 41 bytes");
  expect_part(error_of([&] { device->copy(x.data(), y.data(), 41); }), "copy within the device of 41 bytes");
  expect_part(error_of([&] { device->copy(host.data(), y.data(), 40); }), "copy within the device of 40 bytes");
  expect_part(error_of([&] { device->fill(x.data() + 40, 0, 1); }), "fill of 1 bytes at byte 40 of allocation");
  device->synchronize();
}

TEST(DeviceMemoryInUse, is_listed_until_it_is_freed) {
  ASSERT_EQ(simt::memory_in_use(), "");
  const auto device = open_device(DeviceKind::simt);
  void* const first = device->allocate(100);
  void* const second = device->allocate(28);
  expect_part(simt::memory_in_use(), "2 allocations, 128 bytes: allocation ");
  device->free(first);
  expect_part(simt::memory_in_use(), "1 allocations, 28 bytes: allocation ");
  expect_part(simt::memory_in_use(), "(28 bytes)");
  device->free(second);
  EXPECT_EQ(simt::memory_in_use(), "");
}

TEST(DeviceMemoryInUse, is_reported_at_the_end) {
  EXPECT_EXIT(
      {
        open_device(DeviceKind::simt)->allocate(12345);
        std::exit(0);
      },
      testing::ExitedWithCode(0), "sandglass: simt device: never freed: 1 allocations, 12345 bytes: allocation");
}

TEST(DeviceMemoryInUse, free_of_something_else_ends_the_program) {
  int something = 0;
  EXPECT_DEATH(open_device(DeviceKind::simt)->free(&something), "free of 0x[0-9a-f]+, which is not allocated");
}

}  // namespace
}  // namespace sandglass::test
