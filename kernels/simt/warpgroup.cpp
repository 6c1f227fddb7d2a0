#include "kernels/simt/warpgroup.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/error.h"
#include "kernels/simt/block.h"
#include "kernels/simt/thread_sanitizer.h"

namespace sandglass::simt {
namespace {

constexpr int kM = 64, kK = 16, kMostN = 256;

float to_float(uint16_t bfloat16) { return std::bit_cast<float>(uint32_t{bfloat16} << 16); }

// Where lane and register lie in a 64 x n matrix of accumulators (PTX ISA 9.7.15.5.1.1.1, figure "register fragment
// layout for accumulator matrix D").
int row_of(int lane, int i) { return lane / 32 * 16 + lane % 32 / 4 + i / 2 % 2 * 8; }
int column_of(int lane, int i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }

// A matrix descriptor (PTX ISA 9.7.15.5.1.2.2, "Matrix Descriptor Format"). Offsets are in units of 16 bytes.
struct Descriptor {
  explicit Descriptor(uint64_t bits)
      : start(static_cast<uint32_t>(bits & 0x3fff) << 4),
        leading(static_cast<uint32_t>(bits >> 16 & 0x3fff) << 4),
        stride(static_cast<uint32_t>(bits >> 32 & 0x3fff) << 4),
        base_offset(static_cast<int>(bits >> 49 & 7)),
        swizzle(static_cast<int>(bits >> 62)) {}
  uint32_t start, leading, stride;
  int base_offset, swizzle;
};

// The operand's element (i, k) as values[k * rows + i], i = 0 ... rows - 1 along M or N. In the canonical layouts with
// 128-byte swizzle (PTX ISA 9.7.15.5.1.2.1.3) it lies, before the swizzle,
//   K-major    in 8 x 64 blocks, rows of 128 bytes: the stride offset leads to the next 8 rows;
//   MN-major   in 64 x 8 blocks, the 64 contiguous: the leading offset leads to the next 64 rows, the stride offset to
//              the next 8 of k.
void load_operand(uint64_t bits, Major major, int rows, float* values, CallSite site) {
  const Descriptor d(bits);
  check(d.swizzle == 1, "wgmma ({}): a descriptor with swizzle mode {}; the emulator has mode 1, 128 bytes",
        to_text(site), d.swizzle);
  check(d.base_offset == 0 && (d.start >> 7 & 7) == 0,
        "wgmma ({}): a descriptor whose matrix, at {:#x}, does not begin where the swizzle's pattern does (a multiple "
        "of 1024 bytes), or has a base offset",
        to_text(site), d.start);
  SharedMemory& memory = Block::running()->shared_memory();
  // By chunks of 16 bytes, which the swizzle leaves whole: 8 neighbours along the contiguous index.
  constexpr int kChunk = 8;
  const int across = major == Major::k ? kChunk : 1, along = major == Major::k ? 1 : kChunk;
  for (int k = 0; k < kK; k += across)
    for (int i = 0; i < rows; i += along) {
      const uint32_t offset = major == Major::k ? i / 8 * d.stride + i % 8 * 128 + k * 2
                                                : i / 64 * d.leading + i % 64 * 2 + k / 8 * d.stride + k % 8 * 128;
      const uint32_t address = d.start + offset;
      std::array<uint16_t, kChunk> chunk;
      std::memcpy(chunk.data(), memory.at(address ^ (address >> 7 & 7) << 4, sizeof(chunk)), sizeof(chunk));
      for (int j = 0; j < kChunk; ++j)
        values[major == Major::k ? (k + j) * rows + i : k * rows + i + j] = to_float(chunk[j]);
    }
}

// A in registers (PTX ISA 9.7.15.5.1.1.1, figure "register fragment layout for matrix A"): each holds two neighbours in
// k, registers 1 and 3 are 8 rows further down, 2 and 3 are 8 further in k.
void load_registers(const std::array<std::array<uint32_t, 4>, kWarpgroupSize>& registers, float* values) {
  for (int lane = 0; lane < kWarpgroupSize; ++lane)
    for (int i = 0; i < 4; ++i)
      for (int half = 0; half < 2; ++half) {
        const int row = lane / 32 * 16 + lane % 32 / 4 + i % 2 * 8, k = lane % 4 * 2 + half + i / 2 * 8;
        values[k * kM + row] = to_float(static_cast<uint16_t>(registers[lane][i] >> 16 * half));
      }
}

}  // namespace

int warpgroup_lane() { return Block::running()->thread().number % kWarpgroupSize; }

void Warpgroup::fence(int lane) { lanes_[lane].fenced = true; }

// The matrix on its way that the lane's registers belong to.
std::shared_ptr<Warpgroup::Accumulators> Warpgroup::find_accumulators(int lane, const Wgmma& operation) const {
  for (const Operation& other : queue_)
    if (other.accumulators->lanes[lane] == operation.accumulators) return other.accumulators;
  return nullptr;
}

void Warpgroup::mma(int lane, const Wgmma& operation, CallSite site) {
  const Unwatched unwatched;
  if (!(operation.n >= 8 && operation.n <= kMostN && operation.n % 8 == 0))
    fail("wgmma ({}): N is {}", to_text(site), operation.n);
  Lane& self = lanes_[lane];
  if (!self.fenced)
    fail("wgmma ({}): no wgmma.fence since the last commit_group orders it behind the lane's registers", to_text(site));
  const size_t index = static_cast<size_t>(self.issued++ - finished_);
  std::shared_ptr<Accumulators> known = find_accumulators(lane, operation);
  if (index == queue_.size()) {
    Operation fresh{.shape = operation, .accumulators = known, .site = site};
    if (!known) {
      fresh.accumulators = std::make_shared<Accumulators>();
      fresh.accumulators->n = operation.n;
      fresh.accumulators->values.resize(size_t{kM} * operation.n);
    }
    queue_.push_back(std::move(fresh));
  }
  Operation& op = queue_[index];
  const Wgmma& first = op.shape;
  if (!(op.site == site && first.n == operation.n && first.b == operation.b && first.a == operation.a &&
        first.accumulate == operation.accumulate))
    fail("wgmma ({}): another instruction, or other descriptors, than the warpgroup's first lane has here ({})",
         to_text(site), to_text(op.site));
  if (known && known != op.accumulators)
    fail("wgmma ({}): other accumulators than the warpgroup's first lane has here", to_text(site));
  if (!known) {
    Accumulators& matrix = *op.accumulators;
    matrix.lanes[lane] = operation.accumulators;
    for (int i = 0; i < matrix.n / 2; ++i) {
      float& value = operation.accumulators[i];
      matrix.values[row_of(lane, i) * matrix.n + column_of(lane, i)] = value;
      value = std::numeric_limits<float>::quiet_NaN();
    }
  }
  op.registers[lane] = operation.registers;
  op.group[lane] = self.committed;
  if (++op.lanes == kWarpgroupSize && Block::running()->early()) run_until(index + 1);
}

void Warpgroup::commit(int lane) {
  ++lanes_[lane].committed;
  lanes_[lane].fenced = false;
}

void Warpgroup::wait(int lane, int groups, CallSite site) {
  const Unwatched unwatched;
  lanes_[lane].waits_for = groups;
  if (++waiting_ < kWarpgroupSize) {
    Block::running()->wait_for(this, "wgmma.wait_group", site);
    return;
  }
  waiting_ = 0;
  for (const Lane& other : lanes_)
    check(other.waits_for == groups && other.committed == lanes_[lane].committed,
          "wgmma.wait_group ({}): the lanes of the warpgroup wait for different groups", to_text(site));
  finish(groups);
  Block::running()->wake(this);
}

// Computes the first `count` operations of the queue.
void Warpgroup::run_until(size_t count) {
  std::vector<float> a(size_t{kM} * kK), b(size_t{kMostN} * kK);
  for (size_t i = 0; i < count; ++i) {
    Operation& op = queue_[i];
    if (op.done || op.lanes < kWarpgroupSize) continue;
    const Wgmma& shape = op.shape;
    if (shape.a_in_registers)
      load_registers(op.registers, a.data());
    else
      load_operand(shape.a, shape.a_major, kM, a.data(), op.site);
    load_operand(shape.b, shape.b_major, shape.n, b.data(), op.site);
    std::vector<float>& d = op.accumulators->values;
    if (!shape.accumulate) std::fill(d.begin(), d.end(), 0.0f);
    for (int row = 0; row < kM; ++row)
      for (int k = 0; k < kK; ++k) {
        const float factor = a[k * kM + row];
        for (int column = 0; column < shape.n; ++column) d[row * shape.n + column] += factor * b[k * shape.n + column];
      }
    op.done = true;
  }
}

// All groups but the last `groups` leave the queue; accumulators that no product of the others writes are the lanes'
// again.
void Warpgroup::finish(int groups) {
  const int last = lanes_[0].committed - groups;
  size_t count = 0;
  while (count < queue_.size() && queue_[count].group[0] < last) ++count;
  run_until(count);
  for (; count > 0; --count, ++finished_) {
    const std::shared_ptr<Accumulators> matrix = std::move(queue_.front().accumulators);
    queue_.pop_front();
    const auto uses = [&](const Operation& op) { return op.accumulators == matrix; };
    if (std::any_of(queue_.begin(), queue_.end(), uses)) continue;
    for (int lane = 0; lane < kWarpgroupSize; ++lane)
      for (int i = 0; i < matrix->n / 2; ++i)
        matrix->lanes[lane][i] = matrix->values[row_of(lane, i) * matrix->n + column_of(lane, i)];
  }
}

}  // namespace sandglass::simt
