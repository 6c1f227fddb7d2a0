#include "infer/au_choice.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "face/au_points.h"

namespace sandglass {
namespace {

// A network may have maps with other names than AU and a number.
std::string normalised(const std::string& name) {
  try {
    return normalise_au_name(name);
  } catch (const Error&) {
    return name;
  }
}

}  // namespace

AuChoice::AuChoice(const std::vector<std::string>& asked, const Weights& weights, const std::string& source) {
  for (const std::string& name : asked) {
    const auto found = std::ranges::find(weights.aus, normalised(name), normalised);
    check(found != weights.aus.end(), "{}: reads {}, not {}; leave it out of --aus, or name other weights", source,
          fmt::join(weights.aus, ", "), normalised(name));
    check(std::ranges::find(names_, *found) == names_.end(), "--aus names {} twice", *found);
    names_.push_back(*found);
    places_.push_back(static_cast<size_t>(found - weights.aus.begin()));
  }
  if (asked.empty()) names_ = weights.aus;
}

void AuChoice::apply(PicturePrediction& prediction) const {
  if (places_.empty()) return;
  for (FacePrediction& face : prediction.faces) {
    const size_t pixels = face.heatmaps.size() / face.aus.size();
    std::vector<AuPrediction> aus;
    std::vector<float> heatmaps;
    for (const size_t place : places_) {
      aus.push_back(face.aus[place]);
      const auto map = face.heatmaps.begin() + static_cast<ptrdiff_t>(place * pixels);
      heatmaps.insert(heatmaps.end(), map, map + static_cast<ptrdiff_t>(pixels));
    }
    face.aus = std::move(aus);
    face.heatmaps = std::move(heatmaps);
  }
}

}  // namespace sandglass
