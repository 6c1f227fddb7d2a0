// What overlays of pictures and of videos have in common.
#pragma once

#include <string>
#include <string_view>

#include "face/canvas.h"
#include "infer/prediction.h"

namespace sandglass {

inline constexpr Colour kBackground{20, 22, 27}, kPanelBackground{34, 37, 44}, kTrack{58, 62, 72};
inline constexpr Colour kText{236, 238, 242}, kFaintText{150, 156, 168};

/// What an AU does, as FACS names it ("lip corner puller"); "" for an AU without an entry.
std::string_view au_title(const std::string& au);

/// As much of a text of a `height` as fits into `width` pixels, with dots where its middle is left out.
std::string shortened(const std::string& text, float height, float width);

/// Makes a face unrecognisable (face/anonymize.h) in `image`, which shows the picture at `scale` of its size: what its
/// box and its landmarks say is its head.
void anonymize(Image& image, const FacePrediction& face, float scale = 1);

}  // namespace sandglass
