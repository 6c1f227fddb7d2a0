// One picture of a synthetic face with everything that is known about it.
#pragma once

#include <memory>

#include "face/image.h"
#include "train/synth/camera.h"
#include "train/synth/parts.h"
#include "train/synth/photo.h"
#include "train/synth/shading.h"

namespace sandglass::synth {

/// Everything that differs between the pictures of one person.
struct Scene {
  Expression expression;
  Pose pose;
  float distance = 900;            ///< camera to face, mm
  float picture_height = 250;      ///< mm that the picture shows at the face
  float shift_x = 0, shift_y = 0;  ///< of the face, parts of the picture
  Lighting lighting;
  PhotoQuality quality;
  uint64_t background = 0;  ///< stream of the background's and the noise's random numbers
};

struct Picture {
  Image image;
  Landmarks landmarks;  ///< pixels
};

/// The person number `subject`, and the scene of his picture number `index`: functions of their arguments alone.
Person make_person(uint64_t seed, int subject);
Scene make_scene(uint64_t seed, int subject, int index, const Person& person, int size);

/// Frame `index` of a video of the person: light, camera and background stay, every three seconds a random expression
/// comes and goes and the eyes blink, and the head sways.
Scene make_frame(uint64_t seed, int subject, int index, const Person& person, int size);
inline constexpr int kFramesPerSecond = 30;

/// Draws faces; keeps its buffers from one to the next. One for each thread.
class Renderer {
 public:
  Renderer();
  ~Renderer();
  /// `size` pixels in height and width. Same arguments, same bits.
  Picture render(const Person& person, const Scene& scene, int size, uint64_t seed);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace sandglass::synth
