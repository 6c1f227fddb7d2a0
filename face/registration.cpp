#include "face/registration.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace sandglass {

Point Affine::apply(Point point) const {
  return {static_cast<float>(m[0][0] * point.x + m[0][1] * point.y + m[0][2]),
          static_cast<float>(m[1][0] * point.x + m[1][1] * point.y + m[1][2])};
}

Landmarks Affine::apply(const Landmarks& landmarks) const {
  Landmarks moved;
  std::transform(landmarks.begin(), landmarks.end(), moved.begin(), [this](Point point) { return apply(point); });
  return moved;
}

Affine Affine::inverse() const {
  const double determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
  check(std::isfinite(determinant) && determinant != 0, "an affine map with determinant {} has no inverse",
        determinant);
  const double a = m[1][1] / determinant, b = -m[0][1] / determinant;
  const double c = -m[1][0] / determinant, d = m[0][0] / determinant;
  return {{{{a, b, -(a * m[0][2] + b * m[1][2])}, {c, d, -(c * m[0][2] + d * m[1][2])}}}};
}

Affine scaling(double scale) { return {{{{scale, 0, 0.5 * scale - 0.5}, {0, scale, 0.5 * scale - 0.5}}}}; }

Affine compose(const Affine& second, const Affine& first) {
  Affine both;
  for (int row = 0; row < 2; ++row) {
    for (int column = 0; column < 3; ++column) {
      both.m[row][column] = second.m[row][0] * first.m[0][column] + second.m[row][1] * first.m[1][column] +
                            (column == 2 ? second.m[row][2] : 0);
    }
  }
  return both;
}

namespace {

/// The affine that maps (0, 0), (1, 0), (0, 1) to the three points.
Affine triangle(const std::array<Point, 3>& points) {
  const auto [origin, first, second] = points;
  return {{{{double{first.x} - origin.x, double{second.x} - origin.x, origin.x},
            {double{first.y} - origin.y, double{second.y} - origin.y, origin.y}}}};
}

}  // namespace

Affine registration(const Landmarks& landmarks, int size) {
  check(size >= 1, "registration to a picture of {0} x {0} pixels: expected at least 1 x 1", size);
  std::array<Point, 3> from;
  for (size_t i = 0; i < from.size(); ++i) from[i] = landmarks[static_cast<size_t>(kRegistrationLandmarks[i])];
  const Affine face = triangle(from), places = triangle(kRegistrationPlaces);

  // Twice the triangle's area against its longest side: below 0.001 the face would be seen edge-on.
  const double area = std::abs(face.m[0][0] * face.m[1][1] - face.m[0][1] * face.m[1][0]);
  const double side = std::max({std::hypot(face.m[0][0], face.m[1][0]), std::hypot(face.m[0][1], face.m[1][1]),
                                std::hypot(face.m[0][0] - face.m[0][1], face.m[1][0] - face.m[1][1])});
  check(std::isfinite(side) && area > 1e-3 * side * side,
        "landmarks 8, 36 and 45 at ({}, {}), ({}, {}), ({}, {}) lie on a line or are not finite: the face cannot be "
        "registered; "
        "check the landmarks",
        from[0].x, from[0].y, from[1].x, from[1].y, from[2].x, from[2].y);

  return compose(scaling(size / 256.0), compose(places, face.inverse()));
}

Image warp_image(const ImageView& image, const Affine& to_output, int height, int width) {
  check(height >= 1 && width >= 1, "warping to a picture of {} x {} pixels: expected at least 1 x 1", width, height);
  const Affine source = to_output.inverse();
  Image output(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double from_x = source.m[0][0] * x + source.m[0][1] * y + source.m[0][2];
      const double from_y = source.m[1][0] * x + source.m[1][1] * y + source.m[1][2];
      if (!(from_x > -1 && from_x < image.width && from_y > -1 && from_y < image.height))
        continue;  // also not-a-number
      const int left = static_cast<int>(std::floor(from_x)), top = static_cast<int>(std::floor(from_y));
      const float right_share = static_cast<float>(from_x - left), bottom_share = static_cast<float>(from_y - top);
      float sum[3] = {0.5f, 0.5f, 0.5f};  // so that truncation below rounds
      for (int row = 0; row < 2; ++row) {
        for (int column = 0; column < 2; ++column) {
          if (top + row < 0 || top + row >= image.height || left + column < 0 || left + column >= image.width) continue;
          const float share = (row ? bottom_share : 1 - bottom_share) * (column ? right_share : 1 - right_share);
          const uint8_t* pixel = image.at(top + row, left + column);
          for (int channel = 0; channel < 3; ++channel) sum[channel] += share * pixel[channel];
        }
      }
      for (int channel = 0; channel < 3; ++channel) output.at(y, x)[channel] = static_cast<uint8_t>(sum[channel]);
    }
  }
  return output;
}

}  // namespace sandglass
