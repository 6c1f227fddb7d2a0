// How far from an Action Unit's points its heatmap peaks.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "face/image.h"
#include "train/metrics.h"

namespace sandglass {

/// What a network says about the pictures of a loader, and where it should. N pictures, K maps; places in map pixels.
struct Peaks {
  std::vector<float> heights;  ///< [N][K], not clamped
  std::vector<Point> places;   ///< [N][K], sub-pixel; NaN of a network without heatmaps
  std::vector<Point> points;   ///< [N][K][points_per_map]; NaN where an AU has fewer
  int points_per_map = 0;
};

/// From this intensity on a peak has a place worth measuring.
constexpr float kLeastLocalisedIntensity = 1;

/// Distance from a peak to the nearest of the AU's points, in pixels of a 64 x 64 map, whatever the network's size. A
/// pixel of it is four of the 256 x 256 registered face. NaN without a picture.
struct AuLocalisation {
  std::string au;
  int count = 0;  ///< pictures coded kLeastLocalisedIntensity or more, of an AU that has points
  double mean = 0, median = 0;
};
struct Localisation {
  std::vector<AuLocalisation> aus;
  MeanMetric mean;  ///< of the AUs' means
};

/// `labels` [N][K], below 0: not coded. `map_size`: side of the maps.
Localisation localise(const std::vector<std::string>& names, const Peaks& peaks, std::span<const float> labels,
                      int map_size);

}  // namespace sandglass
