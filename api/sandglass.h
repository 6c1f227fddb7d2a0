// Sandglass as a C library: the Action Units (AUs) of faces in pictures, their intensities and where they show.
//
//   sandglass_options options = sandglass_default_options();
//   sandglass_model* model = sandglass_model_open("net.safetensors", &options);
//   sandglass_context* context = sandglass_context_open(model);
//   const int faces = sandglass_read(context, rgb, height, width, 3 * (size_t)width);
//   for (int i = 0; i < faces; ++i) printf("%.2f\n", sandglass_face_at(context, i)->intensities[0]);
//   sandglass_context_close(context);
//   sandglass_model_close(model);
//
// Errors. A function that fails returns NULL or -1, and sandglass_last_error() says in one line what is wrong. No
// function throws, ends the program, or prints.
//
// Threads. A model never changes and may be used by any number of threads at once. A context is for one thread at a
// time: give each thread its own. The results of a picture are the same bits in every context of a model, whatever runs
// beside it. Threads that wait for the others of a parallel loop spin for a while, which on shared cores, or at low
// priority, can make it many times slower: set GOMP_SPINCOUNT=2000 in the environment before the program starts,
// or options.threads = 1.
//
// Ownership. What a function named ..._open returns is the caller's until it is given to the ..._close of the same
// name. A context keeps what it needs of its model, so either may be closed first. Everything else that is returned
// belongs to the library; each function says how long it is valid.
//
// Pixels are 8-bit RGB, three bytes a pixel, rows from top to bottom, `row_bytes` from one row's first byte to the
// next's, at least 3 * width. Places are x, y in pixels; (0, 0) is the centre of the top left pixel, y grows downwards.
#ifndef SANDGLASS_H
#define SANDGLASS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SANDGLASS_API __attribute__((visibility("default")))
#else
#define SANDGLASS_API
#endif

/// Version of the library that is linked, "0.1.0". Valid for ever.
SANDGLASS_API const char* sandglass_version(void);

/// What went wrong in the last call of this thread that failed; "" before the first. One line without a full stop.
/// Valid until the next call that fails in the same thread.
SANDGLASS_API const char* sandglass_last_error(void);

// ---- the model: weights and, unless it is not wanted, a face detector ----

/// How to read faces. Zero is every field's default, so that a field which a later version adds at the end has it, too:
/// begin with sandglass_default_options(), or with zeros and `size`.
typedef struct sandglass_options {
  size_t size;                 ///< sizeof(sandglass_options) as the caller was compiled
  const char* device;          ///< "cpu", "cuda", "simt"; NULL or "auto": a GPU where there is one, else the CPU
  const char* precision;       ///< "fp32", "tf32", "bf16"; NULL or "auto": bf16 on cuda, fp32 elsewhere
  const char* landmark_model;  ///< file of dlib's 68-point model; NULL: SANDGLASS_LANDMARK_MODEL, else Debian's
  int threads;         ///< threads that a context computes with on a CPU, up to 1024; 0: as OpenMP is set (all cores)
  int batch;           ///< faces of one picture that go through the network together, up to 1024; 0: 1
  int max_faces;       ///< of one picture, the largest (or first given) ones; 0: all
  int no_detection;    ///< not 0: no face detector is loaded; sandglass_read is then an error
  int heatmaps;        ///< not 0: keep the heatmaps of each face
  int mirror;          ///< not 0: means of what the network says of the face and its mirror image, in twice the time:
                       ///< a height is the mean of two maximums, and not the maximum of the mean heatmap
  float minimum_face;  ///< side in pixels of the smallest face to look for, at least 40; 0: by picture's size
  float minimum_confidence;  ///< the smallest score that counts as a face: 0 is dlib's threshold, 1 a clear face
} sandglass_options;

/// The defaults: every field 0 but `size`.
static inline sandglass_options sandglass_default_options(void) {
  sandglass_options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  return options;
}

/// Weights, settings and detector: read once, then shared by contexts in any number of threads.
typedef struct sandglass_model sandglass_model;

/// Reads the network's weights (.safetensors, .pth, .pth.tar or .onnx, told apart by content) and the face detector;
/// the latter takes half a second. `options` may be NULL: the defaults. Copies what it needs of them. NULL if a file
/// is missing or broken (a weight that is not finite, a negative variance), or an option of the detector is out of its
/// range; sandglass_context_open says what is wrong with the others.
SANDGLASS_API sandglass_model* sandglass_model_open(const char* weights, const sandglass_options* options);

/// Does nothing with NULL.
SANDGLASS_API void sandglass_model_close(sandglass_model* model);

/// K: how many Action Units the network reads. -1 if `model` is NULL.
SANDGLASS_API int sandglass_au_count(const sandglass_model* model);

/// Name of an AU, "AU06", by its number from 0 to K - 1; NULL for another. Valid until the model is closed.
SANDGLASS_API const char* sandglass_au_name(const sandglass_model* model, int au);

/// Side in pixels of the registered face that the network sees, 256 unless the weights say otherwise. -1 if `model` is
/// NULL.
SANDGLASS_API int sandglass_registered_side(const sandglass_model* model);

/// Side in pixels of a heatmap, a quarter of the registered face's; 0: the network states intensities and has no
/// heatmaps. -1 if `model` is NULL.
SANDGLASS_API int sandglass_heatmap_side(const sandglass_model* model);

// ---- the context: a network on a device, and its latest results ----

typedef struct sandglass_context sandglass_context;

/// A network ready to run, with all the memory that it will need (some 55 MB on a CPU for the paper's network; freed
/// by closing it). NULL if the device is not there or has not the memory, or an option is out of its range.
SANDGLASS_API sandglass_context* sandglass_context_open(const sandglass_model* model);

/// Does nothing with NULL.
SANDGLASS_API void sandglass_context_close(sandglass_context* context);

/// What the context runs on, for people: processor or GPU, threads. Valid until the context is closed. NULL if
/// `context` is NULL.
SANDGLASS_API const char* sandglass_context_device(const sandglass_context* context);

/// Finds the faces of a picture and reads their AUs. Returns how many there are, largest first; 0 is no error. -1 if an
/// argument is wrong (pixels NULL, a size below 1 or beyond 100 megapixels, row_bytes too small), if the model has no
/// detector, or if the network's result is not finite; the context then holds no faces, and can be used again.
SANDGLASS_API int sandglass_read(sandglass_context* context, const uint8_t* rgb, int height, int width,
                                 size_t row_bytes);

/// The same with landmarks instead of detection: [faces][68][2] x, y in picture pixels, the 68 points of the 300-W
/// markup. Results are in the order of the landmarks. -1 also if those of the chin (8) and the outer corners of the
/// eyes (36, 45) lie on one line or a landmark is not finite.
SANDGLASS_API int sandglass_read_landmarks(sandglass_context* context, const uint8_t* rgb, int height, int width,
                                           size_t row_bytes, const float* landmarks, int faces);

/// The same for a picture that is a registered face, seen as a whole. Returns 1, or -1: also if it is not a square.
SANDGLASS_API int sandglass_read_registered(sandglass_context* context, const uint8_t* rgb, int height, int width,
                                            size_t row_bytes);

/// A face of the picture that was read last. Later versions may add fields at the end.
typedef struct sandglass_face {
  float left, top, right, bottom;  ///< box in picture pixels; may reach beyond the picture
  float confidence;                ///< the detector's score, 1 is a clear face; NaN without detection
  const float* intensities;        ///< [K], 0 to 5: the heights within these limits
  const float* heights;            ///< [K] as the network says it, finite
  const float* places;     ///< [K][2] x, y of the heatmaps' peaks in picture pixels; may lie outside the picture. NULL:
                           ///< the network has no heatmaps
  const float* landmarks;  ///< [68][2] x, y in picture pixels; NULL: the picture was a registered face
  const float* heatmaps;  ///< [K][side][side], rows from top to bottom; NULL unless they were asked for. A place x of a
                          ///< heatmap is 4 x + 1.5 of the registered face, and so is y
  double to_registered[6];  ///< m: picture pixels to registered pixels, x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5
} sandglass_face;

/// A face by its number, from 0. NULL if there is none of this number. Valid, with all that it points to, until the
/// context reads again or is closed.
SANDGLASS_API const sandglass_face* sandglass_face_at(const sandglass_context* context, int face);

// ---- picture files ----

/// A picture from a file. Its rows follow each other without gaps: row_bytes is 3 * width.
typedef struct sandglass_picture {
  int height, width;   ///< pixels
  const uint8_t* rgb;  ///< height * width * 3
} sandglass_picture;

/// Reads a JPEG (turned upright as its Exif orientation says), PNG or BMP file, told apart by content. Grey becomes
/// RGB, alpha is dropped. NULL if it is missing, truncated, not a picture, or larger than 100 megapixels.
SANDGLASS_API sandglass_picture* sandglass_picture_open(const char* path);

/// Does nothing with NULL.
SANDGLASS_API void sandglass_picture_close(sandglass_picture* picture);

#ifdef __cplusplus
}
#endif

#endif
