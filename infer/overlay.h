// Pictures of results, for people: the photograph with the faces that were found, and beside it each registered face
// once per Action Unit, with the AU's heatmap over it, its name and its intensity.
#pragma once

#include <string>
#include <vector>

#include "infer/prediction.h"

namespace sandglass {

/// Draws a prediction whose image and heatmaps were kept; `aus` as Weights::aus. Heat is on one scale, 0 to 5, in all
/// panels. Of more than 12 faces the first 12 are drawn, and a line says so. `anonymous` makes all faces of the
/// prediction unrecognisable, in the photograph and in the panels (face/anonymize.h); the heat stays.
Image draw_overlay(const PicturePrediction& prediction, const std::vector<std::string>& aus, bool anonymous = false);

}  // namespace sandglass
