// Result files of inference; docs/formats.md describes them for their readers. All are written as the predictions come
// and appear at once with commit(), also those of a run that was ended early: nothing that grows with the number of
// pictures is held in memory, except a few numbers per face for the heatmaps. A file named "-" is standard output.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/output_file.h"
#include "infer/inputs.h"
#include "infer/prediction.h"

namespace sandglass {

/// Takes every input's prediction in turn and writes them to a file.
class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  /// Throws Error naming the file if it cannot be written.
  virtual void add(const PicturePrediction& prediction) = 0;
  /// Completes what was written; nothing may be added afterwards.
  virtual void commit() = 0;
  /// What the user should know of it, a line each; complete after commit().
  virtual std::vector<std::string> remarks() const { return {}; }
  /// What could not be written though the rest goes on, a line each; complete after commit().
  virtual std::vector<std::string> failures() const { return {}; }
};

/// CSV with a header, a row per face, and a row with success 0 for each picture without one, or which could not be
/// read, and for each video of which nothing could be read:
///   input,frame,face_id,timestamp,confidence,success,AU06_r,...,AU06_c,...,AU06_x,AU06_y,...
/// under OpenFace's names. Intensities (0-5) and seconds with three decimals; AU06_c is 1 where the intensity as it is
/// written is at least `threshold`, else 0; places of the peaks in picture pixels with two decimals. Frames count from
/// 1. Empty: frame and timestamp of photographs, places where the network has no heatmaps.
class CsvWriter final : public ResultWriter {
 public:
  CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, double threshold);
  void add(const PicturePrediction& prediction) override;
  void commit() override { file_.commit(); }

 private:
  OutputFile file_;
  size_t au_count_;
  double threshold_;
  std::optional<size_t> input_;  // the last one
};

/// A CSV for each input, as OpenFace 2.2.0 writes it, with those of its columns that there are: for videos
///   frame,face_id,timestamp,confidence,success,x_0,...,x_67,y_0,...,y_67,AU06_r,...,AU06_c,...
/// with zeros where a frame has no face, for photographs `face,confidence,x_0,...` and a row per face alone. Confidence
/// (of photographs three) and intensities have two decimals, landmarks and AU06_c one; AU06_c is as CsvWriter's.
/// Registered faces have no landmarks: zeros.
class OpenFaceWriter final : public ResultWriter {
 public:
  /// `paths`: the file of each input.
  OpenFaceWriter(std::vector<std::filesystem::path> paths, const std::vector<std::string>& aus, double threshold);
  void add(const PicturePrediction& prediction) override;
  void commit() override;

 private:
  std::vector<std::filesystem::path> paths_;
  std::vector<std::string> aus_;
  double threshold_;
  size_t input_ = 0;  // whose file is open
  std::unique_ptr<OutputFile> file_;
};

/// JSON: {"program", "weights", "aus", "inputs": [picture, ...]} or, as lines, {"program", "weights", "aus"} and then a
/// line for each picture. A picture is {"input", "frame", "timestamp", "width", "height", "faces": [...]} (frame and
/// timestamp of videos only, with "damaged": true of damaged frames) or {"input", "error"}.
class JsonWriter final : public ResultWriter {
 public:
  enum class Layout { document, lines };
  JsonWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, const std::string& program,
             const std::string& weights, Layout layout);
  void add(const PicturePrediction& prediction) override;
  void commit() override;

 private:
  OutputFile file_;
  std::vector<std::string> aus_;
  Layout layout_;
  bool first_ = true;
};

/// safetensors: `heatmaps` [faces][K][side][side], float32, in the order of inputs, frames and their faces, and for
/// each face its `input` (int32, a number in the metadata's list `inputs`), `frame` (int64, from 1; 0 for photographs),
/// `timestamp` (float32, seconds) and `face_id` (int32). Metadata (texts): `aus` as "AU06,AU10,...", `inputs` as a JSON
/// list of paths.
class HeatmapWriter final : public ResultWriter {
 public:
  HeatmapWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, int side);
  void add(const PicturePrediction& prediction) override;
  void commit() override;

 private:
  std::filesystem::path path_;
  OutputFile data_;  // the heatmaps; their number, which the header in front of them tells, is known at the end
  std::vector<std::string> aus_;
  int side_;
  std::vector<std::string> inputs_;
  std::vector<int32_t> input_of_face_, ids_;
  std::vector<int64_t> frames_;
  std::vector<float> seconds_;
};

/// A picture's faces as lines for people, with the same numbers as the CSV; "NAME: no face" without one. Not for
/// pictures with an error.
std::string to_text(const PicturePrediction& prediction, const std::vector<std::string>& aus);

/// A file in `folder` for each input: the input's name with another extension (".csv"), which may be one for pictures
/// and another for videos, and a number (_2, _3, ...) where two inputs would have the same name.
std::vector<std::filesystem::path> output_paths(const std::filesystem::path& folder, std::span<const Input> inputs,
                                                const std::string& of_picture, const std::string& of_video);

}  // namespace sandglass
