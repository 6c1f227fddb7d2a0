// Registration: the paper's affine that brings every face to the same place in a square picture (arXiv 1805.03487; the
// three places are those of the authors' demo).
//
// Pixel centres: all coordinates are those of Point, (0, 0) being the centre of the top left pixel. The places are
// defined in a 256 x 256 picture; a picture of `size` pixels a side covers the same area, so a place x of the 256
// picture lies at (x + 0.5) * size / 256 - 0.5 in it.
#pragma once

#include <array>

#include "face/image.h"

namespace sandglass {

/// An affine map of the plane: x' = m[0][0] x + m[0][1] y + m[0][2], y' = m[1][0] x + m[1][1] y + m[1][2].
struct Affine {
  std::array<std::array<double, 3>, 2> m{{{1, 0, 0}, {0, 1, 0}}};

  Point apply(Point point) const;
  Landmarks apply(const Landmarks& landmarks) const;
  /// The map that undoes this one. Throws Error where there is none (the determinant is 0 or not finite).
  Affine inverse() const;
};

/// Pixels of a picture to those of the same picture `scale` times as large.
Affine scaling(double scale);

/// The map that first applies `first`, then `second`.
Affine compose(const Affine& second, const Affine& first);

/// Landmarks that registration rests on (chin and the outer corners of the eyes) and their places in a 256 x 256
/// picture.
inline constexpr std::array<int, 3> kRegistrationLandmarks{8, 36, 45};
inline constexpr std::array<Point, 3> kRegistrationPlaces{
    {{127.6475f, 227.8161f}, {79.1608f, 87.0376f}, {176.8392f, 87.0376f}}};

/// The affine that maps picture pixels to pixels of the registered face of `size` x `size` pixels: landmarks 8, 36 and
/// 45 go exactly to their places. Throws Error if they lie on one line, coincide or are not finite, or if size < 1.
Affine registration(const Landmarks& landmarks, int size = 256);

/// The picture of `height` x `width` pixels whose pixel p shows what lies at to_output^-1(p) in `image`: bilinear
/// between the four nearest pixels, pixels outside `image` being black; results are rounded to the nearest. (No
/// low-pass filter where the map shrinks, as in the paper.) Throws Error if the map has no inverse or a size is
/// below 1.
Image warp_image(const ImageView& image, const Affine& to_output, int height, int width);

}  // namespace sandglass
