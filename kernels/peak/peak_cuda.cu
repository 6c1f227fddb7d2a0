// Peaks on the cuda device: one block looks through all maps of a picture. Limits: plain NHWC, at most 65535 pictures
// of 2^30 pixels.
#include "kernels/peak/peak.h"

#include <climits>
#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/map_pass.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kThreads = 1024;  // a picture at a time must not take long

// A pixel and its value.
struct Candidate {
  float height;
  int pixel;
};

// Whether `a` is the peak of the two: the larger, or the first in row order of equals. NaN is below every number.
__device__ __forceinline__ bool beats(const Candidate& a, const Candidate& b) {
  const bool a_is_number = a.height == a.height, b_is_number = b.height == b.height;
  if (a_is_number != b_is_number) return a_is_number;
  if (a_is_number && a.height != b.height) return a.height > b.height;
  return a.pixel < b.pixel;
}

// Offset from the middle value to the vertex of the parabola through three values, of which it is the largest. 0 where
// there is no parabola: three equal values, or one that is not finite.
__device__ double vertex(double before, double middle, double after) {
  const double offset = 0.5 * (before - after) / (before - 2 * middle + after);
  return fabs(offset) <= 0.5 ? offset : 0.0;
}

// peaks[n][k] = height, x, y of map (n, k); maps: N x H x W x K. One block a picture.
__global__ void __launch_bounds__(kThreads) peak_block(MapSizes sizes, PeakArguments a) {
  SIMT_SHARED(Candidate, best, [kThreads]);
  const MapThread thread = map_thread<kThreads>(sizes);
  const int at = static_cast<int>(threadIdx.x);
  Candidate mine = {NAN, INT_MAX};  // which every pixel beats
  if (thread.active)
    for (int pixel = thread.first_pixel; pixel < sizes.pixels; pixel += thread.pixel_step) {
      const Candidate other = {a.maps[thread.element(pixel)], pixel};
      if (beats(other, mine)) mine = other;
    }
  best[at] = mine;
  __syncthreads();
  int half = 1;
  while (2 * half < thread.rows) half *= 2;
  for (int distance = half; distance > 0; distance /= 2) {
    if (thread.row < distance && thread.row + distance < thread.rows) {
      const Candidate other = best[at + distance * thread.columns];
      if (beats(other, best[at])) best[at] = other;
    }
    __syncthreads();
  }
  if (thread.row != 0 || !thread.active) return;

  const int pixel = best[at].pixel, width = sizes.width, x = pixel % width, y = pixel / width;
  const float* const middle = a.maps + thread.element(pixel);
  const int64_t column = thread.element_step, row = int64_t{width} * thread.element_step;
  float* const peak = a.peaks + thread.map * 3;
  peak[0] = *middle;
  peak[1] = static_cast<float>(x > 0 && x < width - 1 ? x + vertex(middle[-column], *middle, middle[column]) : x);
  peak[2] =
      static_cast<float>(y > 0 && y < sizes.pixels / width - 1 ? y + vertex(middle[-row], *middle, middle[row]) : y);
}

void peak(const Peak& spec, const PeakArguments& a, Stream stream) {
  const Shape& s = spec.maps.shape;
  check_nhwc(Peak::kName, "maps", spec.maps);
  dim3 grid = map_pass(Peak::kName, s, kThreads, 1);
  grid.x = 1;
  launch(KERNEL(peak_block), grid, kThreads, 0, stream, map_sizes(s), a);
}

}  // namespace

void SANDGLASS_REGISTER(peak)() { register_function<Peak>(kTargetDevice, "block_per_picture", peak); }

}  // namespace sandglass
