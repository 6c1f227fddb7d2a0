// How threads share a pass over N x H x W x K heatmaps (plain NHWC, few channels), of which every map (n, k) has labels
// of its own: a thread keeps its map, so that it prepares them once, and goes from pixel to pixel. Neighbouring threads
// touch neighbouring addresses.
//
//   threadIdx.x: channel fastest, then pixel    blockIdx.x: pixels    blockIdx.y: channels beyond the block
//   blockIdx.z: pictures
#pragma once

#include <algorithm>

#include "engine/error.h"
#include "engine/tensor.h"
#include "kernels/cuda/target.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {

/// The maps as a kernel sees them.
struct MapSizes {
  int maps_per_picture, pixels, width;
};
inline MapSizes map_sizes(const Shape& s) { return {s.c, s.h * s.w, s.w}; }

/// Grid for one-dimensional blocks of `threads`. Throws Error for more pictures or pixels than the kernels can count.
inline dim3 map_pass(const char* operation, const Shape& s, int threads, int pixels_per_thread) {
  constexpr int kMostPictures = 65535, kMostPixels = 1 << 30;
  check(s.n <= kMostPictures && int64_t{s.h} * s.w <= kMostPixels,
        "{}: device '{}' takes at most {} pictures of {} pixels at once, got {}", operation, name_of(kTargetDevice),
        kMostPictures, kMostPixels, to_string(s));
  const int columns = std::min(s.c, threads), rows = threads / columns;
  const int64_t pixels_per_block = int64_t{rows} * pixels_per_thread;
  return dim3(static_cast<unsigned>((s.h * s.w + pixels_per_block - 1) / pixels_per_block),
              (s.c + columns - 1) / columns, s.n);
}

/// A thread's share: pixels first_pixel, first_pixel + pixel_step, ... of map n * K + k.
struct MapThread {
  bool active;      ///< false for threads that are left over: they have no map
  int column, row;  ///< of the block: threads of a column share a map
  int columns, rows;
  int64_t map;
  int first_pixel, pixel_step;
  int64_t first_element;  ///< of pixel 0
  int element_step;       ///< from a pixel to the next one

  __device__ __forceinline__ int64_t element(int pixel) const { return first_element + int64_t{pixel} * element_step; }
};

template <int kThreads>
__device__ __forceinline__ MapThread map_thread(const MapSizes& sizes) {
  const int thread = static_cast<int>(threadIdx.x), maps = sizes.maps_per_picture;
  MapThread t;
  t.columns = maps < kThreads ? maps : kThreads;
  t.rows = kThreads / t.columns;
  t.column = thread % t.columns;
  t.row = thread / t.columns;
  const int k = static_cast<int>(blockIdx.y) * t.columns + t.column;
  t.active = t.row < t.rows && k < maps;
  t.map = int64_t{blockIdx.z} * maps + k;
  t.first_pixel = static_cast<int>(blockIdx.x) * t.rows + t.row;
  t.pixel_step = static_cast<int>(gridDim.x) * t.rows;
  t.first_element = int64_t{blockIdx.z} * sizes.pixels * maps + k;
  t.element_step = maps;
  return t;
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass
