#include "train/localisation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr double kNotDefined = std::numeric_limits<double>::quiet_NaN();

double distance_to_nearest(Point place, std::span<const Point> points) {
  double nearest = kNotDefined;  // fmin prefers what is a number
  for (const Point& point : points) {
    nearest = std::fmin(nearest, std::hypot(double{place.x} - point.x, double{place.y} - point.y));
  }
  return nearest;
}

AuLocalisation summary(const std::string& au, std::vector<double> distances) {
  AuLocalisation result{au, static_cast<int>(distances.size()), kNotDefined, kNotDefined};
  if (distances.empty()) return result;
  std::sort(distances.begin(), distances.end());
  const size_t half = distances.size() / 2;
  result.median = distances.size() % 2 ? distances[half] : (distances[half - 1] + distances[half]) / 2;
  result.mean = 0;
  for (const double distance : distances) result.mean += distance / static_cast<double>(distances.size());
  return result;
}

}  // namespace

Localisation localise(const std::vector<std::string>& names, const Peaks& peaks, std::span<const float> labels,
                      int map_size) {
  const size_t k_count = names.size(), p_count = static_cast<size_t>(peaks.points_per_map);
  check(peaks.places.size() == labels.size() && peaks.points.size() == labels.size() * p_count,
        "localisation: {} places and {} points for {} labels", peaks.places.size(), peaks.points.size(), labels.size());
  const double scale = 64.0 / map_size;
  Localisation result;
  double sum = 0;
  for (size_t k = 0; k < k_count; ++k) {
    std::vector<double> distances;
    for (size_t i = k; i < labels.size(); i += k_count) {
      if (labels[i] < kLeastLocalisedIntensity) continue;
      const double distance =
          distance_to_nearest(peaks.places[i], std::span(peaks.points).subspan(i * p_count, p_count));
      if (!std::isnan(distance)) distances.push_back(scale * distance);
    }
    result.aus.push_back(summary(names[k], std::move(distances)));
    if (result.aus.back().count == 0) continue;
    sum += result.aus.back().mean;
    ++result.mean.aus;
  }
  result.mean.value = result.mean.aus > 0 ? sum / result.mean.aus : kNotDefined;
  return result;
}

}  // namespace sandglass
