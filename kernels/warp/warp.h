// From stored 8-bit pictures to the network's input: affine map, bilinear interpolation, colour, [0, 1].
//
// Output pixel (u, v) looks at the source place (x, y) = (m0*u + m1*v + m2, m3*u + m4*v + m5), pixel centres at
// integers; the four pixels around it are weighted bilinearly, those outside the picture are black (the paper's
// registration). Then
//
//   out[n,v,u,c] = clamp( value / 255 * gain + offset, 0, 1 )
// A mirrored face is a matrix with m0 < 0. Rotation, scale and shift are in the matrix as well. Source places are
// computed in double. A picture of no pixels is black, and a colour that is not a number is 0. That a picture lies
// within the byte buffer is the caller's to check.
#pragma once

#include "kernels/operation.h"

namespace sandglass {

/// One source picture and what happens to it.
struct WarpPicture {
  int64_t first_byte = 0;         ///< of its RGB pixels (rows without padding, HWC) in the batch's byte buffer
  int32_t height = 0, width = 0;  ///< pixels
  float matrix[6] = {1, 0, 0, 0, 1, 0};
  float gain = 1, offset = 0;  ///< contrast and brightness
};

struct WarpArguments {
  const uint8_t* pixels = nullptr;        ///< all source pictures
  const WarpPicture* pictures = nullptr;  ///< [N]
  void* out = nullptr;                    ///< N x H x W x 3
};

struct Warp {
  using Arguments = WarpArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "warp";
  TensorDesc out;  ///< C = 3
  std::vector<TensorDesc> maps() const { return {out}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

namespace reference {
/// One picture, out: H x W x 3. For tests only.
void warp(const WarpPicture& picture, const uint8_t* pixels, int height, int width, double* out);
}  // namespace reference

}  // namespace sandglass
