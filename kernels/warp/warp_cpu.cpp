// A row of the output in pieces: source coordinates to pixels and weights (vectorised), the four pixels' weighted sum
// (table look-ups, not vectorised), colour (vectorised).
#include <algorithm>
#include <cmath>

#include "kernels/registry.h"
#include "kernels/warp/warp.h"

namespace sandglass {
namespace {

constexpr int kTile = 64;  // pixels of a piece, on the stack
constexpr int kColours = 3;

// The two picture rows or columns around each pixel's source coordinate.
struct Neighbours {
  int first[kTile], second[kTile];                  // inside the picture
  float first_weight[kTile], second_weight[kTile];  // 0 where the true neighbour is outside
};

// Coordinates of pixels u = begin... are step * u + origin. Double, because at x = 4000 a float is off by up to 1e-4
// pixels; computed for each pixel from its u, so that the result does not depend on where a piece begins.
void find_neighbours(double step, double origin, double shift, int begin, int count, int size, Neighbours& result) {
  for (int i = 0; i < count; ++i) {
    double place = step * (begin + i) + origin + shift;
    place = place > -1 ? place : -1;  // NaN becomes -1: outside
    place = place < size ? place : size;
    const double floor = std::floor(place);
    const int first = static_cast<int>(floor);  // -1 to size
    const float fraction = static_cast<float>(place - floor);
    result.first[i] = std::min(std::max(first, 0), size - 1);
    result.second[i] = std::min(first + 1, size - 1);
    result.first_weight[i] = first >= 0 && first < size ? 1 - fraction : 0.0f;
    result.second_weight[i] = first + 1 < size ? fraction : 0.0f;
  }
}

using Piece = float[kColours][kTile];

// Bilinear values, 0 to 255, of pixels begin... of output row v.
void sample(const WarpPicture& picture, const uint8_t* pixels, int v, int begin, int count, Piece& values) {
  const float* m = picture.matrix;
  Neighbours x, y;
  find_neighbours(m[0], double{m[1]} * v, m[2], begin, count, picture.width, x);
  find_neighbours(m[3], double{m[4]} * v, m[5], begin, count, picture.height, y);
  const int64_t row_bytes = int64_t{picture.width} * kColours;
  for (int i = 0; i < count; ++i) {
    const uint8_t* top = pixels + y.first[i] * row_bytes;
    const uint8_t* bottom = pixels + y.second[i] * row_bytes;
    const int64_t left = int64_t{x.first[i]} * kColours, right = int64_t{x.second[i]} * kColours;
    const float top_left = y.first_weight[i] * x.first_weight[i], top_right = y.first_weight[i] * x.second_weight[i];
    const float bottom_left = y.second_weight[i] * x.first_weight[i];
    const float bottom_right = y.second_weight[i] * x.second_weight[i];
    for (int c = 0; c < kColours; ++c)
      values[c][i] = top_left * top[left + c] + top_right * top[right + c] + bottom_left * bottom[left + c] +
                     bottom_right * bottom[right + c];
  }
}

void warp_cpu(const Warp& spec, const WarpArguments& arguments, Stream) {
  const TensorDesc& desc = spec.out;
  const Shape& s = desc.shape;
#pragma omp parallel for collapse(2)
  for (int n = 0; n < s.n; ++n)
    for (int v = 0; v < s.h; ++v)
      for (int begin = 0; begin < s.w; begin += kTile) {
        const WarpPicture& picture = arguments.pictures[n];
        const int count = std::min(kTile, s.w - begin);
        Piece values = {};
        if (picture.width > 0 && picture.height > 0)
          sample(picture, arguments.pixels + picture.first_byte, v, begin, count, values);
        for (int c = 0; c < desc.padded_channels(); ++c) {
          float* out = f32(arguments.out) + desc.index(n, v, begin, c);
          for (int i = 0; i < count; ++i) {
            float colour = 0;  // of padding channels
            if (c < kColours) {
              colour = values[c][i] / 255 * picture.gain + picture.offset;
              colour = colour > 0 ? colour : 0;  // also where it is NaN
              colour = colour < 1 ? colour : 1;
            }
            out[static_cast<size_t>(i) * desc.block] = colour;
          }
        }
      }
}

}  // namespace

void register_warp_cpu() { register_function<Warp>(DeviceKind::cpu, "bilinear", warp_cpu); }

}  // namespace sandglass
