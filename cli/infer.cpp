#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <set>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "engine/error.h"
#include "face/au_points.h"
#include "infer/overlay_writer.h"
#include "infer/pipeline.h"
#include "infer/results.h"
#include "infer/steady.h"
#include "train/manifest.h"
#include "train/progress.h"

namespace sandglass {
namespace {

struct InferFlags {
  std::vector<std::filesystem::path> inputs;
  bool sequence = false;
  std::filesystem::path weights, landmarks;
  std::filesystem::path csv, openface, json, json_lines, heatmaps, overlay;
  std::vector<std::string> aus;  // to read; empty: all of the network
  double threshold = 2;          // as eval's
  double smoothing = 0;
  std::optional<double> baseline;
  bool anonymize = false;
  InferenceOptions options;
  bool force = false, quiet = false;
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

void set_size(VideoStreamOptions& video, const std::string& text) {
  char end = 0;
  const bool good = std::sscanf(text.c_str(), "%dx%d%c", &video.width, &video.height, &end) == 2 && video.width > 0 &&
                    video.height > 0;
  if (!good)
    throw CLI::ValidationError("--size", fmt::format("{}, expected WIDTHxHEIGHT in pixels, for example 640x480", text));
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(std::filesystem::is_directory(folder), "{}: this folder cannot be made ({})", folder.string(), error.message());
}

// What a run writes.
class Results {
 public:
  // Files that cannot be written, or must not be, are said before the work, not after it.
  Results(const InferFlags& flags, std::span<const Input> inputs, const std::vector<std::string>& aus, int map_size)
      : force_(flags.force) {
    for (const Input& input : inputs) {
      read_.push_back(input.path);
      read_.insert(read_.end(), input.files.begin(), input.files.end());
    }
    read_.insert(read_.end(), {flags.weights, flags.landmarks});
    const std::string program = fmt::format("sandglass {}", kVersion);
    if (claim(flags.csv)) add<CsvWriter>(flags.csv, aus, flags.threshold);
    if (claim(flags.json))
      add<JsonWriter>(flags.json, aus, program, flags.weights.string(), JsonWriter::Layout::document);
    if (claim(flags.json_lines))
      add<JsonWriter>(flags.json_lines, aus, program, flags.weights.string(), JsonWriter::Layout::lines);
    if (claim(flags.heatmaps)) add<HeatmapWriter>(flags.heatmaps, aus, map_size);
    if (!flags.openface.empty())
      add<OpenFaceWriter>(claim_folder(flags.openface, inputs, ".csv", ".csv"), aus, flags.threshold);
    if (!flags.overlay.empty())
      add<OverlayWriter>(claim_folder(flags.overlay, inputs, ".jpg", ".mp4"), inputs, aus, flags.anonymize,
                         flags.options.video.format.empty());
  }

  void add(const PicturePrediction& prediction) {
    for (const auto& writer : writers_) writer->add(prediction);
  }
  // Completes all that can be: what was read is not lost because one file cannot be written. Then throws the first
  // error.
  void commit() {
    std::exception_ptr first;
    for (const auto& writer : writers_) {
      try {
        writer->commit();
        for (const std::string& remark : writer->remarks()) fmt::print(stderr, "sandglass: note: {}\n", remark);
      } catch (const std::exception&) {
        if (!first) first = std::current_exception();
      }
    }
    if (first) std::rethrow_exception(first);
  }
  std::vector<std::string> failures() const {
    std::vector<std::string> all;
    for (const auto& writer : writers_) {
      const std::vector<std::string> of_writer = writer->failures();
      all.insert(all.end(), of_writer.begin(), of_writer.end());
    }
    return all;
  }
  bool none() const { return writers_.empty(); }
  bool on_standard_output() const { return on_standard_output_; }

 private:
  template <typename Writer, typename... Arguments>
  void add(Arguments&&... arguments) {
    writers_.push_back(std::make_unique<Writer>(std::forward<Arguments>(arguments)...));
  }

  // Whether this file is to be written. Throws Error if it is there and shall not be replaced.
  bool claim(const std::filesystem::path& path) {
    if (path.empty()) return false;
    if (path == "-") {
      check(!on_standard_output_, "only one of the results can go to standard output (-)");
      return on_standard_output_ = true;
    }
    const std::filesystem::path whole = std::filesystem::weakly_canonical(path);
    check(claimed_.insert(whole).second, "{}: two results would go into this file; name another", path.string());
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return true;
    for (const std::filesystem::path& source : read_)
      check(!std::filesystem::equivalent(source, path, error), "{}: is read, and would be replaced by a result",
            path.string());
    check(force_, "{}: is there already; name another file, or give --force to replace it", path.string());
    return true;
  }
  std::vector<std::filesystem::path> claim_folder(const std::filesystem::path& folder, std::span<const Input> inputs,
                                                  const std::string& of_picture, const std::string& of_video) {
    make_folder(folder);
    std::vector<std::filesystem::path> paths = output_paths(folder, inputs, of_picture, of_video);
    for (const std::filesystem::path& path : paths) claim(path);
    return paths;
  }

  const bool force_;
  std::vector<std::filesystem::path> read_;  // what the run reads
  std::set<std::filesystem::path> claimed_;
  std::vector<std::unique_ptr<ResultWriter>> writers_;
  bool on_standard_output_ = false;
};

// What happened to the inputs, and what the user sees of it meanwhile.
class Tally {
 public:
  explicit Tally(size_t inputs) : inputs_(inputs) {}

  void count(const PicturePrediction& prediction) {
    if (!prediction.error.empty()) {
      failures_.push_back(prediction.error);
    } else {
      ++pictures_;
      faces_ += prediction.faces.size();
      without_face_ += prediction.faces.empty();
    }
    if (!prediction.frame) return;
    if (!video_ || *video_ != prediction.input) {
      video_ = prediction.input;
      first_second_ = prediction.frame->seconds;
      video_begin_ = Clock::now();
      video_frames_ = 0;
    }
    ++video_frames_;
  }

  // One line about the video that is read.
  std::string state(const PicturePrediction& prediction) const {
    const FrameTime& frame = *prediction.frame;
    const double passed = seconds_since(video_begin_), done = frame.seconds - first_second_;
    std::string line = inputs_ > 1 ? fmt::format("({} of {}) ", prediction.input + 1, inputs_) : "";
    line += fmt::format("{}  {}", prediction.path.filename().string(), duration_text(frame.seconds));
    if (frame.end > 0) line += " of " + duration_text(frame.end);
    line += fmt::format("  {:.1f} frames/s  {:.2f} x real time", static_cast<double>(video_frames_) / passed,
                        done / passed);
    if (frame.end > frame.seconds && done > 0)
      line += fmt::format("  {} left", duration_text((frame.end - frame.seconds) * passed / done));
    return line;
  }

  std::string summary() const {
    const double seconds = seconds_since(begin_);
    return fmt::format("{} pictures, {} faces, {} without a face, {} failed; {:.1f} s, {:.1f} pictures/s", pictures_,
                       faces_, without_face_, failures_.size(), seconds, static_cast<double>(pictures_) / seconds);
  }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  const size_t inputs_;
  const Clock::time_point begin_ = Clock::now();
  size_t pictures_ = 0, faces_ = 0, without_face_ = 0;
  std::vector<std::string> failures_;
  std::optional<size_t> video_;  // whose frames come now
  Clock::time_point video_begin_;
  double first_second_ = 0;
  size_t video_frames_ = 0;
};

// Which of the network's Action Units are asked for, in the order in which they are.
class AuChoice {
 public:
  AuChoice(const InferFlags& flags, const Weights& weights) {
    for (const std::string& asked : flags.aus.empty() ? weights.aus : flags.aus) {
      names_.push_back(normalise_au_name(asked));
      const auto found = std::ranges::find(weights.aus, names_.back());
      check(found != weights.aus.end(), "{}: reads {}, not {}; leave it out of --aus, or name other weights",
            flags.weights.string(), fmt::join(weights.aus, ", "), names_.back());
      places_.push_back(static_cast<size_t>(found - weights.aus.begin()));
    }
    chooses_ = names_ != weights.aus;
  }
  const std::vector<std::string>& names() const { return names_; }

  // Leaves these alone, in this order.
  void apply(PicturePrediction& prediction) const {
    if (!chooses_) return;
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

 private:
  std::vector<std::string> names_;
  std::vector<size_t> places_;
  bool chooses_ = false;
};

void check_flags(const InferFlags& flags, std::span<const Input> inputs, const Weights& weights) {
  const bool no_heatmaps = weights.config.head == Head::regression;
  const bool any_picture = std::ranges::any_of(inputs, [](const Input& i) { return i.kind == InputKind::picture; });
  const auto refuse = [&](const char* flag, const std::filesystem::path& path) {
    check(path.empty(), "{}: this network states intensities and has no heatmaps; leave out {}", flags.weights.string(),
          flag);
  };
  if (no_heatmaps) refuse("--heatmaps", flags.heatmaps);
  if (no_heatmaps && any_picture) refuse("--overlay", flags.overlay);  // videos have bars
  const InferenceOptions& options = flags.options;
  check(!flags.anonymize || !flags.overlay.empty(), "--anonymize is about overlays; give --overlay, too");
  check(!flags.anonymize || (options.max_faces == 0 && flags.landmarks.empty() && options.detector.threshold <= 0 &&
                             options.detector.minimum_face == 0),
        "--anonymize hides the faces that are read; --max-faces, --min-face, --min-confidence and --landmarks would "
        "leave some open: leave them out");
  check(options.video.end > options.video.start, "--start {} and --end {}: the end must be after the start",
        options.video.start, options.video.end);
  for (const Input& input : inputs) {
    if (input.kind == InputKind::picture) continue;
    check(flags.landmarks.empty(), "{}: --landmarks is for pictures; leave it out, faces in videos are found",
          input.path.string());
    std::error_code error;
    const bool is_file = input.path != "-" && std::filesystem::exists(input.path, error);
    check(!flags.baseline || input.kind == InputKind::sequence || is_file || !input.error.empty(),
          "{}: --baseline reads a video twice, which only a file allows", input.path.string());
  }
}

int infer(const InferFlags& flags) {
  const InputList list =
      find_inputs(flags.inputs, {.sequences = flags.sequence, .videos = !flags.options.video.format.empty()});
  for (const std::string& remark : list.remarks) fmt::print(stderr, "sandglass: note: {}\n", remark);

  const Weights weights = read_weights(flags.weights);
  check_flags(flags, list.inputs, weights);
  const AuChoice choice(flags, weights);
  InferenceOptions options = flags.options;
  std::optional<GivenLandmarks> landmarks;
  if (!flags.landmarks.empty()) options.landmarks = &landmarks.emplace(read_landmarks(flags.landmarks));
  if (flags.anonymize) options.detect_every = 1;  // or a face that appears is open until the next whole search
  options.keep_images = !flags.overlay.empty();
  options.keep_heatmaps = weights.config.head == Head::heatmap && (options.keep_images || !flags.heatmaps.empty());
  options.interrupted = &interrupted_by_signal();
  Results results(flags, list.inputs, choice.names(), weights.config.map_size());

  InferencePipeline pipeline(weights, options);
  std::optional<NeutralBaseline> baseline;
  if (flags.baseline) {
    baseline.emplace(*flags.baseline);
    const bool complete = pipeline.run(list.inputs, [&](PicturePrediction& prediction) {
      choice.apply(prediction);
      baseline->learn(prediction);
    });
    check(complete, "interrupted in the first of two passes; nothing is written");
  }
  std::optional<Smoothing> smoothing;
  if (flags.smoothing > 0) smoothing.emplace(flags.smoothing);

  Tally tally(list.inputs.size());
  std::ostream& out = results.on_standard_output() ? std::cerr : std::cout;
  std::optional<Progress> progress(std::in_place, std::cerr, isatty(STDERR_FILENO) != 0);
  const auto take = [&](PicturePrediction& prediction) {
    choice.apply(prediction);
    if (baseline) baseline->apply(prediction);
    if (smoothing) smoothing->apply(prediction);
    results.add(prediction);
    tally.count(prediction);
    if (flags.quiet) return;
    if (prediction.frame && progress->due()) progress->show(tally.state(prediction));
    const bool to_be_read = !prediction.frame || results.none();
    if (prediction.error.empty() && to_be_read && !results.on_standard_output())
      std::cout << to_text(prediction, choice.names());
  };
  bool complete = false;
  try {
    complete = pipeline.run(list.inputs, take);
  } catch (...) {
    try {
      results.commit();
    } catch (const std::exception&) {  // the error that is being reported came first
    }
    throw;
  }
  progress.reset();
  for (const std::string& remark : pipeline.remarks()) fmt::print(stderr, "sandglass: note: {}\n", remark);
  results.commit();

  if (!flags.quiet) out << tally.summary() << std::endl;
  std::vector<std::string> failures = tally.failures();
  for (std::string& failure : results.failures()) failures.push_back(std::move(failure));
  if (!complete) failures.push_back("interrupted; the results so far are written");
  for (const std::string& failure : failures) fmt::print(stderr, "sandglass: error: {}\n", one_line(failure));
  return failures.empty() ? 0 : 1;
}

}  // namespace

Command add_infer(CLI::App& program) {
  CLI::App* app = program.add_subcommand("infer", "Read Action Units from pictures and videos");
  auto flags = std::make_shared<InferFlags>();
  InferenceOptions& options = flags->options;
  app->add_option(
         "INPUT", flags->inputs,
         "pictures, videos, folders of them, patterns ('*.mp4', frame_%05d.png), cameras (/dev/video0), - for a "
         "video on standard input")
      ->type_name("")
      ->required();
  app->add_option("--weights", flags->weights, "the network: .safetensors, .pth, .pth.tar or .onnx")
      ->type_name("FILE")
      ->required();

  app->add_option("--aus", flags->aus, "read these Action Units only, in this order (default: all of the network)")
      ->type_name("AU06,AU12,...")
      ->delimiter(',')
      ->allow_extra_args(false);

  app->add_option("--csv", flags->csv, "write a row per face; here and below - is standard output")->type_name("FILE");
  app->add_option("--openface", flags->openface, "write a CSV per input as OpenFace does")->type_name("DIR");
  app->add_option("--json", flags->json, "write everything about each picture as one document")->type_name("FILE");
  app->add_option("--jsonl", flags->json_lines, "the same, a line per picture or frame")->type_name("FILE");
  app->add_option("--heatmaps", flags->heatmaps, "write all heatmaps as one tensor")->type_name("FILE.safetensors");
  app->add_option("--overlay", flags->overlay, "draw heatmaps over the faces: a picture per picture, a video per video")
      ->type_name("DIR");
  app->add_flag("--anonymize", flags->anonymize, "make the faces in overlays unrecognisable");
  app->add_flag("--force", flags->force, "replace results that are there already");
  app->add_option("--threshold", flags->threshold, "from this intensity on an Action Unit counts as present (AU06_c)")
      ->type_name("I")
      ->check(within(0.001, 5.0))
      ->capture_default_str();
  app->add_flag("--quiet", flags->quiet, "print nothing but errors");

  CLI::Option* registered =
      app->add_flag("--registered", options.registered, "the inputs are registered faces: squares, no detection");
  app->add_option("--landmarks", flags->landmarks,
                  "take landmarks from a CSV like a manifest, an imglab .xml or a folder of .pts files: no detection")
      ->type_name("FILE|DIR")
      ->excludes(registered);
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

  VideoStreamOptions& video = options.video;
  app->add_option("--start", video.start, "videos: from this second on")
      ->type_name("SECONDS")
      ->check(within(0.0, 1e9))
      ->capture_default_str();
  app->add_option("--end", video.end, "videos: before this second")->type_name("SECONDS")->check(within(0.0, 1e9));
  app->add_option("--every", video.every, "videos: every so many frames one")
      ->type_name("N")
      ->check(within(1, 1000000))
      ->capture_default_str();
  app->add_option("--detect-every", options.detect_every,
                  "videos: search the whole picture every so many frames, and near the faces in between (1: each frame "
                  "like a photograph)")
      ->type_name("N")
      ->check(within(1, 1000))
      ->capture_default_str();
  app->add_flag("--sequence", flags->sequence, "the pictures of a folder are the frames of a video");
  app->add_option("--rate", video.rate, "frames/s of sequences (30 by default) and raw frames, or asked of a camera")
      ->type_name("R")
      ->check(within(0.001, 10000.0));
  app->add_option("--format", video.format, "FFmpeg's name of an input's format: rawvideo, mjpeg, v4l2, ...")
      ->type_name("NAME");
  app->add_option("--size", "of raw frames, or asked of a camera")
      ->type_name("WIDTHxHEIGHT")
      ->each([flags](const std::string& text) { set_size(flags->options.video, text); });
  app->add_option("--pixel-format", video.pixel_format, "FFmpeg's name; of raw frames (rgb24 by default)")
      ->type_name("NAME");
  app->add_flag("--mirror", options.mirror, "average with the mirrored face's intensities; takes twice the time");
  app->add_option("--smooth", flags->smoothing, "videos: smooth intensities over about so many seconds")
      ->type_name("SECONDS")
      ->check(within(0.0, 1e6));
  app->add_option("--baseline", flags->baseline,
                  "videos: subtract from each face's intensities their quantile, 0 to 0.5: its neutral level; reads "
                  "everything twice")
      ->type_name("SHARE")
      ->check(within(0.0, 0.5));

  add_device(*app, options.device);
  app->add_option("--batch", options.batch, "faces that go through the network together")
      ->type_name("N")
      ->check(within(1, 1024))
      ->capture_default_str();
  app->add_option("--workers", options.workers, "threads that decode and find faces (0: one per core, up to 8)")
      ->type_name("N")
      ->check(within(0, 256))
      ->capture_default_str();
  return {app, [flags] { return infer(*flags); }};
}

}  // namespace sandglass
