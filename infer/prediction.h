// What inference says about pictures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "face/image.h"
#include "face/registration.h"

namespace sandglass {

/// One Action Unit of one face: height and place of its heatmap's maximum. A network that states intensities
/// (Head::regression) gives a height alone.
struct AuPrediction {
  float height = 0;       ///< as the network says it; finite
  Point in_registered;    ///< pixels of the registered face, sub-pixel
  Point in_picture;       ///< pixels of the picture, (0, 0) being the centre of the top left one; may lie outside it
  bool has_place = true;  ///< false: the two points mean nothing

  bool operator==(const AuPrediction&) const = default;

  /// The height clamped to 0-5.
  float intensity() const { return std::clamp(height, 0.0f, 5.0f) + 0.0f; }  // + 0: no negative zero
};

/// One face of a picture.
struct FacePrediction {
  /// The face's number: in a video the same for the same face in all frames, in a picture its place in `faces`.
  int id = 0;
  float left = 0, top = 0, right = 0, bottom = 0;  ///< box in picture pixels; of given landmarks their bounds
  std::optional<float> confidence;                 ///< the detector's (face/detector.h); nothing without detection
  std::optional<Landmarks> landmarks;              ///< picture pixels; nothing if the picture was a registered face
  Affine to_registered;                            ///< picture pixels to registered pixels
  std::vector<AuPrediction> aus;                   ///< as Weights::aus
  std::vector<float> heatmaps;                     ///< [K][H][W] if they were asked for
};

/// Which frame of a video a picture is.
struct FrameTime {
  int64_t number = 0;       ///< counted from 0 over all frames of the video, also those that are not read
  double seconds = 0;       ///< when it is shown, from the video's beginning
  double end = 0;           ///< when what is read of the video ends, as its header tells; 0: unknown
  double rate = 0;          ///< of the frames that are read, a second, on average; 0: unknown
  bool is_damaged = false;  ///< as VideoFrame's: what is read from it may be wrong
};

/// One picture: a file, or a frame of a video.
struct PicturePrediction {
  size_t input = 0;                   ///< its number in the list of inputs
  std::filesystem::path path;         ///< as the user gave it, or found in a folder
  std::optional<FrameTime> frame;     ///< of a video
  std::string error;                  ///< why it could not be read; then there are no faces
  bool is_video_end = false;          ///< no picture: `error` says why the rest of a video, or all of it, is missing
  int height = 0, width = 0;          ///< pixels
  std::vector<FacePrediction> faces;  ///< largest first, or as the landmarks were given; none is no error
  Image image;                        ///< the picture itself if it was asked for
};

}  // namespace sandglass
