// What sm_90 adds, on the emulator: mbarriers, tensor copies (TMA) and wgmma against plain loops in every thread order,
// and planted faults, which must be reported or leave NaN in the result.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/random.h"
#include "kernels/cuda/tensor_map.h"
#include "kernels/cuda/wgmma.h"
#include "tests/error_of.h"
#include "tests/simt/support.h"

namespace sandglass::test {
namespace {

class Hopper : public InThreadOrder {};
INSTANTIATE_TEST_SUITE_P(Orders, Hopper, all_thread_orders(), thread_order_name);

constexpr int kPatternBytes = 1024;

// Of a kernel's dynamic shared memory: its first multiple of 1024 bytes.
uint8_t* aligned_memory(uint8_t* memory) {
  const uint32_t address = simt::Block::running()->shared_memory().address(memory);
  return memory + (kPatternBytes - address % kPatternBytes) % kPatternBytes;
}

uint16_t bfloat16(float value) { return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16); }
float from_bfloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// Small integers, exact as bfloat16.
std::vector<uint16_t> integers(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<uint16_t> values(count);
  for (uint16_t& v : values) v = bfloat16(static_cast<float>(static_cast<int>(random.below(17)) - 8));
  return values;
}

// Element (row, column) of a copy with 128-byte swizzle.
uint16_t swizzled(const std::vector<uint16_t>& copy, int row, int column) {
  return copy[row * 64 + (column / 8 ^ row % 8) * 8 + column % 8];
}

// ---- mbarrier ----

// Warp 0 hands numbers to the other warps through a ring of two places, each with a barrier "full" and one "empty".
__global__ void pass_through_ring(int count, int* received, bool waits_for_full, bool waits_for_empty) {
  SIMT_SHARED(uint64_t, full, [2]);
  SIMT_SHARED(uint64_t, empty, [2]);
  SIMT_SHARED(int, ring, [2][32]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int consumers = static_cast<int>(blockDim.x) - 32;
  if (thread == 0) {
    for (int i = 0; i < 2; ++i) {
      mbarrier_init(&full[i], 32);
      mbarrier_init(&empty[i], consumers);
    }
    fence_mbarrier_init();
  }
  __syncthreads();
  for (int i = 0; i < count; ++i) {
    const int place = i % 2, parity = i / 2 % 2;
    if (warp == 0) {
      if (waits_for_empty) mbarrier_wait(&empty[place], parity ^ 1);
      ring[place][lane] = 100 * i + lane;
      mbarrier_arrive(&full[place]);
    } else {
      if (waits_for_full) mbarrier_wait(&full[place], parity);
      received[(i * static_cast<int>(blockDim.x / 32 - 1) + warp - 1) * 32 + lane] = ring[place][lane];
      mbarrier_arrive(&empty[place]);
    }
  }
}

std::vector<int> pass_through_ring_with(bool waits_for_full, bool waits_for_empty) {
  std::vector<int> received(7 * 64);
  run(KERNEL(pass_through_ring), 1, 96, 0, 7, received.data(), waits_for_full, waits_for_empty);
  return received;
}

std::vector<int> expected_of_ring() {
  std::vector<int> expected(7 * 64);
  for (int i = 0; i < 7 * 64; ++i) expected[i] = i / 64 * 100 + i % 32;
  return expected;
}

TEST_P(Hopper, mbarriers_order_a_ring) { EXPECT_EQ(pass_through_ring_with(true, true), expected_of_ring()); }

// Either the ring passes wrong numbers, or its barriers' phases get out of step, which is reported.
bool ring_fails(bool waits_for_full, bool waits_for_empty) {
  std::vector<int> received;
  const std::string error = error_of([&] { received = pass_through_ring_with(waits_for_full, waits_for_empty); });
  return error != "no error" || received != expected_of_ring();
}

TEST(HopperFaults, ring_without_waiting_for_empty_fails) { EXPECT_TRUE(ring_fails(true, false)); }

TEST(HopperFaults, ring_without_waiting_for_full_fails_where_consumers_run_first) {
  simt::set_thread_order({simt::Order::reverse});
  EXPECT_TRUE(ring_fails(false, true));
  simt::set_thread_order({});
}

__global__ void misuse_barrier(int fault) {
  SIMT_SHARED(uint64_t, barrier, [1]);
  if (fault == 0) mbarrier_arrive(barrier);
  if (threadIdx.x == 0) mbarrier_init(barrier, 2);
  __syncthreads();
  if (fault == 1) mbarrier_arrive_expecting(barrier, 128);
  if (fault == 1) mbarrier_wait(barrier, 0);
  if (fault == 2 && threadIdx.x == 0) mbarrier_arrive(barrier);
  if (fault == 2) mbarrier_wait(barrier, 0);
}

TEST(HopperFaults, barriers_misused_are_reported) {
  const auto misuse = [](int fault) { return error_of([=] { run(KERNEL(misuse_barrier), 1, 2, 0, fault); }); };
  expect_part(misuse(0),
              "kernel 'misuse_barrier', block (0, 0, 0), thread (0, 0, 0): mbarrier.arrive (hopper_test.cpp:");
  expect_part(misuse(0), "not initialised");
  expect_part(misuse(1), "waits in mbarrier.try_wait");  // bytes that nobody brings
  expect_part(misuse(2), "waits in mbarrier.try_wait");  // one arrival of two
}

// ---- Tensor copies ----

enum class CopyFault { none, no_wait, no_fence, wrong_bytes, misaligned };

// Copies one box of a tensor, or of an im2col map, to `result`.
__global__ void copy_box(const __grid_constant__ TensorMap map, int rows, simt::TensorCoordinates from, CopyFault fault,
                         uint16_t* result) {
  SIMT_DYNAMIC_SHARED(uint8_t, dynamic);
  SIMT_SHARED(uint64_t, barrier, [1]);
  auto* const box = reinterpret_cast<uint16_t*>(aligned_memory(dynamic));
  const int thread = static_cast<int>(threadIdx.x), bytes = rows * 128;
  if (thread == 0) {
    mbarrier_init(barrier, 1);
    if (fault != CopyFault::no_fence) fence_mbarrier_init();
    mbarrier_arrive_expecting(barrier, fault == CopyFault::wrong_bytes ? bytes + 16 : bytes);
    uint16_t* const to = box + (fault == CopyFault::misaligned ? 64 : 0);
    if (map.im2col)
      start_im2col_copy(to, map, barrier, from.at[0], from.at[1], from.at[2], from.at[3], from.offset[0],
                        from.offset[1]);
    else if (map.rank == 2)
      start_tensor_copy(to, map, barrier, from.at[0], from.at[1]);
    else
      start_tensor_copy(to, map, barrier, from.at[0], from.at[1], from.at[2]);
  }
  __syncthreads();
  if (fault != CopyFault::no_wait || thread > 0) mbarrier_wait(barrier, 0);
  for (int i = thread; i < rows * 64; i += static_cast<int>(blockDim.x)) result[i] = box[i];
}

std::vector<uint16_t> copied(const TensorMap& map, int rows, const simt::TensorCoordinates& from,
                             CopyFault fault = CopyFault::none) {
  std::vector<uint16_t> result(static_cast<size_t>(rows) * 64);
  run(KERNEL(copy_box), 1, 64, static_cast<size_t>(rows) * 128 + 2 * kPatternBytes, map, rows, from, fault,
      result.data());
  return result;
}

TEST_P(Hopper, boxes_are_copied_swizzled_and_zero_outside) {
  constexpr int kX = 72, kY = 5, kZ = 6, kBoxY = 2, kBoxZ = 4;
  const std::vector<uint16_t> tensor = integers(kX * kY * kZ, 1);
  const TensorMap map = tiled_tensor_map(tensor.data(), {kX, kY, kZ}, {64, kBoxY, kBoxZ});
  for (const auto [x, y, z] : {std::array{0, 0, 0}, std::array{64, 1, 3}, std::array{8, 4, -2}}) {
    const std::vector<uint16_t> box = copied(map, kBoxY * kBoxZ, {.at = {x, y, z}});
    for (int row = 0; row < kBoxY * kBoxZ; ++row)
      for (int i = 0; i < 64; ++i) {
        const int at_x = x + i, at_y = y + row % kBoxY, at_z = z + row / kBoxY;
        const bool inside = at_x < kX && at_y < kY && at_z >= 0 && at_z < kZ;
        EXPECT_EQ(swizzled(box, row, i), inside ? tensor[(at_z * kY + at_y) * kX + at_x] : 0)
            << "row " << row << ", column " << i;
      }
  }
  const TensorMap rows = tiled_tensor_map(tensor.data(), {kX, kY * kZ}, {64, 8});
  const std::vector<uint16_t> box = copied(rows, 8, {.at = {0, 3}});
  EXPECT_EQ(swizzled(box, 7, 21), tensor[10 * kX + 21]);
}

// For each tap of a filter, what the convolution's output pixels from `first` on meet.
void compare_im2col(const Shape& shape, int filter, int stride, int padding) {
  constexpr int kPixels = 16;
  const std::vector<uint16_t> x = integers(static_cast<size_t>(shape.elements()), 2);
  const int p_end = (shape.h + 2 * padding - filter) / stride + 1,
            q_end = (shape.w + 2 * padding - filter) / stride + 1;
  const TensorMap map = im2col_tensor_map(x.data(), shape, filter, stride, padding, kPixels);
  for (int first = 0; first < shape.n * p_end * q_end; first += kPixels) {
    const int n0 = first / (p_end * q_end), p0 = first / q_end % p_end, q0 = first % q_end;
    for (int r = 0; r < filter; ++r)
      for (int s = 0; s < filter; ++s) {
        const std::vector<uint16_t> box =
            copied(map, kPixels, {.at = {0, q0 * stride - padding, p0 * stride - padding, n0}, .offset = {s, r}});
        for (int row = 0; row < kPixels; ++row) {
          const int pixel = first + row, n = pixel / (p_end * q_end);
          const int h = pixel / q_end % p_end * stride - padding + r, w = pixel % q_end * stride - padding + s;
          const bool inside = n < shape.n && h >= 0 && h < shape.h && w >= 0 && w < shape.w;
          for (int c : {0, 13, 63})
            EXPECT_EQ(swizzled(box, row, c),
                      inside && c < shape.c ? x[((n * shape.h + h) * shape.w + w) * shape.c + c] : 0)
                << "pixel " << pixel << ", tap " << r << ", " << s << ", channel " << c;
        }
      }
  }
}

TEST_P(Hopper, im2col_copies_what_a_tap_meets) {
  compare_im2col({2, 4, 5, 64}, 3, 1, 1);
  compare_im2col({2, 5, 6, 40}, 3, 2, 1);
  compare_im2col({1, 6, 7, 64}, 1, 1, 0);
  compare_im2col({1, 9, 8, 8}, 7, 2, 3);
  compare_im2col({1, 6, 7, 64}, 3, 1, 0);
}

TEST(HopperFaults, copies_misused_are_reported) {
  const std::vector<uint16_t> tensor = integers(64 * 8, 3);
  const TensorMap map = tiled_tensor_map(tensor.data(), {64, 8}, {64, 8});
  const auto fault = [&](CopyFault kind) { return error_of([&] { copied(map, 8, {}, kind); }); };
  expect_part(fault(CopyFault::no_fence), "no fence");
  expect_part(fault(CopyFault::misaligned), "not a multiple of 1024");
  expect_part(fault(CopyFault::wrong_bytes), "waits in mbarrier.try_wait");
}

TEST(HopperFaults, a_copy_that_is_not_waited_for_reads_as_nan) {
  const std::vector<uint16_t> tensor = integers(64 * 8, 3);
  const TensorMap map = tiled_tensor_map(tensor.data(), {64, 8}, {64, 8});
  EXPECT_TRUE(std::isnan(from_bfloat16(copied(map, 8, {}, CopyFault::no_wait)[0])));
}

TEST(HopperFaults, tensor_maps_have_limits) {
  const std::vector<uint16_t> tensor = integers(64 * 8, 3);
  const auto map_of = [&](std::initializer_list<int64_t> dims, std::initializer_list<int> box, int offset = 0) {
    return error_of([=, &tensor] { tiled_tensor_map(tensor.data() + offset, dims, box); });
  };
  expect_part(map_of({60, 8}, {64, 8}), "stride of 120 bytes");
  expect_part(map_of({64, 8}, {32, 8}), "box of 32 contiguous");
  expect_part(map_of({64, 8}, {64, 257}), "box of 257");
  expect_part(map_of({64, 4}, {64, 4}, 1), "not a multiple of 16");
  expect_part(map_of({64}, {64}), "1 dimensions");
  expect_part(error_of([&] { im2col_tensor_map(tensor.data(), {1, 2, 4, 64}, 3, 1, 0, 8); }), "empty");
}

// ---- wgmma ----

constexpr int kM = 64, kK = 64;

enum class ProductFault { none, no_wait, no_fence, early_overwrite, lanes_differ, misaligned, never_waited };

// C (64 x N) = A (64 x 64) B (64 x N), twice added. A and B lie in memory as `Major` says: k-major as [m][k] and
// [n][k], mn-major as [k][m] and [k][n].
template <int kN, Major kMajorA, Major kMajorB, bool kRegisters>
__global__ void multiply(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
                         const uint16_t* a, ProductFault fault, float* c) {
  SIMT_DYNAMIC_SHARED(uint8_t, dynamic);
  SIMT_SHARED(uint64_t, barrier, [1]);
  constexpr int kBytesA = kM * kK * 2, kBytesB = kN * kK * 2, kNext64 = 64 * kK * 2;
  uint8_t* const tile_a = aligned_memory(dynamic);
  uint8_t* const tile_b = tile_a + kBytesA;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    mbarrier_init(barrier, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expecting(barrier, kBytesA + kBytesB);
    start_tensor_copy(tile_a, map_a, barrier, 0, 0);
    if constexpr (kMajorB == Major::k)
      start_tensor_copy(tile_b, map_b, barrier, 0, 0);
    else
      for (int n = 0; n < kN; n += 64) start_tensor_copy(tile_b + n / 64 * kNext64, map_b, barrier, n, 0);
  }
  __syncthreads();
  mbarrier_wait(barrier, 0);
  constexpr int kStepA = kMajorA == Major::k ? 32 : 2048, kStepB = kMajorB == Major::k ? 32 : 2048;
  const int row = thread / 32 * 16 + thread % 32 / 4, column = thread % 4 * 2;
  float d[kN / 2];
  for (int pass = 0; pass < 2; ++pass) {
    if (fault != ProductFault::no_fence) wgmma_fence();
    for (int step = 0; step < kK / 16; ++step) {
      const int shift = (fault == ProductFault::lanes_differ && thread == 77) ? 32 : 0;
      const uint64_t b =
          operand_descriptor(tile_b, step * kStepB + shift + (fault == ProductFault::misaligned ? 128 : 0), kNext64);
      if constexpr (kRegisters) {
        uint32_t fragment[4];
        for (int i = 0; i < 4; ++i) {
          const int at_row = row + i % 2 * 8, k = step * 16 + column + i / 2 * 8;
          fragment[i] = a[at_row * kK + k] | static_cast<uint32_t>(a[at_row * kK + k + 1]) << 16;
        }
        wgmma<kN, kMajorB>(d, fragment, b, pass + step > 0);
      } else {
        wgmma<kN, kMajorA, kMajorB>(d, operand_descriptor(tile_a, step * kStepA), b, pass + step > 0);
      }
    }
    wgmma_commit();
  }
  if (fault == ProductFault::never_waited) return;
  if (fault == ProductFault::early_overwrite && thread == 127)
    for (int i = 0; i < kBytesB / 2; ++i) reinterpret_cast<uint16_t*>(tile_b)[i] = 0x7fc0;
  if (fault == ProductFault::no_wait)
    wgmma_wait<1>();
  else
    wgmma_wait<0>();
  for (int i = 0; i < kN / 2; ++i) c[(row + i / 2 % 2 * 8) * kN + i / 4 * 8 + column + i % 2] = d[i];
  if (fault == ProductFault::no_wait) wgmma_wait<0>();
}

template <int kN, Major kMajorA, Major kMajorB, bool kRegisters>
std::vector<float> product(ProductFault fault, std::vector<float>* expected = nullptr) {
  const std::vector<uint16_t> a = integers(kM * kK, 4), b = integers(kN * kK, 5);
  const TensorMap map_a = tiled_tensor_map(a.data(), {64, 64}, {64, 64});
  const TensorMap map_b = kMajorB == Major::k ? tiled_tensor_map(b.data(), {kK, kN}, {64, kN})
                                              : tiled_tensor_map(b.data(), {kN, kK}, {64, kK});
  std::vector<float> c(kM * kN);
  run(KERNEL(multiply<kN, kMajorA, kMajorB, kRegisters>), 1, 128, (kM + kN) * kK * 2 + kPatternBytes, map_a, map_b,
      a.data(), fault, c.data());
  if (expected) {
    expected->assign(kM * kN, 0);
    for (int m = 0; m < kM; ++m)
      for (int n = 0; n < kN; ++n)
        for (int k = 0; k < kK; ++k)
          (*expected)[m * kN + n] += 2 * from_bfloat16(a[kMajorA == Major::k || kRegisters ? m * kK + k : k * kM + m]) *
                                     from_bfloat16(b[kMajorB == Major::k ? n * kK + k : k * kN + n]);
  }
  return c;
}

template <int kN, Major kMajorA, Major kMajorB, bool kRegisters = false>
void compare_product() {
  std::vector<float> expected;
  const std::vector<float> c = product<kN, kMajorA, kMajorB, kRegisters>(ProductFault::none, &expected);
  EXPECT_EQ(c, expected);
}

TEST_P(Hopper, products_of_shared_memory) {
  compare_product<64, Major::k, Major::k>();
  compare_product<128, Major::k, Major::k>();
  compare_product<256, Major::k, Major::k>();
  compare_product<128, Major::k, Major::mn>();
  compare_product<128, Major::mn, Major::k>();
  compare_product<256, Major::mn, Major::mn>();
}

TEST_P(Hopper, products_of_registers) {
  compare_product<64, Major::k, Major::k, true>();
  compare_product<128, Major::k, Major::mn, true>();
}

bool has_nan(const std::vector<float>& values) {
  for (float v : values)
    if (std::isnan(v)) return true;
  return false;
}

TEST_P(Hopper, accumulators_are_nan_until_they_are_waited_for) {
  EXPECT_TRUE(has_nan(product<64, Major::k, Major::k, false>(ProductFault::no_wait)));
}

TEST(HopperFaults, operands_overwritten_before_the_wait_spoil_the_product) {
  EXPECT_TRUE(has_nan(product<64, Major::k, Major::k, false>(ProductFault::early_overwrite)));
}

TEST(HopperFaults, products_misused_are_reported) {
  const auto fault = [](ProductFault kind) { return error_of([=] { product<64, Major::k, Major::k, false>(kind); }); };
  expect_part(fault(ProductFault::no_fence), "no wgmma.fence");
  expect_part(fault(ProductFault::lanes_differ), "thread (77, 0, 0): wgmma (hopper_test.cpp:");
  expect_part(fault(ProductFault::lanes_differ), "other descriptors");
  expect_part(fault(ProductFault::misaligned), "does not begin where the swizzle's pattern does");
  expect_part(fault(ProductFault::never_waited), "no wait_group waited for");
}

__global__ void use_warpgroup() { wgmma_fence(); }

TEST(HopperFaults, warpgroups_that_are_not_whole_are_reported) {
  expect_part(error_of([] { run(KERNEL(use_warpgroup), 1, 96, 0); }), "the last 96 of 96 threads");
  expect_part(error_of([] { run(KERNEL(use_warpgroup), 1, 160, 0); }), "the last 32 of 160 threads");
}

}  // namespace
}  // namespace sandglass::test
