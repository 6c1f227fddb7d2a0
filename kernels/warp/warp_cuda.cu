// Warp on the cuda device: a thread per output pixel, which is written once. Limits: NHWC whose pixels have 3 channels
// or more (padding), at most 65535 pictures of 2^30 pixels; output aligned to a pixel where that has 4.
#include "kernels/warp/warp.h"

#include "kernels/cuda/channels.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kThreads = 256, kColours = 3;

// The two picture rows or columns around a source coordinate.
struct Neighbours {
  int first, second;                  // inside the picture
  float first_weight, second_weight;  // 0 where the true neighbour is outside
};

__device__ __forceinline__ Neighbours find_neighbours(double place, int size) {
  place = place > -1 ? place : -1;  // NaN becomes -1: outside
  place = place < size ? place : size;
  const double whole = floor(place);
  const int first = static_cast<int>(whole);  // -1 to size
  const float fraction = static_cast<float>(place - whole);
  Neighbours result;
  result.first = first < 0 ? 0 : first < size ? first : size - 1;
  result.second = first + 1 < size ? first + 1 : size - 1;
  result.first_weight = first >= 0 && first < size ? 1 - fraction : 0.0f;
  result.second_weight = first + 1 < size ? fraction : 0.0f;
  return result;
}

// Bilinear value, 0 to 255, of each colour at (x, y) of a picture that has pixels; x and y in double, because at x =
// 4000 a float is off by up to 1e-4 pixels.
__device__ __forceinline__ Channels<4> sample(const WarpPicture& picture, const uint8_t* pixels, double x, double y) {
  const Neighbours columns = find_neighbours(x, picture.width), rows = find_neighbours(y, picture.height);
  const int64_t row_bytes = int64_t{picture.width} * kColours;
  const uint8_t* const top = pixels + picture.first_byte + rows.first * row_bytes;
  const uint8_t* const bottom = pixels + picture.first_byte + rows.second * row_bytes;
  const int64_t left = int64_t{columns.first} * kColours, right = int64_t{columns.second} * kColours;
  const float top_left = rows.first_weight * columns.first_weight;
  const float top_right = rows.first_weight * columns.second_weight;
  const float bottom_left = rows.second_weight * columns.first_weight;
  const float bottom_right = rows.second_weight * columns.second_weight;
  Channels<4> value = {};
#pragma unroll
  for (int c = 0; c < kColours; ++c)
    value.v[c] = top_left * top[left + c] + top_right * top[right + c] + bottom_left * bottom[left + c] +
                 bottom_right * bottom[right + c];
  return value;
}

// out[n,v,u,c] = clamp(value / 255 * gain + offset, 0, 1) of picture n = blockIdx.y at matrix * (u, v, 1); out: N x
// height x width pixels of `channels` elements, those beyond 3 are zero.
template <typename T, bool kFour>
__global__ void __launch_bounds__(kThreads) warp_bilinear(int height, int width, int channels, WarpArguments a) {
  const int pixel = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (pixel >= height * width) return;
  const int u = pixel % width, v = pixel / width;
  const WarpPicture& picture = a.pictures[blockIdx.y];
  const float* const m = picture.matrix;
  Channels<4> colour = {};
  if (picture.width > 0 && picture.height > 0)
    colour = sample(picture, a.pixels, double{m[0]} * u + double{m[1]} * v + m[2],
                    double{m[3]} * u + double{m[4]} * v + m[5]);
#pragma unroll
  for (int c = 0; c < kColours; ++c) {
    float value = colour.v[c] / 255 * picture.gain + picture.offset;
    value = value > 0 ? value : 0;  // also where it is NaN
    colour.v[c] = value < 1 ? value : 1;
  }
  T* const out = static_cast<T*>(a.out) + (int64_t{blockIdx.y} * height * width + pixel) * channels;
  if constexpr (kFour) {
    store(out, colour);
  } else {
#pragma unroll
    for (int c = 0; c < kColours; ++c) out[c] = static_cast<T>(colour.v[c]);
    for (int c = kColours; c < channels; ++c) out[c] = static_cast<T>(0.0f);
  }
}

template <typename T>
void launch_warp(const Shape& s, int channels, const WarpArguments& a, Stream stream) {
  launch(channels == 4 ? KERNEL(warp_bilinear<T, true>) : KERNEL(warp_bilinear<T, false>),
         dim3((s.h * s.w + kThreads - 1) / kThreads, s.n), kThreads, 0, stream, s.h, s.w, channels, a);
}

void warp(const Warp& spec, const WarpArguments& a, Stream stream) {
  constexpr int kMostPictures = 65535, kMostPixels = 1 << 30;
  const Shape& s = spec.out.shape;
  const int channels = spec.out.block;
  check(spec.out.blocks() == 1, "{}: out has its colours in blocks of {}; device '{}' works on NHWC", Warp::kName,
        channels, name_of(kTargetDevice));
  check(s.n <= kMostPictures && int64_t{s.h} * s.w <= kMostPixels,
        "{}: device '{}' takes at most {} pictures of {} pixels at once, got {}", Warp::kName, name_of(kTargetDevice),
        kMostPictures, kMostPixels, to_string(s));
  if (channels == 4) check_aligned(Warp::kName, 4, {a.out}, spec.out.type);
  if (spec.out.type == DataType::bfloat16)
    launch_warp<bfloat16>(s, channels, a, stream);
  else
    launch_warp<float>(s, channels, a, stream);
}

}  // namespace

void SANDGLASS_REGISTER(warp)() { register_function<Warp>(kTargetDevice, "bilinear", warp); }

}  // namespace sandglass
