// The emulated tensor cores and asynchronous copies against plain loops, and the mistakes they must show.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/random.h"
#include "kernels/cuda/cp_async.h"
#include "kernels/cuda/mma.h"
#include "tests/error_of.h"
#include "tests/simt/support.h"

namespace sandglass::test {
namespace {

class TensorCore : public InThreadOrder {};
INSTANTIATE_TEST_SUITE_P(Orders, TensorCore, all_thread_orders(), thread_order_name);

// Each lane gathers its registers from plain row-major matrices, by the layout in kernels/cuda/mma.h.
template <typename T, int kRows, int kColumns>
__global__ void multiply_plain(const T* left, const T* right, float* sum) {
  constexpr int kDepth = kMmaDepth<T>, kPerRegister = 4 / static_cast<int>(sizeof(T)), kBlock = kDepth / 2;
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  const auto pack = [&](const T* matrix, int row, int block, int row_step, int depth_step) {
    uint32_t bits = 0;
    for (int i = 0; i < kPerRegister; ++i) {
      const int depth = kBlock * block + kPerRegister * t + i;
      uint32_t element = 0;
      std::memcpy(&element, &matrix[row * row_step + depth * depth_step], sizeof(T));
      bits |= element << (16 * i);
    }
    return bits;
  };
  LeftFragments<kRows> a;
  RightFragments<kColumns> b;
  Accumulators<kRows, kColumns> d;
  for (int i = 0; i < kRows / 16; ++i)
    for (int j = 0; j < 4; ++j) a.v[i][j] = pack(left, 16 * i + g + 8 * (j % 2), j / 2, kDepth, 1);
  for (int i = 0; i < kColumns / 16; ++i)
    for (int j = 0; j < 4; ++j) b.v[i][j] = pack(right, 16 * i + 8 * (j / 2) + g, j % 2, 1, kColumns);
  const auto place = [&](int i, int j, int m) { return (16 * i + g + 8 * (m / 2)) * kColumns + 8 * j + 2 * t + m % 2; };
  for (int i = 0; i < kRows / 16; ++i)
    for (int j = 0; j < kColumns / 8; ++j)
      for (int m = 0; m < 4; ++m) d.v[i][j][m] = sum[place(i, j, m)];
  multiply_add<T>(d, a, b);
  for (int i = 0; i < kRows / 16; ++i)
    for (int j = 0; j < kColumns / 8; ++j)
      for (int m = 0; m < 4; ++m) sum[place(i, j, m)] = d.v[i][j][m];
}

template <typename T, int kRows, int kColumns>
void expect_product() {
  constexpr int kDepth = kMmaDepth<T>;
  Random random(1, 1);
  const auto integers = [&](int count) {
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(random.below(9)) - 4;
    return values;
  };
  const std::vector<float> left = integers(kRows * kDepth), right = integers(kDepth * kColumns);
  std::vector<float> sum = integers(kRows * kColumns), expected = sum;
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kColumns; ++j)
      for (int k = 0; k < kDepth; ++k) expected[i * kColumns + j] += left[i * kDepth + k] * right[k * kColumns + j];
  std::vector<T> a, b;
  for (float v : left) a.push_back(T(v));
  for (float v : right) b.push_back(T(v));
  run(KERNEL(multiply_plain<T, kRows, kColumns>), 1, 32, 0, a.data(), b.data(), sum.data());
  EXPECT_EQ(sum, expected);
}

TEST_P(TensorCore, multiplies_bfloat16) {
  expect_product<bfloat16, 16, 16>();
  expect_product<bfloat16, 64, 32>();
  expect_product<bfloat16, 32, 48>();
}

TEST_P(TensorCore, multiplies_tf32) {
  expect_product<float, 16, 16>();
  expect_product<float, 64, 32>();
  expect_product<float, 32, 48>();
}

TEST(Tf32, rounds_to_ten_bits) {
  const auto rounded = [](float v) { return std::bit_cast<float>(round_to_tf32(std::bit_cast<uint32_t>(v))); };
  constexpr float kUlp = 1.0f / 1024;
  EXPECT_EQ(rounded(1 + kUlp), 1 + kUlp);
  EXPECT_EQ(rounded(1 + kUlp / 2), 1 + kUlp) << "a tie goes away from zero";
  EXPECT_EQ(rounded(-1 - kUlp / 2), -1 - kUlp);
  EXPECT_EQ(rounded(1 + kUlp * 0.49f), 1);
  EXPECT_EQ(rounded(1 + kUlp * 1.51f), 1 + 2 * kUlp);
  EXPECT_EQ(rounded(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(0x7fffffffu))));
}

// The tensor core takes the upper 19 bits of a tf32 operand, whatever the others are.
TEST_P(TensorCore, ignores_what_tf32_does_not_have) {
  std::vector<float> left(16 * 8, 0), right(8 * 16, 0), sum(16 * 16, 0);
  left[0] = std::bit_cast<float>(std::bit_cast<uint32_t>(3.0f) | 0x1fff);
  right[0] = 2;
  run(KERNEL(multiply_plain<float, 16, 16>), 1, 32, 0, left.data(), right.data(), sum.data());
  EXPECT_EQ(sum[0], 6);
}

template <bool kTransposed>
__global__ void load_eight_matrices(const uint16_t* rows, uint32_t* registers) {
  SIMT_SHARED(uint16_t, tile, [8 * 8][8]);
  const int lane = static_cast<int>(threadIdx.x);
  for (int row = lane; row < 64; row += 32)
    for (int i = 0; i < 8; ++i) tile[row][i] = rows[row * 8 + i];
  __syncthreads();
  uint32_t v[2][4];
  load_matrices<kTransposed>(v, {tile[lane], tile[32 + lane]});
  for (int i = 0; i < 8; ++i) registers[lane * 8 + i] = v[i / 4][i % 4];
}

TEST_P(TensorCore, loads_matrices_of_two_byte_elements) {
  std::vector<uint16_t> rows(64 * 8);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<uint16_t>(i);
  std::vector<uint32_t> plain(32 * 8), transposed(32 * 8);
  run(KERNEL(load_eight_matrices<false>), 1, 32, 0, rows.data(), plain.data());
  run(KERNEL(load_eight_matrices<true>), 1, 32, 0, rows.data(), transposed.data());
  for (int lane = 0; lane < 32; ++lane)
    for (int m = 0; m < 8; ++m) {
      const int g = lane / 4, t = lane % 4;
      const auto element = [&](int row, int column) { return static_cast<uint32_t>(m * 64 + row * 8 + column); };
      EXPECT_EQ(plain[lane * 8 + m], element(g, 2 * t) | element(g, 2 * t + 1) << 16);
      EXPECT_EQ(transposed[lane * 8 + m], element(2 * t, g) | element(2 * t + 1, g) << 16);
    }
}

__global__ void multiply_in_part_of_a_warp(int lanes) {
  LeftFragments<16> a{};
  RightFragments<16> b{};
  Accumulators<16, 16> d{};
  if (static_cast<int>(threadIdx.x) < lanes) multiply_add<bfloat16>(d, a, b);
}

TEST_P(TensorCore, needs_all_lanes_of_the_warp) {
  const auto error = [](int lanes) {
    return error_of([&] { run(KERNEL(multiply_in_part_of_a_warp), 1, 32, 0, lanes); });
  };
  EXPECT_EQ(error(32), "");
  expect_part(error(31), "kernel 'multiply_in_part_of_a_warp', block (0, 0, 0), thread (");
  expect_part(error(31), "mma.sync (tensor_core_test.cpp:");
  expect_part(error(31), "needs all 32 lanes of the warp, only 31 call it");
}

__global__ void load_from_odd_address() {
  SIMT_SHARED(uint32_t, tile, [33]);
  uint32_t v[1][4];
  load_matrices<false>(v, {&tile[threadIdx.x == 9 ? 1 : 0]});
}

TEST_P(TensorCore, needs_aligned_rows) {
  const std::string error = error_of([] { run(KERNEL(load_from_odd_address), 1, 32, 0); });
  expect_part(error, "kernel 'load_from_odd_address', block (0, 0, 0), thread (");
  expect_part(error, "of row 1 of matrix 1 is not a multiple of 16");
}

// Every thread order with early and late copies.
class AsyncCopy : public testing::TestWithParam<std::tuple<simt::ThreadOrder, simt::CopyTime>> {
 protected:
  void SetUp() override {
    before_ = simt::copy_time();
    simt::set_thread_order(std::get<0>(GetParam()));
    simt::set_copy_time(std::get<1>(GetParam()));
  }
  void TearDown() override {
    simt::set_thread_order({});
    simt::set_copy_time(before_);
  }

 private:
  simt::CopyTime before_;
};
INSTANTIATE_TEST_SUITE_P(OrdersAndTimes, AsyncCopy,
                         testing::Combine(all_thread_orders(),
                                          testing::Values(simt::CopyTime::early, simt::CopyTime::late)),
                         [](const auto& info) {
                           return thread_order_name({std::get<0>(info.param), 0}) +
                                  (std::get<1>(info.param) == simt::CopyTime::early ? "_early" : "_late");
                         });

// Each of 32 threads copies one float4 in each of `steps` steps into one of 3 stages and reads the one of its
// neighbour; the last thread copies zeros. Waits for all but the `kNewest` latest groups: 1 is right, 2 is the planted
// fault.
template <int kNewest>
__global__ void sum_through_stages(const float4* x, float4* y, int steps) {
  SIMT_SHARED(float4, stage, [3][32]);
  const int i = static_cast<int>(threadIdx.x);
  float4 sum = make_float4(0, 0, 0, 0);
  for (int step = 0; step < 2; ++step) {
    start_async_copy(&stage[step][i], &x[step * 32 + i], i < 31);
    commit_async_copies();
  }
  for (int step = 0; step < steps; ++step) {
    wait_for_async_copies<kNewest>();
    __syncthreads();
    if (step + 2 < steps) start_async_copy(&stage[(step + 2) % 3][i], &x[(step + 2) * 32 + i], i < 31);
    commit_async_copies();
    const float4 v = stage[step % 3][i ^ 1];
    sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
  }
  y[i] = sum;
}

constexpr int kSteps = 7;

template <int kNewest>
std::vector<float> sums_through_stages() {
  std::vector<float4> x(kSteps * 32), y(32);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<float>(i);
    x[i] = make_float4(v, 2 * v, -v, 1);
  }
  run(KERNEL(sum_through_stages<kNewest>), 1, 32, 0, x.data(), y.data(), kSteps);
  std::vector<float> result;
  for (const float4& v : y) result.insert(result.end(), {v.x, v.y, v.z, v.w});
  return result;
}

TEST_P(AsyncCopy, arrives_in_stages) {
  std::vector<float> expected;
  for (int i = 0; i < 32; ++i) {
    float sum = 0, ones = 0;
    for (int step = 0; step < kSteps && i != 30; ++step) sum += static_cast<float>(step * 32 + (i ^ 1)), ++ones;
    expected.insert(expected.end(), {sum, 2 * sum, -sum, ones});
  }
  EXPECT_EQ(sums_through_stages<1>(), expected);
}

TEST_P(AsyncCopy, missing_wait_gives_nan_when_late) {
  const std::vector<float> sums = sums_through_stages<2>();
  const bool any_nan = std::any_of(sums.begin(), sums.end(), [](float v) { return std::isnan(v); });
  EXPECT_EQ(any_nan, std::get<1>(GetParam()) == simt::CopyTime::late);
}

__global__ void copy_to_odd_address(const float4* x) {
  SIMT_SHARED(float, tile, [8]);
  start_async_copy(&tile[threadIdx.x], x, true);
}

TEST_P(AsyncCopy, needs_aligned_addresses) {
  const float4 x{};
  const std::string error = error_of([&] { run(KERNEL(copy_to_odd_address), 1, 2, 0, &x); });
  expect_part(error,
              "kernel 'copy_to_odd_address', block (0, 0, 0), thread (1, 0, 0): cp.async of 16 bytes: the shared");
}

TEST(CopyTime, has_names) {
  EXPECT_EQ(simt::parse_copy_time("early"), simt::CopyTime::early);
  EXPECT_EQ(simt::parse_copy_time("late"), simt::CopyTime::late);
  EXPECT_THROW(simt::parse_copy_time("sometimes"), Error);
}

}  // namespace
}  // namespace sandglass::test
