// Tensor maps and the copies of the tensor memory accelerator (TMA) from global to shared memory.
// PTX ISA 5.5, "Tensors", and 9.7.9.25.5.2, "cp.async.bulk.tensor"; CUDA driver API, "Tensor Map Object Management".
#pragma once

#include <array>
#include <cstdint>

#include "kernels/simt/warp.h"

namespace sandglass::simt {

constexpr int kMostTensorDimensions = 5;

/// What cuTensorMapEncodeTiled or cuTensorMapEncodeIm2col is told of a bfloat16 tensor, dimension 0 (contiguous) first.
struct TensorMap {
  const void* address = nullptr;
  int rank = 0;
  std::array<uint64_t, kMostTensorDimensions> dims{};
  std::array<uint64_t, kMostTensorDimensions> strides{};  ///< in bytes; of dimension 0 it is the element's size
  // Tiled: the box of a copy.
  std::array<uint32_t, kMostTensorDimensions> box{};
  // Im2col of N H W C: base pixels lie in w = lower ... W - 1 + upper, h likewise; channels and pixels of a copy.
  bool im2col = false;
  std::array<int, 2> lower{}, upper{};  ///< w, h
  int channels = 0, pixels = 0, traversal_stride = 1;
};

/// The element coordinates of a copy's corner; im2col: c, w, h, n of the first base pixel, and what is added to w and
/// h.
struct TensorCoordinates {
  std::array<int, kMostTensorDimensions> at{};
  std::array<int, 2> offset{};
};

/// Begins a copy: its bytes of shared memory are NaN from now on until it is done, some time later, and then completes
/// them at the barrier. Rows of 128 bytes are stored swizzled: bits 4-6 of each address are XORed with its bits 7-9
/// (PTX ISA 5.5.7, "Swizzling Modes"). Elements outside of the tensor are zero.
void copy_tensor(void* shared, const TensorMap& map, uint64_t* barrier, const TensorCoordinates& from, CallSite site);

}  // namespace sandglass::simt
