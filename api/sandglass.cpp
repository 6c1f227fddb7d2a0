#include "api/sandglass.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>

#include "engine/error.h"
#include "infer/face_reader.h"
#include "model/weights.h"

static_assert(sizeof(sandglass::Landmarks) == 2 * 68 * sizeof(float), "sandglass_face points to them as floats");

struct sandglass_picture_owner : sandglass_picture {
  sandglass::Image image;
};

namespace sandglass {
namespace {

/// What contexts share.
struct Model {
  Weights weights;
  FaceReaderOptions reader;
  std::unique_ptr<const FaceDetector> detector;
};

/// A face with the values that its sandglass_face points to.
struct FaceValues {
  explicit FaceValues(FacePrediction&& prediction);

  FacePrediction prediction;
  std::vector<float> intensities, heights, places;
  sandglass_face face{};
};

FaceValues::FaceValues(FacePrediction&& of) : prediction(std::move(of)) {
  for (const AuPrediction& au : prediction.aus) {
    intensities.push_back(au.intensity());
    heights.push_back(au.height);
    places.insert(places.end(), {au.in_picture.x, au.in_picture.y});
  }
  const bool has_places = prediction.aus.front().has_place;
  face.left = prediction.left;
  face.top = prediction.top;
  face.right = prediction.right;
  face.bottom = prediction.bottom;
  face.confidence = prediction.confidence.value_or(std::numeric_limits<float>::quiet_NaN());
  face.intensities = intensities.data();
  face.heights = heights.data();
  face.places = has_places ? places.data() : nullptr;
  face.landmarks = prediction.landmarks ? &prediction.landmarks->front().x : nullptr;
  face.heatmaps = has_places && !prediction.heatmaps.empty() ? prediction.heatmaps.data() : nullptr;
  for (size_t i = 0; i < 6; ++i) face.to_registered[i] = prediction.to_registered.m[i / 3][i % 3];
}

}  // namespace
}  // namespace sandglass

struct sandglass_model {
  std::shared_ptr<const sandglass::Model> shared;
};

struct sandglass_context {
  explicit sandglass_context(std::shared_ptr<const sandglass::Model> model)
      : model(std::move(model)), reader(this->model->weights, this->model->detector.get(), this->model->reader) {}

  const std::shared_ptr<const sandglass::Model> model;
  sandglass::FaceReader reader;
  sandglass::Image image;  // the picture without gaps between its rows
  std::vector<std::unique_ptr<const sandglass::FaceValues>> faces;
};

namespace sandglass {
namespace {

thread_local std::string last_error;

/// What `action` returns, or `failure` if it throws: no exception may leave the library.
template <typename Result, typename Action>
Result guarded(Result failure, Action&& action) noexcept {
  try {
    try {
      return action();
    } catch (const std::bad_alloc&) {
      last_error = "not enough memory";
    } catch (const std::exception& error) {
      last_error = one_line(error.what());
    } catch (...) {
      last_error = "an unknown error";
    }
  } catch (...) {  // no memory for the message
    last_error.clear();
  }
  return failure;
}

// Where the options' fields end: the sizes that they had in the versions that had fewer.
#define SANDGLASS_END(field) (offsetof(sandglass_options, field) + sizeof(sandglass_options::field))
constexpr size_t kFieldEnds[] = {
    SANDGLASS_END(device), SANDGLASS_END(precision),    SANDGLASS_END(landmark_model),    SANDGLASS_END(threads),
    SANDGLASS_END(batch),  SANDGLASS_END(max_faces),    SANDGLASS_END(no_detection),      SANDGLASS_END(heatmaps),
    SANDGLASS_END(mirror), SANDGLASS_END(minimum_face), SANDGLASS_END(minimum_confidence)};
#undef SANDGLASS_END
static_assert(std::end(kFieldEnds)[-1] == sizeof(sandglass_options));

/// The options in this version's form: fields that the caller does not know have their default.
sandglass_options known_options(const sandglass_options* given) {
  sandglass_options options = sandglass_default_options();
  if (!given) return options;
  check((given->size > sizeof options && given->size <= 4096) ||
            std::ranges::find(kFieldEnds, given->size) != std::end(kFieldEnds),
        "the options' size is {}; begin with sandglass_default_options()", given->size);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof options; i < given->size; ++i)
    check(bytes[i] == 0, "the options have a field that this version of Sandglass, {}, does not know",
          SANDGLASS_VERSION);
  std::memcpy(&options, given, std::min(given->size, sizeof options));
  return options;
}

std::string or_auto(const char* name) { return name ? name : "auto"; }

std::shared_ptr<const Model> open_model(const char* path, const sandglass_options& options) {
  auto model = std::make_shared<Model>();
  model->reader.device.name = or_auto(options.device);
  model->reader.device.precision = or_auto(options.precision);
  model->reader.threads = options.threads;
  model->reader.batch = options.batch == 0 ? 1 : options.batch;
  model->reader.max_faces = options.max_faces;
  model->reader.keep_heatmaps = options.heatmaps != 0;
  model->reader.mirror = options.mirror != 0;
  model->weights = read_weights(path);
  if (options.no_detection) return model;
  FaceDetectorOptions detection;
  if (options.landmark_model) detection.landmark_model = options.landmark_model;
  detection.minimum_face = options.minimum_face;
  detection.threshold = options.minimum_confidence;
  model->detector = std::make_unique<FaceDetector>(detection);
  return model;
}

/// Copies the caller's pixels into the context.
const Image& take_picture(sandglass_context& context, const uint8_t* rgb, int height, int width, size_t row_bytes) {
  check(rgb, "the picture's pixels are NULL");
  check(height >= 1 && width >= 1 && int64_t{height} * width <= kMaximumPixels,
        "the picture is {} x {} pixels, expected at least 1 x 1 and at most 100 megapixels", width, height);
  const size_t packed = 3 * static_cast<size_t>(width);
  check(row_bytes >= packed, "the picture's rows are {} bytes apart, expected at least {} for {} pixels", row_bytes,
        packed, width);
  Image& image = context.image;
  image.height = height;
  image.width = width;
  image.rgb.resize(packed * static_cast<size_t>(height));
  for (int y = 0; y < height; ++y) std::memcpy(image.at(y, 0), rgb + static_cast<size_t>(y) * row_bytes, packed);
  return image;
}

std::vector<Landmarks> take_landmarks(const float* values, int faces) {
  check(faces >= 0 && (values || faces == 0), "landmarks of {} faces{}", faces, values ? "" : " that are NULL");
  std::vector<Landmarks> landmarks(static_cast<size_t>(faces));
  for (size_t face = 0; face < landmarks.size(); ++face) {
    for (Point& point : landmarks[face]) {
      point = {values[0], values[1]};
      check(std::isfinite(point.x) && std::isfinite(point.y), "face {}: a landmark is not a finite number", face);
      values += 2;
    }
  }
  return landmarks;
}

/// Keeps the faces that `read` finds in the picture as the context's; returns their number, or -1.
template <typename Read>
int read_faces(sandglass_context* context, const uint8_t* rgb, int height, int width, size_t row_bytes, Read&& read) {
  return guarded(-1, [&] {
    check(context, "the context is NULL");
    context->faces.clear();
    std::vector<FacePrediction> found = read(take_picture(*context, rgb, height, width, row_bytes));
    std::vector<std::unique_ptr<const FaceValues>> faces;
    for (FacePrediction& face : found) faces.push_back(std::make_unique<const FaceValues>(std::move(face)));
    context->faces = std::move(faces);
    return static_cast<int>(context->faces.size());
  });
}

}  // namespace
}  // namespace sandglass

using namespace sandglass;

const char* sandglass_version(void) { return SANDGLASS_VERSION; }

const char* sandglass_last_error(void) { return last_error.c_str(); }

sandglass_model* sandglass_model_open(const char* weights, const sandglass_options* options) {
  return guarded<sandglass_model*>(nullptr, [&] {
    check(weights, "the path of the weights is NULL");
    return new sandglass_model{open_model(weights, known_options(options))};
  });
}

void sandglass_model_close(sandglass_model* model) { delete model; }

int sandglass_au_count(const sandglass_model* model) {
  return guarded(-1, [&] {
    check(model, "the model is NULL");
    return static_cast<int>(model->shared->weights.aus.size());
  });
}

const char* sandglass_au_name(const sandglass_model* model, int au) {
  return guarded<const char*>(nullptr, [&] {
    check(model, "the model is NULL");
    const std::vector<std::string>& names = model->shared->weights.aus;
    check(au >= 0 && static_cast<size_t>(au) < names.size(), "there is no AU {}, the model has {}", au, names.size());
    return names[static_cast<size_t>(au)].c_str();
  });
}

int sandglass_registered_side(const sandglass_model* model) {
  return guarded(-1, [&] {
    check(model, "the model is NULL");
    return model->shared->weights.config.input_size;
  });
}

int sandglass_heatmap_side(const sandglass_model* model) {
  return guarded(-1, [&] {
    check(model, "the model is NULL");
    const NetworkConfig& config = model->shared->weights.config;
    return config.head == Head::heatmap ? config.map_size() : 0;
  });
}

sandglass_context* sandglass_context_open(const sandglass_model* model) {
  return guarded<sandglass_context*>(nullptr, [&] {
    check(model, "the model is NULL");
    return new sandglass_context(model->shared);
  });
}

void sandglass_context_close(sandglass_context* context) { delete context; }

const char* sandglass_context_device(const sandglass_context* context) {
  return guarded<const char*>(nullptr, [&] {
    check(context, "the context is NULL");
    return context->reader.device_description().c_str();
  });
}

int sandglass_read(sandglass_context* context, const uint8_t* rgb, int height, int width, size_t row_bytes) {
  return read_faces(context, rgb, height, width, row_bytes,
                    [&](const Image& image) { return context->reader.read(image); });
}

int sandglass_read_landmarks(sandglass_context* context, const uint8_t* rgb, int height, int width, size_t row_bytes,
                             const float* landmarks, int faces) {
  return read_faces(context, rgb, height, width, row_bytes,
                    [&](const Image& image) { return context->reader.read(image, take_landmarks(landmarks, faces)); });
}

int sandglass_read_registered(sandglass_context* context, const uint8_t* rgb, int height, int width, size_t row_bytes) {
  return read_faces(context, rgb, height, width, row_bytes, [&](const Image& image) {
    std::vector<FacePrediction> faces;
    faces.push_back(context->reader.read_registered(image));
    return faces;
  });
}

const sandglass_face* sandglass_face_at(const sandglass_context* context, int face) {
  return guarded<const sandglass_face*>(nullptr, [&] {
    check(context, "the context is NULL");
    check(face >= 0 && static_cast<size_t>(face) < context->faces.size(), "there is no face {}, the picture has {}",
          face, context->faces.size());
    return &context->faces[static_cast<size_t>(face)]->face;
  });
}

sandglass_picture* sandglass_picture_open(const char* path) {
  return guarded<sandglass_picture*>(nullptr, [&] {
    check(path, "the path of the picture is NULL");
    auto picture = std::make_unique<sandglass_picture_owner>();
    picture->image = read_image(path);
    picture->height = picture->image.height;
    picture->width = picture->image.width;
    picture->rgb = picture->image.rgb.data();
    return picture.release();
  });
}

void sandglass_picture_close(sandglass_picture* picture) { delete static_cast<sandglass_picture_owner*>(picture); }
