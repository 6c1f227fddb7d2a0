// Faces to look at: registered pictures with each Action Unit's heatmap over them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "face/image.h"
#include "model/inference_network.h"
#include "train/manifest.h"

namespace sandglass {

/// One face as a network sees it.
struct ExampleFace {
  int row = 0;                     ///< index into Manifest::rows
  std::vector<float> intensities;  ///< [K], clamped to 0-5
  std::vector<Image> panels;  ///< [K], kPanelSide x kPanelSide: the face in grey, the heatmap, a cross at its peak;
                              ///< of networks without heatmaps the face alone
};
constexpr int kPanelSide = 160;

/// Runs rows of a manifest (all with landmarks) through the network, in whatever number. `aus`: of the network's maps.
std::vector<ExampleFace> example_faces(const Manifest& manifest, std::span<const int> rows,
                                       const std::vector<std::string>& aus, InferenceNetwork& network);

/// Up to `count` rows evenly spread over a manifest.
std::vector<int> spread_rows(const Manifest& manifest, int count);

/// Up to `count` rows whose intensities are predicted best (or worst): the mean absolute error over the AUs that are
/// coded, one picture a subject as neighbours in a video look alike. Of the best only rows in which an AU is coded
/// `threshold` or more (if there are any): a face without expression is easy. `predictions`, `labels`: [N][K].
std::vector<int> best_rows(const Manifest& manifest, std::span<const float> predictions, std::span<const float> labels,
                           double threshold, int count);
std::vector<int> worst_rows(const Manifest& manifest, std::span<const float> predictions, std::span<const float> labels,
                            int count);

/// The given rows of a manifest, in that order.
Manifest select_rows(const Manifest& manifest, std::span<const int> rows);

/// A picture as a file in memory: JPEG, or PNG in a build that cannot write it; and the same as
/// "data:image/...;base64,..." for a page.
std::string encode_for_page(const Image& image);
std::string data_uri(const Image& image);

}  // namespace sandglass
