#include "face/anonymize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace sandglass {
namespace {

constexpr int kFields = 8;     // a side
constexpr float kGrow = 1.2f;  // ears lie beyond the landmarks

// The convex hull, by Andrew's monotone chain.
std::vector<Point> convex_hull(std::vector<Point> points) {
  const auto cross = [](Point o, Point a, Point b) { return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x); };
  std::sort(points.begin(), points.end(), [](Point a, Point b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
  std::vector<Point> hull;
  for (int side = 0; side < 2; ++side) {
    const size_t first = hull.size();
    for (const Point point : points) {
      while (hull.size() >= first + 2 && cross(hull[hull.size() - 2], hull.back(), point) <= 0) hull.pop_back();
      hull.push_back(point);
    }
    hull.pop_back();  // the other side begins with it
    std::reverse(points.begin(), points.end());
  }
  return hull;
}

struct Rectangle {
  int left, top, width, height;
};

// The pixels that hold the outline, within `all`; all of them where the outline is not finite: what cannot be placed
// must not be shown.
Rectangle bounds_of(std::span<const Point> outline, const Rectangle& all) {
  float left = std::numeric_limits<float>::infinity(), top = left, right = -left, bottom = -left;
  for (const Point point : outline) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) return all;
    left = std::min(left, point.x);
    right = std::max(right, point.x);
    top = std::min(top, point.y);
    bottom = std::max(bottom, point.y);
  }
  const auto pixel = [](float place, int size) {
    return static_cast<int>(std::clamp(place, 0.0f, static_cast<float>(size)));
  };
  const int first_x = pixel(std::floor(left), all.width), first_y = pixel(std::floor(top), all.height);
  return {first_x, first_y, pixel(std::ceil(right) + 1, all.width) - first_x,
          pixel(std::ceil(bottom) + 1, all.height) - first_y};
}

// The pixels of a row from `begin` to before `end` that lie within the outline; all of `area` where it is not finite.
struct RowSpan {
  int begin, end;
};
RowSpan span_of(std::span<const Point> outline, float y, const Rectangle& area) {
  const float first = static_cast<float>(area.left), behind = static_cast<float>(area.left + area.width);
  float left = behind, right = first - 1;
  for (size_t i = 0; i < outline.size(); ++i) {
    const Point a = outline[i], b = outline[(i + 1) % outline.size()];
    if (!std::isfinite(a.x) || !std::isfinite(a.y)) return {area.left, area.left + area.width};
    if (y < std::min(a.y, b.y) || y > std::max(a.y, b.y)) continue;
    const float x = a.y == b.y ? a.x : a.x + (b.x - a.x) * (y - a.y) / (b.y - a.y);
    left = std::min(left, x);
    right = std::max(right, x);
  }
  return {static_cast<int>(std::clamp(std::floor(left), first, behind)),
          static_cast<int>(std::clamp(std::ceil(right) + 1, first, behind))};
}

using Rgb = std::array<float, 3>;

Rgb mixed(const Rgb& a, const Rgb& b, float share) {
  return {a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share};
}

// Of one of the fields that an area is divided into; of at least one pixel.
Rgb mean_of_field(const Image& image, const Rectangle& area, int row, int column) {
  const int top = row * area.height / kFields, bottom = std::max(top + 1, (row + 1) * area.height / kFields);
  const int left = column * area.width / kFields, right = std::max(left + 1, (column + 1) * area.width / kFields);
  std::array<int64_t, 3> sums{};
  for (int y = top; y < bottom; ++y) {
    const uint8_t* pixel = image.at(area.top + y, area.left + left);
    for (int x = left; x < right; ++x, pixel += 3)
      for (size_t c = 0; c < 3; ++c) sums[c] += pixel[c];
  }
  const float count = static_cast<float>((bottom - top) * (right - left));
  return {static_cast<float>(sums[0]) / count, static_cast<float>(sums[1]) / count,
          static_cast<float>(sums[2]) / count};
}

// Between the centres of which two fields a pixel lies, and how near to the second.
struct Between {
  size_t first;
  float share;
};
Between between_fields(int pixel, int size) {
  const float place = (static_cast<float>(pixel) + 0.5f) * kFields / static_cast<float>(size) - 0.5f;
  const float inside = std::clamp(place, 0.0f, static_cast<float>(kFields - 1));
  const size_t first = std::min(static_cast<size_t>(inside), static_cast<size_t>(kFields - 2));
  return {first, inside - static_cast<float>(first)};
}

}  // namespace

std::vector<Point> head_outline(const Landmarks& landmarks) {
  const Point chin = landmarks[8],
              brow{(landmarks[19].x + landmarks[24].x) / 2, (landmarks[19].y + landmarks[24].y) / 2};
  const Point up{(brow.x - chin.x) * 0.45f, (brow.y - chin.y) * 0.45f};  // the forehead, up to the hair
  std::vector<Point> points(landmarks.begin(), landmarks.end());
  for (size_t i = 17; i < 27; ++i) points.push_back({landmarks[i].x + up.x, landmarks[i].y + up.y});
  std::erase_if(points, [](Point point) { return !std::isfinite(point.x) || !std::isfinite(point.y); });
  std::vector<Point> outline = convex_hull(std::move(points));
  const Point centre{(chin.x + brow.x + up.x) / 2, (chin.y + brow.y + up.y) / 2};
  for (Point& point : outline)
    point = {centre.x + (point.x - centre.x) * kGrow, centre.y + (point.y - centre.y) * kGrow};
  return outline;
}

std::vector<Point> head_outline(float left, float top, float right, float bottom) {
  const float x = (right - left) * (kGrow - 1), y = (bottom - top) * (kGrow - 1);
  return {{left - x, top - y}, {right + x, top - y}, {right + x, bottom + y}, {left - x, bottom + y}};
}

void anonymize(Image& image, std::span<const Point> outline) {
  const Rectangle all{0, 0, image.width, image.height};
  const Rectangle area = bounds_of(outline, all);
  if (area.width <= 0 || area.height <= 0) return;
  std::array<std::array<Rgb, kFields>, kFields> means;
  for (int row = 0; row < kFields; ++row)
    for (int column = 0; column < kFields; ++column)
      means[static_cast<size_t>(row)][static_cast<size_t>(column)] = mean_of_field(image, area, row, column);

  for (int y = 0; y < area.height; ++y) {
    const Between down = between_fields(y, area.height);
    std::array<Rgb, kFields> line;
    for (size_t column = 0; column < kFields; ++column)
      line[column] = mixed(means[down.first][column], means[down.first + 1][column], down.share);
    const RowSpan span = span_of(outline, static_cast<float>(area.top + y), area);
    for (int x = span.begin; x < span.end; ++x) {
      const Between across = between_fields(x - area.left, area.width);
      const Rgb colour = mixed(line[across.first], line[across.first + 1], across.share);
      for (size_t c = 0; c < 3; ++c) image.at(area.top + y, x)[c] = static_cast<uint8_t>(colour[c] + 0.5f);
    }
  }
}

}  // namespace sandglass
