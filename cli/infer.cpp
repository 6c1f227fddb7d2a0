#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "engine/error.h"
#include "face/au_points.h"
#include "infer/au_choice.h"
#include "infer/pipeline.h"
#include "infer/result_files.h"
#include "infer/steady.h"
#include "train/manifest.h"
#include "train/progress.h"

namespace sandglass {
namespace {

struct InferFlags {
  std::vector<std::filesystem::path> inputs;
  bool sequence = false;
  std::filesystem::path weights, landmarks;
  ResultFileOptions results;
  std::vector<std::string> aus;  // to read; empty: all of the network
  double smoothing = 0;
  std::optional<double> baseline;
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

void set_size(VideoStreamOptions& video, const std::string& text) {
  char end = 0;
  const bool good = std::sscanf(text.c_str(), "%dx%d%c", &video.width, &video.height, &end) == 2 && video.width > 0 &&
                    video.height > 0;
  if (!good)
    throw CLI::ValidationError("--size", fmt::format("{}, expected WIDTHxHEIGHT in pixels, for example 640x480", text));
}

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

  // One line about the video that is read; `pass` begins it.
  std::string state(const PicturePrediction& prediction, const char* pass) const {
    const FrameTime& frame = *prediction.frame;
    const double passed = seconds_since(video_begin_), done = frame.seconds - first_second_;
    std::string line = inputs_ > 1 ? fmt::format("{}({} of {}) ", pass, prediction.input + 1, inputs_) : pass;
    line += fmt::format("{}  {}", prediction.path.filename().string(), duration_text(frame.seconds));
    if (frame.end > 0) line += " of " + duration_text(frame.end);
    constexpr double kShort = 0.5;  // seconds, of which nothing can be said
    if (passed < kShort) return line;
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
  bool none_read() const { return pictures_ == 0; }

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

void check_usage(bool good, const char* flag, const char* fault) {
  if (!good) throw CLI::ValidationError(flag, fault);
}

// What is wrong whatever the inputs and the network are.
void check_flags(const InferFlags& flags) {
  const InferenceOptions& options = flags.options;
  const ResultFileOptions& results = flags.results;
  check_usage(!results.anonymous || !results.overlay.empty(), "--anonymize",
              "it is about overlays; give --overlay, too");
  check_usage(!results.anonymous || (options.max_faces == 0 && flags.landmarks.empty() &&
                                     options.detector.threshold <= 0 && options.detector.minimum_face == 0),
              "--anonymize",
              "it hides the faces that are read; --max-faces, --min-face, --min-confidence and --landmarks would leave "
              "some open: leave them out");
  check_usage(options.video.end > options.video.start, "--end", "must be after --start");
  check_usage((results.csv == "-") + (results.json == "-") + (results.json_lines == "-") <= 1, "--csv, --json, --jsonl",
              "only one of the results can go to standard output (-)");
  check_usage(results.heatmaps != "-", "--heatmaps", "they cannot be written to standard output; name a file");
  constexpr double kLeastFace = 40;
  check_usage(options.detector.minimum_face == 0 || options.detector.minimum_face >= kLeastFace, "--min-face",
              "expected 40 or more, or 0");
  check_usage(std::ranges::find(flags.aus, "") == flags.aus.end(), "--aus", "a name is empty");
}

void check_flags(const InferFlags& flags, std::span<const Input> inputs, const Weights& weights) {
  const bool no_heatmaps = weights.config.head == Head::regression;
  const auto is_picture = [](const Input& input) { return input.kind == InputKind::picture; };
  const auto refuse = [&](const char* flag, const std::filesystem::path& path) {
    check(path.empty(), "{}: this network states intensities and has no heatmaps; leave out {}", flags.weights.string(),
          flag);
  };
  if (no_heatmaps) refuse("--heatmaps", flags.results.heatmaps);
  if (no_heatmaps && std::ranges::any_of(inputs, is_picture))
    refuse("--overlay", flags.results.overlay);  // videos have bars
  for (const Input& input : inputs) {
    if (is_picture(input)) continue;
    check(flags.landmarks.empty(), "{}: --landmarks is for pictures; leave it out, faces in videos are found",
          input.path.string());
    std::error_code error;
    const bool is_file = input.path != "-" && std::filesystem::exists(input.path, error);
    check(!flags.baseline || input.kind == InputKind::sequence || is_file || !input.error.empty(),
          "{}: --baseline reads a video twice, which only a file allows", input.path.string());
  }
}

void note(const std::string& remark) { fmt::print(stderr, "sandglass: note: {}\n", one_line(remark)); }

// Flags that these inputs leave without an effect.
void note_idle_flags(const InferFlags& flags, std::span<const Input> inputs) {
  const VideoStreamOptions& video = flags.options.video;
  const auto is_video = [](const Input& input) { return input.kind != InputKind::picture; };
  const std::pair<const char*, bool> of_videos[] = {
      {"--smooth", flags.smoothing > 0}, {"--baseline", flags.baseline.has_value()},
      {"--start", video.start > 0},      {"--end", std::isfinite(video.end)},
      {"--every", video.every > 1},      {"--rate", video.rate > 0},
      {"--size", video.width > 0},       {"--pixel-format", !video.pixel_format.empty()}};
  const bool no_video = std::ranges::none_of(inputs, is_video);
  for (const auto& [flag, given] : of_videos)
    if (given && no_video)
      note(fmt::format("{} does nothing here: it is about videos, and there are only pictures", flag));
  // A file says these itself, unless --format says that it does not.
  for (const Input& input : inputs) {
    if (input.kind != InputKind::video || !video.format.empty() || input.path.string().starts_with("/dev/")) continue;
    for (const auto& [flag, given] : std::span(of_videos).last(3))
      if (given) note(fmt::format("{}: {} does nothing for it without --format", input.path.string(), flag));
  }
}

int infer(const InferFlags& flags) {
  check_flags(flags);
  const InputList list =
      find_inputs(flags.inputs, {.sequences = flags.sequence, .videos = !flags.options.video.format.empty()});
  std::ranges::for_each(list.remarks, note);
  note_idle_flags(flags, list.inputs);

  const Weights weights = read_weights(flags.weights);
  check_flags(flags, list.inputs, weights);
  const AuChoice choice(flags.aus, weights, flags.weights.string());
  InferenceOptions options = flags.options;
  std::optional<GivenLandmarks> landmarks;
  if (!flags.landmarks.empty()) options.landmarks = &landmarks.emplace(read_landmarks(flags.landmarks));
  ResultFileOptions result_options = flags.results;
  result_options.program = fmt::format("sandglass {}", kVersion);
  result_options.weights = flags.weights.string();
  result_options.with_sound = options.video.format.empty();
  if (result_options.anonymous) options.detect_every = 1;  // or a face that appears is open until the next whole search
  options.keep_images = !result_options.overlay.empty();
  options.keep_heatmaps =
      weights.config.head == Head::heatmap && (options.keep_images || !result_options.heatmaps.empty());
  options.interrupted = &interrupted_by_signal();
  ResultFiles results(result_options, list.inputs, choice.names(), weights.config.map_size(),
                      {flags.weights, flags.landmarks});

  InferencePipeline pipeline(weights, options);
  std::optional<Progress> progress(std::in_place, std::cerr, isatty(STDERR_FILENO) != 0);
  const auto show = [&](const Tally& tally, const PicturePrediction& prediction, const char* pass) {
    if (!flags.quiet && prediction.frame && progress->due()) progress->show(tally.state(prediction, pass));
  };

  std::optional<NeutralBaseline> baseline;
  if (flags.baseline) {
    baseline.emplace(*flags.baseline);
    Tally tally(list.inputs.size());
    const bool complete = pipeline.run(list.inputs, [&](PicturePrediction& prediction) {
      choice.apply(prediction);
      baseline->learn(prediction);
      tally.count(prediction);
      show(tally, prediction, "pass 1 of 2: ");
    });
    check(complete, "interrupted in the first of two passes; nothing is written");
  }
  std::optional<Smoothing> smoothing;
  if (flags.smoothing > 0) smoothing.emplace(flags.smoothing);

  Tally tally(list.inputs.size());
  const auto take = [&](PicturePrediction& prediction) {
    choice.apply(prediction);
    if (baseline) baseline->apply(prediction);
    if (smoothing) smoothing->apply(prediction);
    tally.count(prediction);
    results.add(prediction);
    show(tally, prediction, baseline ? "pass 2 of 2: " : "");
    const bool to_be_read = !prediction.frame || results.none();
    if (!flags.quiet && prediction.error.empty() && to_be_read && !results.on_standard_output())
      std::cout << to_text(prediction, choice.names());
  };
  std::string stopped;  // by what
  try {
    if (!pipeline.run(list.inputs, take)) stopped = "interrupted";
  } catch (const std::bad_alloc&) {
    stopped = "not enough memory";
  } catch (const std::exception& error) {
    if (!results.failed()) stopped = error.what();  // results.commit() says it
  }
  progress.reset();
  std::ranges::for_each(pipeline.remarks(), note);
  if (const size_t count = baseline ? baseline->seen_too_seldom() : 0)
    note(fmt::format("faces that were seen in fewer than {} frames, which --baseline leaves as they are: {}",
                     NeutralBaseline::kLeastFrames, count));

  std::vector<std::string> failures = tally.failures();
  const bool nothing = tally.none_read() && !results.failed();  // then nothing is replaced either
  const std::vector<std::string> of_results = nothing ? std::vector<std::string>{} : results.commit();
  std::ranges::for_each(results.remarks(), note);
  failures.insert(failures.end(), of_results.begin(), of_results.end());
  if (!stopped.empty())
    failures.push_back(stopped + (nothing ? "; nothing is written" : "; the results so far are written"));
  else if (nothing && !results.none())
    note("nothing could be read, so no results are written");
  std::ostream& out = results.on_standard_output() ? std::cerr : std::cout;
  if (!flags.quiet) out << tally.summary() << std::endl;
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

  app->add_option("--csv", flags->results.csv, "write a row per face; here and below - is standard output")
      ->type_name("FILE");
  app->add_option("--openface", flags->results.openface, "write a CSV per input as OpenFace does")->type_name("DIR");
  app->add_option("--json", flags->results.json, "write everything about each picture as one document")
      ->type_name("FILE");
  app->add_option("--jsonl", flags->results.json_lines, "the same, a line per picture or frame")->type_name("FILE");
  app->add_option("--heatmaps", flags->results.heatmaps, "write all heatmaps as one tensor")
      ->type_name("FILE.safetensors");
  app->add_option("--overlay", flags->results.overlay,
                  "draw heatmaps over the faces: a picture per picture, a video per video")
      ->type_name("DIR");
  app->add_flag("--anonymize", flags->results.anonymous, "make the faces in overlays unrecognisable");
  app->add_flag("--force", flags->results.replace, "replace results that are there already");
  app->add_option("--threshold", flags->results.threshold,
                  "from this intensity on an Action Unit counts as present (AU06_c)")
      ->type_name("I")
      ->check(within(0.001, 5.0))
      ->capture_default_str();
  app->add_flag("--quiet", flags->quiet, "print nothing but notes and errors");

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
