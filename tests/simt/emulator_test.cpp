// The emulator runs correct kernels as CUDA would, in every thread order.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/cuda/launch.h"
#include "tests/simt/support.h"

namespace sandglass::test {
namespace {

class Emulator : public InThreadOrder {};
INSTANTIATE_TEST_SUITE_P(Orders, Emulator, all_thread_orders(), thread_order_name);

__global__ void count_visits(int* visits) {
  const int thread = static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
  const int block = static_cast<int>((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x);
  ++visits[block * static_cast<int>(blockDim.x * blockDim.y * blockDim.z) + thread];
}

TEST_P(Emulator, runs_every_thread_of_every_block_once) {
  std::vector<int> visits(3 * 2 * 4 * 5 * 7 * 2);
  run(KERNEL(count_visits), dim3(3, 2, 4), dim3(5, 7, 2), 0, visits.data());
  EXPECT_EQ(visits, std::vector<int>(visits.size(), 1));
}

__global__ void mirror(const float* x, float* y) {
  SIMT_SHARED(float, tile, [100]);
  SIMT_DYNAMIC_SHARED(float, again);
  const int i = static_cast<int>(threadIdx.x);
  tile[i] = x[blockIdx.x * 100 + i];
  __syncthreads();
  again[i] = tile[99 - i];
  __syncthreads();
  y[blockIdx.x * 100 + 99 - i] = again[99 - i];
}

TEST_P(Emulator, barriers_order_shared_memory) {
  std::vector<float> x(300), y(300, -1), expected(300);
  for (int i = 0; i < 300; ++i) x[i] = static_cast<float>(i);
  for (int i = 0; i < 300; ++i) expected[i] = static_cast<float>(i / 100 * 100 + 99 - i % 100);
  run(KERNEL(mirror), 3, 100, 100 * sizeof(float), x.data(), y.data());
  EXPECT_EQ(y, expected);
}

__global__ void read_fresh_shared_memory(bool* all_nan) {
  SIMT_SHARED(float, tile, [4]);
  SIMT_DYNAMIC_SHARED(float, dynamic);
  const int i = static_cast<int>(threadIdx.x);
  all_nan[blockIdx.x * 4 + i] = std::isnan(tile[i]) && std::isnan(dynamic[i]);
  tile[i] = dynamic[i] = 1;
}

TEST_P(Emulator, shared_memory_is_nan_at_the_start_of_every_block) {
  bool all_nan[8] = {};
  run(KERNEL(read_fresh_shared_memory), 2, 4, 4 * sizeof(float), all_nan);
  for (bool nan : all_nan) EXPECT_TRUE(nan);
}

// Results of all warp collectives for the values 1, 2, 4, ... or the lanes themselves, in a block of 32 + 8 threads.
struct WarpResults {
  double sum;
  int from_seven, up, down, exchanged, wrapped;
  unsigned ballot;
  int any, all;
};

__global__ void use_warp_collectives(WarpResults* results) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const bool last_warp = threadIdx.x >= 32;
  const unsigned mask = last_warp ? 0xff : 0xffffffff;
  WarpResults& r = results[threadIdx.x];
  r.sum = lane;
  for (int distance = last_warp ? 4 : 16; distance > 0; distance /= 2) r.sum += __shfl_xor_sync(mask, r.sum, distance);
  r.from_seven = __shfl_sync(mask, 10 * lane, 7);
  r.up = __shfl_up_sync(mask, lane, 2);
  r.down = __shfl_down_sync(mask, lane, 1, 4);
  __syncwarp(mask);
  r.exchanged = __shfl_xor_sync(mask, lane, 1);
  r.wrapped = __shfl_sync(mask, lane, 9, 8);
  r.ballot = __ballot_sync(mask, lane % 3 == 0);
  r.any = __any_sync(mask, lane == 5);
  r.all = __all_sync(mask, lane < 8);
}

TEST_P(Emulator, warp_collectives_exchange_values) {
  std::vector<WarpResults> results(40);
  run(KERNEL(use_warp_collectives), 1, 40, 0, results.data());
  for (int i = 0; i < 40; ++i) {
    SCOPED_TRACE(i);
    const int lane = i % 32;
    const WarpResults& r = results[i];
    EXPECT_EQ(r.sum, i < 32 ? 496 : 28);
    EXPECT_EQ(r.from_seven, 70);
    EXPECT_EQ(r.up, lane < 2 ? lane : lane - 2);
    EXPECT_EQ(r.down, lane % 4 == 3 ? lane : lane + 1);
    EXPECT_EQ(r.exchanged, lane ^ 1);
    EXPECT_EQ(r.wrapped, lane / 8 * 8 + 1);
    EXPECT_EQ(r.ballot, i < 32 ? 0x49249249u : 0x49u);
    EXPECT_EQ(r.any, 1);
    EXPECT_EQ(r.all, i >= 32);
  }
}

// The even lanes and the odd ones, each for themselves, and lanes that have returned before.
__global__ void use_parts_of_a_warp(int* sums) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane >= 16) return;
  const unsigned mask = lane % 2 ? 0xaaaaaaaa : 0x55555555;  // also names lanes that have returned
  int sum = lane;
  for (int distance = 8; distance > 1; distance /= 2) sum += __shfl_xor_sync(mask, sum, distance);
  sums[lane] = sum;
}

TEST_P(Emulator, parts_of_a_warp_exchange_values_at_once) {
  int sums[16] = {};
  run(KERNEL(use_parts_of_a_warp), 1, 32, 0, sums);
  for (int lane = 0; lane < 16; ++lane) EXPECT_EQ(sums[lane], lane % 2 ? 64 : 56) << lane;
}

__global__ void add(float* x, float value, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) x[i] += value;
}

TEST_P(Emulator, arguments_are_converted) {
  std::vector<float> x(1000, 1);
  run(KERNEL(add), 4, 256, 0, x.data(), 2, 1000u);
  EXPECT_EQ(x, std::vector<float>(1000, 3));
}

TEST_P(Emulator, largest_block_runs) {
  std::vector<int> visits(1024);
  run(KERNEL(count_visits), 1, 1024, 163 * 1024, visits.data());
  EXPECT_EQ(visits, std::vector<int>(1024, 1));
}

TEST(ThreadOrder, has_names) {
  using simt::Order;
  EXPECT_EQ(simt::parse_thread_order("forward").order, Order::forward);
  EXPECT_EQ(simt::parse_thread_order("reverse").order, Order::reverse);
  EXPECT_EQ(simt::parse_thread_order("random").order, Order::random);
  EXPECT_EQ(simt::parse_thread_order("random:17").seed, 17u);
  for (const char* wrong : {"", "backward", "random:", "random:x", "random:1x", "random:-1"})
    EXPECT_THROW(simt::parse_thread_order(wrong), Error) << wrong;
}

// Writes down in which order the threads run.
__global__ void take_numbers(int* next, int* numbers) { numbers[(*next)++] = static_cast<int>(threadIdx.x); }

std::vector<int> numbers_in(simt::ThreadOrder order) {
  simt::set_thread_order(order);
  int next = 0;
  std::vector<int> numbers(64);
  run(KERNEL(take_numbers), 1, 64, 0, &next, numbers.data());
  simt::set_thread_order({});
  return numbers;
}

TEST(ThreadOrder, is_what_it_says) {
  using simt::Order;
  std::vector<int> ascending(64);
  for (int i = 0; i < 64; ++i) ascending[i] = i;
  EXPECT_EQ(numbers_in({Order::forward}), ascending);
  EXPECT_EQ(numbers_in({Order::reverse}), std::vector<int>(ascending.rbegin(), ascending.rend()));
  std::vector<int> random = numbers_in({Order::random, 1});
  EXPECT_EQ(random, numbers_in({Order::random, 1}));
  EXPECT_NE(random, numbers_in({Order::random, 2}));
  EXPECT_NE(random, ascending);
  std::sort(random.begin(), random.end());
  EXPECT_EQ(random, ascending);
}

}  // namespace
}  // namespace sandglass::test
