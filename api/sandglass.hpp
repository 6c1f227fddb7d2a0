// Sandglass for C++17: sandglass.h with owners, values and exceptions. There is nothing else in it, so what is compiled
// against one version of the library runs with later ones of the same major version, whatever the compiler.
//
//   sandglass::Model model("net.safetensors");
//   sandglass::Context context(model);
//   for (const sandglass::Face& face : context.read(sandglass::Picture("photo.jpg")))
//     for (size_t k = 0; k < face.aus.size(); ++k) std::cout << model.aus()[k] << ' ' << face.aus[k].intensity << '\n';
//
// Threads as in sandglass.h: a Model may be shared, a Context is for one thread at a time. All errors are
// sandglass::Error. Units, ranges and layouts are those of sandglass.h.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "sandglass.h"

namespace sandglass {
// Apart from what the library itself is made of. Named for the version, and renamed with each that changes the layout
// of a type here: plugins compiled against different versions then live in one program, each with its own.
inline namespace v0_1 {

/// What is wrong, in one line without a final full stop.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// sandglass_options, with owned texts; empty: the default.
struct Options {
  std::string device, precision, landmark_model;
  int threads = 0, batch = 1, max_faces = 0;
  bool detection = true, heatmaps = false, mirror = false;
  float minimum_face = 0, minimum_confidence = 0;
};

struct Point {
  float x = 0, y = 0;
};
using Landmarks = std::array<Point, 68>;

/// One Action Unit of a face.
struct Au {
  float intensity = 0;         ///< 0 to 5
  float height = 0;            ///< as the network says it
  std::optional<Point> place;  ///< of the heatmap's peak, in picture pixels; nothing if the network has no heatmaps
};

struct Face {
  float left = 0, top = 0, right = 0, bottom = 0;  ///< box in picture pixels
  std::optional<float> confidence;                 ///< nothing without detection
  std::optional<Landmarks> landmarks;              ///< picture pixels; nothing if the picture was a registered face
  std::vector<Au> aus;                             ///< as Model::aus()
  std::vector<float> heatmaps;                     ///< [K][side][side] if they were asked for
  std::array<double, 6> to_registered{};           ///< picture pixels to registered pixels
};

/// Pixels that someone else owns.
struct PictureView {
  const uint8_t* rgb = nullptr;
  int height = 0, width = 0;
  size_t row_bytes = 0;
};

/// A picture file in memory.
class Picture {
 public:
  explicit Picture(const std::string& path) : picture_(sandglass_picture_open(path.c_str())) {
    if (!picture_) throw Error(sandglass_last_error());
  }
  int height() const { return picture_->height; }
  int width() const { return picture_->width; }
  const uint8_t* rgb() const { return picture_->rgb; }
  operator PictureView() const { return {rgb(), height(), width(), 3 * static_cast<size_t>(width())}; }

 private:
  struct Close {
    void operator()(sandglass_picture* picture) const { sandglass_picture_close(picture); }
  };
  std::unique_ptr<sandglass_picture, Close> picture_;
};

/// Weights and, unless options.detection is false, a face detector.
class Model {
 public:
  explicit Model(const std::string& weights, const Options& options = {}) : model_(open(weights, options)) {
    const int count = sandglass_au_count(model_.get());
    for (int au = 0; au < count; ++au) aus_.emplace_back(sandglass_au_name(model_.get(), au));
  }
  const std::vector<std::string>& aus() const { return aus_; }  ///< names, "AU06"
  int registered_side() const { return sandglass_registered_side(model_.get()); }
  int heatmap_side() const { return sandglass_heatmap_side(model_.get()); }
  const sandglass_model* get() const { return model_.get(); }

 private:
  struct Close {
    void operator()(sandglass_model* model) const { sandglass_model_close(model); }
  };

  static sandglass_model* open(const std::string& weights, const Options& options) {
    const auto text = [](const std::string& value) { return value.empty() ? nullptr : value.c_str(); };
    sandglass_options given = sandglass_default_options();
    given.device = text(options.device);
    given.precision = text(options.precision);
    given.landmark_model = text(options.landmark_model);
    given.threads = options.threads;
    given.batch = options.batch;
    given.max_faces = options.max_faces;
    given.no_detection = !options.detection;
    given.heatmaps = options.heatmaps;
    given.mirror = options.mirror;
    given.minimum_face = options.minimum_face;
    given.minimum_confidence = options.minimum_confidence;
    sandglass_model* model = sandglass_model_open(weights.c_str(), &given);
    if (!model) throw Error(sandglass_last_error());
    return model;
  }

  std::unique_ptr<sandglass_model, Close> model_;
  std::vector<std::string> aus_;
};

/// A network ready to run, for one thread at a time.
class Context {
 public:
  explicit Context(const Model& model)
      : context_(sandglass_context_open(model.get())),
        aus_(model.aus().size()),
        heatmap_elements_(aus_ * static_cast<size_t>(model.heatmap_side()) *
                          static_cast<size_t>(model.heatmap_side())) {
    if (!context_) throw Error(sandglass_last_error());
  }

  /// The faces that the detector finds, largest first.
  std::vector<Face> read(const PictureView& picture) {
    return faces(sandglass_read(context_.get(), picture.rgb, picture.height, picture.width, picture.row_bytes));
  }
  /// The faces of these landmarks, in their order.
  std::vector<Face> read(const PictureView& picture, const std::vector<Landmarks>& landmarks) {
    static_assert(sizeof(Landmarks) == 2 * 68 * sizeof(float), "x and y follow each other");
    return faces(sandglass_read_landmarks(context_.get(), picture.rgb, picture.height, picture.width, picture.row_bytes,
                                          landmarks.empty() ? nullptr : &landmarks.front().front().x,
                                          static_cast<int>(landmarks.size())));
  }
  /// The picture, a square, as a registered face seen as a whole.
  Face read_registered(const PictureView& picture) {
    return faces(
               sandglass_read_registered(context_.get(), picture.rgb, picture.height, picture.width, picture.row_bytes))
        .front();
  }
  /// What it runs on, for people.
  std::string device() const { return sandglass_context_device(context_.get()); }

 private:
  struct Close {
    void operator()(sandglass_context* context) const { sandglass_context_close(context); }
  };

  std::vector<Face> faces(int count) const {
    if (count < 0) throw Error(sandglass_last_error());
    std::vector<Face> made;
    for (int i = 0; i < count; ++i) made.push_back(copy(*sandglass_face_at(context_.get(), i)));
    return made;
  }

  Face copy(const sandglass_face& from) const {
    Face face;
    face.left = from.left;
    face.top = from.top;
    face.right = from.right;
    face.bottom = from.bottom;
    if (from.confidence == from.confidence) face.confidence = from.confidence;  // not NaN
    if (from.landmarks) {
      face.landmarks.emplace();
      for (size_t i = 0; i < 68; ++i) (*face.landmarks)[i] = {from.landmarks[2 * i], from.landmarks[2 * i + 1]};
    }
    for (size_t k = 0; k < aus_; ++k) {
      face.aus.push_back({from.intensities[k], from.heights[k], std::nullopt});
      if (from.places) face.aus.back().place = Point{from.places[2 * k], from.places[2 * k + 1]};
    }
    if (from.heatmaps) face.heatmaps.assign(from.heatmaps, from.heatmaps + heatmap_elements_);
    for (size_t i = 0; i < 6; ++i) face.to_registered[i] = from.to_registered[i];
    return face;
  }

  std::unique_ptr<sandglass_context, Close> context_;
  size_t aus_, heatmap_elements_;
};

}  // namespace v0_1
}  // namespace sandglass
