#include <fmt/ranges.h>

#include <chrono>
#include <cstdio>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "engine/error.h"
#include "infer/overlay.h"
#include "infer/pipeline.h"
#include "infer/results.h"
#include "train/manifest.h"

namespace sandglass {
namespace {

struct InferFlags {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path weights, csv, json, overlay, heatmaps, landmarks;
  InferenceOptions options;
  bool quiet = false;
};

// A manifest (or any CSV with its columns `image` and x_0 ... y_67), an imglab XML, or a folder of .pts files.
GivenLandmarks read_landmarks(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return GivenLandmarks::from_pts_folder(path);
  if (path.extension() == ".xml") return GivenLandmarks::from_imglab(path);
  check(path.extension() == ".csv", "{}: landmarks are read from a .csv or imglab .xml file or a folder of .pts files",
        path.string());
  const Manifest manifest = read_manifest(path, false);
  GivenLandmarks given(path.string());
  bool any = false;
  for (const ManifestRow& row : manifest.rows) {
    given.add_picture(manifest.image_path(row));
    if (row.landmarks) given.add_face(manifest.image_path(row), *row.landmarks);
    any = any || row.landmarks.has_value();
  }
  check(any, "{}: has no landmarks; expected the columns x_0 to x_67 and y_0 to y_67", path.string());
  return given;
}

// What happened to the inputs.
struct Tally {
  int pictures = 0, faces = 0, without_face = 0;
  std::vector<std::string> failures;
};

int infer(const InferFlags& flags) {
  const InputList list = find_inputs(flags.inputs);
  for (const std::string& remark : list.remarks) fmt::print(stderr, "sandglass: note: {}\n", remark);

  const Weights weights = read_weights(flags.weights);
  if (weights.config.head == Head::regression)
    for (const auto& [flag, path] : {std::pair("--heatmaps", &flags.heatmaps), {"--overlay", &flags.overlay}})
      check(path->empty(), "{}: this network states intensities and has no heatmaps; leave out {}",
            flags.weights.string(), flag);
  InferenceOptions options = flags.options;
  std::optional<GivenLandmarks> landmarks;
  if (!flags.landmarks.empty()) options.landmarks = &landmarks.emplace(read_landmarks(flags.landmarks));
  options.keep_images = !flags.overlay.empty();
  options.keep_heatmaps = options.keep_images || !flags.heatmaps.empty();

  // Files that cannot be written are said before the work, not after it.
  std::vector<std::unique_ptr<ResultWriter>> writers;
  if (!flags.csv.empty()) writers.push_back(std::make_unique<CsvWriter>(flags.csv, weights.aus));
  if (!flags.json.empty())
    writers.push_back(std::make_unique<JsonWriter>(flags.json, weights.aus, fmt::format("sandglass {}", kVersion),
                                                   flags.weights.string()));
  if (!flags.heatmaps.empty())
    writers.push_back(std::make_unique<HeatmapWriter>(flags.heatmaps, weights.aus, weights.config.map_size()));
  std::vector<std::filesystem::path> overlays;
  if (!flags.overlay.empty()) {
    std::error_code error;
    std::filesystem::create_directories(flags.overlay, error);
    check(std::filesystem::is_directory(flags.overlay), "{}: this folder cannot be made ({})", flags.overlay.string(),
          error.message());
    overlays = overlay_paths(flags.overlay, list.inputs);
  }

  options.interrupted = &interrupted_by_signal();
  InferencePipeline pipeline(weights, options);
  Tally tally;
  size_t number = 0;
  const auto begin = std::chrono::steady_clock::now();
  pipeline.run(list.inputs, [&](const PicturePrediction& prediction) {
    for (const auto& writer : writers) writer->add(prediction);
    const size_t place = number++;
    if (!prediction.error.empty()) {
      tally.failures.push_back(prediction.error);
      return;
    }
    ++tally.pictures;
    tally.faces += static_cast<int>(prediction.faces.size());
    tally.without_face += prediction.faces.empty();
    if (!overlays.empty()) write_image(overlays[place], draw_overlay(prediction, weights.aus));
    if (!flags.quiet) fmt::print("{}", to_text(prediction, weights.aus));
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (const auto& writer : writers) writer->commit();

  if (!flags.quiet) {
    fmt::print("{} pictures, {} faces, {} without a face, {} failed; {:.1f} s, {:.1f} pictures/s\n", tally.pictures,
               tally.faces, tally.without_face, tally.failures.size(), seconds, tally.pictures / seconds);
  }
  std::fflush(stdout);
  for (const std::string& failure : tally.failures) fmt::print(stderr, "sandglass: error: {}\n", failure);
  return tally.failures.empty() ? 0 : 1;
}

}  // namespace

Command add_infer(CLI::App& program) {
  CLI::App* app = program.add_subcommand("infer", "Read Action Units from pictures and folders of pictures");
  auto flags = std::make_shared<InferFlags>();
  InferenceOptions& options = flags->options;
  app->add_option("INPUT", flags->inputs, "pictures (JPEG, PNG, BMP) and folders of pictures")
      ->type_name("")
      ->required();
  app->add_option("--weights", flags->weights, "the network: .safetensors, .pth, .pth.tar or .onnx")
      ->type_name("FILE")
      ->required();
  app->add_option("--csv", flags->csv, "write a row per face")->type_name("FILE");
  app->add_option("--json", flags->json, "write everything about each input")->type_name("FILE");
  app->add_option("--overlay", flags->overlay, "draw each input's heatmaps over its faces, one picture per input")
      ->type_name("DIR");
  app->add_option("--heatmaps", flags->heatmaps, "write all heatmaps as one tensor")->type_name("FILE.safetensors");
  CLI::Option* registered =
      app->add_flag("--registered", options.registered, "the inputs are registered faces: squares, no detection");
  app->add_option("--landmarks", flags->landmarks,
                  "take landmarks from a CSV like a manifest, an imglab .xml or a folder of .pts files: no detection")
      ->type_name("FILE|DIR")
      ->excludes(registered);
  add_device(*app, options.device);
  app->add_option("--batch", options.batch, "faces that go through the network together")
      ->type_name("N")
      ->check(within(1, 1024))
      ->capture_default_str();
  app->add_option("--workers", options.workers, "threads that load pictures and find faces (0: one per core, up to 8)")
      ->type_name("N")
      ->check(within(0, 256))
      ->capture_default_str();
  app->add_option("--max-faces", options.max_faces, "take only this many faces of a picture, the largest (0: all)")
      ->type_name("N")
      ->check(within(0, 100000))
      ->capture_default_str();
  app->add_option("--min-face", options.detector.minimum_face,
                  "side in pixels of the smallest face to look for, at least 40 (0: by the picture's size)")
      ->type_name("PIXELS")
      ->check(within(0.0, 1e5))
      ->capture_default_str();
  app->add_option("--min-confidence", options.detector.threshold, "the smallest detector score that counts as a face")
      ->type_name("SCORE")
      ->check(within(-100.0, 100.0))
      ->capture_default_str();
  app->add_option("--landmark-model", options.detector.landmark_model, "dlib's 68-point model (default: Debian's)")
      ->type_name("FILE");
  app->add_flag("--quiet", flags->quiet, "print nothing but errors");
  return {app, [flags] { return infer(*flags); }};
}

}  // namespace sandglass
