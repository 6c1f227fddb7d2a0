#include "kernels/simt/tensor_map.h"

#include <algorithm>
#include <cstring>

#include "engine/error.h"
#include "kernels/simt/block.h"
#include "kernels/simt/mbarrier.h"
#include "kernels/simt/thread_sanitizer.h"

namespace sandglass::simt {
namespace {

constexpr int kElementBytes = 2, kRowBytes = 128, kChunkBytes = 16;

using Coordinates = std::array<int, kMostTensorDimensions>;

// Rows of the copy in shared memory, one for each combination of all coordinates but the first; in im2col mode one for
// each base pixel.
int rows_of(const TensorMap& map) {
  if (map.im2col) return map.pixels;
  int rows = 1;
  for (int i = 1; i < map.rank; ++i) rows *= static_cast<int>(map.box[i]);
  return rows;
}

int columns_of(const TensorMap& map) { return map.im2col ? map.channels : static_cast<int>(map.box[0]); }

// The coordinates of the row's first element.
Coordinates tiled_row(const TensorMap& map, const TensorCoordinates& from, int row) {
  Coordinates at = from.at;
  for (int i = 1; i < map.rank; ++i) {
    at[i] += row % static_cast<int>(map.box[i]);
    row /= static_cast<int>(map.box[i]);
  }
  return at;
}

// Base pixels are counted through the bounding box, w first, then h, then n, from the given one on.
Coordinates im2col_row(const TensorMap& map, const TensorCoordinates& from, int row) {
  const auto positions = [&](int axis) {
    const int extent = static_cast<int>(map.dims[1 + axis]) + map.upper[axis] - map.lower[axis];
    return (extent + map.traversal_stride - 1) / map.traversal_stride;
  };
  const int wide = positions(0), high = positions(1);
  int w = (from.at[1] - map.lower[0]) / map.traversal_stride + row;
  int h = (from.at[2] - map.lower[1]) / map.traversal_stride + w / wide;
  const int n = from.at[3] + h / high;
  w %= wide;
  h %= high;
  return {from.at[0], map.lower[0] + w * map.traversal_stride + from.offset[0],
          map.lower[1] + h * map.traversal_stride + from.offset[1], n};
}

// Where the row's first element is; null if the row is outside of the tensor.
const uint8_t* row_address(const TensorMap& map, const Coordinates& at) {
  const uint8_t* address = static_cast<const uint8_t*>(map.address);
  for (int i = 1; i < map.rank; ++i) {
    if (at[i] < 0 || static_cast<uint64_t>(at[i]) >= map.dims[i]) return nullptr;
    address += at[i] * map.strides[i];
  }
  return address + int64_t{at[0]} * kElementBytes;
}

void copy_now(uint8_t* shared, uint32_t shared_address, const TensorMap& map, const TensorCoordinates& from) {
  const int rows = rows_of(map), columns = kRowBytes / kElementBytes;
  for (int row = 0; row < rows; ++row) {
    const Coordinates at = map.im2col ? im2col_row(map, from, row) : tiled_row(map, from, row);
    const uint8_t* const source = row_address(map, at);
    const int begin = std::clamp(-at[0], 0, columns);
    const int end = source ? std::clamp(static_cast<int>(map.dims[0]) - at[0], begin, columns) : begin;
    std::array<uint8_t, kRowBytes> bytes{};
    if (end > begin)
      std::memcpy(&bytes[begin * kElementBytes], source + begin * kElementBytes, (end - begin) * kElementBytes);
    for (int chunk = 0; chunk < kRowBytes; chunk += kChunkBytes) {
      const uint32_t address = shared_address + row * kRowBytes + chunk;
      const uint32_t swizzled = address ^ (address >> 7 & 7) << 4;
      std::memcpy(shared + (swizzled - shared_address), &bytes[chunk], kChunkBytes);
    }
  }
}

}  // namespace

void copy_tensor(void* shared, const TensorMap& map, uint64_t* barrier, const TensorCoordinates& from, CallSite site) {
  Block& block = *Block::running();
  check_mbarrier_for_copy(barrier, site);
  const int bytes = rows_of(map) * kRowBytes;
  const uint32_t address = block.shared_memory().address(shared);
  check(address % 1024 == 0,
        "cp.async.bulk.tensor ({}): the shared address {:#x} is not a multiple of 1024, where the swizzle's pattern "
        "begins",
        to_text(site), address);
  auto* const memory = static_cast<uint8_t*>(block.shared_memory().at(address, bytes));
  check(columns_of(map) * kElementBytes == kRowBytes, "cp.async.bulk.tensor ({}): rows of {} bytes, {} are swizzled",
        to_text(site), columns_of(map) * kElementBytes, kRowBytes);
  if (map.im2col)
    for (int axis : {0, 1}) {
      const int place = from.at[1 + axis] - map.lower[axis];
      check(place >= 0 && place % map.traversal_stride == 0 &&
                from.at[1 + axis] <= static_cast<int>(map.dims[1 + axis]) - 1 + map.upper[axis],
            "cp.async.bulk.tensor ({}): the first base pixel (w {}, h {}) is not one of the bounding box",
            to_text(site), from.at[1], from.at[2]);
    }
  const Unwatched unwatched;
  std::memset(memory, 0xff, bytes);
  block.later([=] {
    copy_now(memory, address, map, from);
    mbarrier_complete(barrier, bytes);
  });
}

}  // namespace sandglass::simt
