// Tensor maps, made on the host: by the CUDA driver for the cuda device, as a plain description for simt.
#include "kernels/cuda/tensor_map.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/error.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {
namespace {

constexpr int kElementBytes = 2;

void check_address(const void* tensor) {
  check(reinterpret_cast<uintptr_t>(tensor) % 16 == 0, "tensor map: the address {} is not a multiple of 16", tensor);
}

void check_stride(int64_t bytes) {
  check(bytes % 16 == 0 && bytes < int64_t{1} << 40, "tensor map: a stride of {} bytes, it must be a multiple of 16",
        bytes);
}

void check_size(int64_t size) {
  check(size >= 1 && size <= int64_t{1} << 32, "tensor map: a dimension of {}, it must be 1 to 2^32", size);
}

#ifdef __CUDACC__
// The driver's functions are found at run time, so that nothing is linked to libcuda.
template <typename Function>
Function* driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  constexpr unsigned kSince = 12000;
  const cudaError_t result = cudaGetDriverEntryPointByVersion(name, &function, kSince, cudaEnableDefault, &found);
#else
  const cudaError_t result = cudaGetDriverEntryPoint(name, &function, cudaEnableDefault, &found);
#endif
  check(result == cudaSuccess && found == cudaDriverEntryPointSuccess && function,
        "CUDA: the driver has no {}; it must be of CUDA 12 or later", name);
  return reinterpret_cast<Function*>(function);
}
#endif

}  // namespace

TensorMap tiled_tensor_map(const void* tensor, std::initializer_list<int64_t> dims, std::initializer_list<int> box) {
  constexpr int kMostDimensions = 5, kMostBox = 256;
  const int rank = static_cast<int>(dims.size());
  check(rank >= 2 && rank <= kMostDimensions && box.size() == dims.size(),
        "tensor map: {} dimensions and a box of {}; both must be the same, 2 to {}", rank, box.size(), kMostDimensions);
  check(*box.begin() == kTensorRow, "tensor map: a box of {} contiguous elements, it must be {}", *box.begin(),
        kTensorRow);
  for (int size : box) check(size >= 1 && size <= kMostBox, "tensor map: a box of {}, at most {}", size, kMostBox);
  check_address(tensor);
  std::array<uint64_t, kMostDimensions> sizes{}, strides{kElementBytes};
  std::array<uint32_t, kMostDimensions> boxes{}, steps;
  steps.fill(1);
  std::copy(dims.begin(), dims.end(), sizes.begin());
  std::copy(box.begin(), box.end(), boxes.begin());
  for (int64_t size : dims) check_size(size);
  for (int i = 1; i < rank; ++i) {
    strides[i] = strides[i - 1] * sizes[i - 1];
    check_stride(static_cast<int64_t>(strides[i]));
  }
#ifdef __CUDACC__
  static auto* const encode = driver_function<decltype(cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  TensorMap map;
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(rank), const_cast<void*>(tensor),
             reinterpret_cast<const cuuint64_t*>(sizes.data()), reinterpret_cast<const cuuint64_t*>(&strides[1]),
             boxes.data(), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  check(result == CUDA_SUCCESS, "CUDA: cuTensorMapEncodeTiled(address {}, rank {}) failed with error {}", tensor, rank,
        static_cast<int>(result));
  return map;
#else
  return {.address = tensor, .rank = rank, .dims = sizes, .strides = strides, .box = boxes};
#endif
}

TensorMap im2col_tensor_map(const void* tensor, const Shape& shape, int filter, int stride, int padding, int pixels) {
  constexpr int kMostPixels = 1024, kMostStride = 8, kCorner = 128;
  check_address(tensor);
  const std::array<int64_t, 4> dims = {shape.c, shape.w, shape.h, shape.n};
  for (int64_t size : dims) check_size(size);
  check(pixels >= 1 && pixels <= kMostPixels && stride >= 1 && stride <= kMostStride,
        "tensor map: copies of {} pixels with stride {}; at most {} and {}", pixels, stride, kMostPixels, kMostStride);
  // The first tap meets w = -padding ... W - 1 + padding - (filter - 1). One number for both directions, so that it
  // does not matter in which order the driver takes them (its documentation and its users disagree).
  const int lower = -padding, upper = padding - (filter - 1);
  check(lower >= -kCorner && lower < kCorner && upper >= -kCorner && upper < kCorner,
        "tensor map: corners {} and {} of the bounding box, they must be -128 to 127", lower, upper);
  check(shape.w + upper - lower >= 1 && shape.h + upper - lower >= 1, "tensor map: the bounding box is empty");
  std::array<uint64_t, 4> strides{kElementBytes};
  for (size_t i = 1; i < strides.size(); ++i) {
    strides[i] = strides[i - 1] * static_cast<uint64_t>(dims[i - 1]);
    check_stride(static_cast<int64_t>(strides[i]));
  }
#ifdef __CUDACC__
  static auto* const encode = driver_function<decltype(cuTensorMapEncodeIm2col)>("cuTensorMapEncodeIm2col");
  const std::array<cuuint64_t, 4> sizes = {static_cast<cuuint64_t>(shape.c), static_cast<cuuint64_t>(shape.w),
                                           static_cast<cuuint64_t>(shape.h), static_cast<cuuint64_t>(shape.n)};
  const std::array<int, 2> lowers = {lower, lower}, uppers = {upper, upper};
  const auto step = static_cast<cuuint32_t>(stride);
  const std::array<cuuint32_t, 4> steps = {1, step, step, 1};
  TensorMap map;
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<void*>(tensor), sizes.data(),
             reinterpret_cast<const cuuint64_t*>(&strides[1]), lowers.data(), uppers.data(), kTensorRow,
             static_cast<cuuint32_t>(pixels), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  check(result == CUDA_SUCCESS, "CUDA: cuTensorMapEncodeIm2col(address {}, {}) failed with error {}", tensor,
        to_string(shape), static_cast<int>(result));
  return map;
#else
  TensorMap map{.address = tensor, .rank = 4, .im2col = true, .lower = {lower, lower}, .upper = {upper, upper}};
  std::copy(dims.begin(), dims.end(), map.dims.begin());
  std::copy(strides.begin(), strides.end(), map.strides.begin());
  map.channels = kTensorRow;
  map.pixels = pixels;
  map.traversal_stride = stride;
  return map;
#endif
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
