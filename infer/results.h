// Result files of inference; docs/formats.md describes them for their readers. All are written as the predictions come
// and appear at once with commit(): nothing that grows with the number of inputs is held in memory, except one number
// per face and the names of inputs without one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/output_file.h"
#include "infer/prediction.h"

namespace sandglass {

/// Takes every input's prediction in turn and writes them to a file.
class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  /// Throws Error naming the file if it cannot be written.
  virtual void add(const PicturePrediction& prediction) = 0;
  virtual void commit() = 0;
};

/// CSV with a header, a row per face, and a row with success 0 for each input without one:
///   input,face,confidence,success,AU06_r,...,AU06_x,AU06_y,...
/// Intensities (0-5) with three decimals under OpenFace's names, places of the peaks in picture pixels with two
/// (empty where the network has no heatmaps).
class CsvWriter final : public ResultWriter {
 public:
  CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& aus);
  void add(const PicturePrediction& prediction) override;
  void commit() override { file_.commit(); }

 private:
  OutputFile file_;
  size_t au_count_;
};

/// JSON: {"program", "weights", "aus", "inputs": [{"input", "width", "height", "faces": [...]}, {"input", "error"}]}.
class JsonWriter final : public ResultWriter {
 public:
  JsonWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, const std::string& program,
             const std::string& weights);
  void add(const PicturePrediction& prediction) override;
  void commit() override;

 private:
  OutputFile file_;
  std::vector<std::string> aus_;
  bool first_ = true;
};

/// safetensors with one tensor `heatmaps` [faces][K][side][side], float32, in the order of inputs and their faces. Its
/// metadata (texts) say which face is which: `aus` as "AU06,AU10,..."; as JSON lists `inputs` (the path of each face's
/// picture), `faces` (its number in it), `without_face` and `failed` (paths of the other inputs).
class HeatmapWriter final : public ResultWriter {
 public:
  HeatmapWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, int side);
  void add(const PicturePrediction& prediction) override;
  void commit() override;

 private:
  std::filesystem::path path_;
  OutputFile data_;  // the tensor; its size, which the header in front of it tells, is known at the end
  std::vector<std::string> aus_;
  int side_;
  std::vector<std::string> inputs_, without_face_, failed_;
  std::vector<size_t> faces_;
};

/// A picture's faces as lines for people, with the same numbers as the CSV; "NAME: no face" without one. Not for inputs
/// with an error.
std::string to_text(const PicturePrediction& prediction, const std::vector<std::string>& aus);

}  // namespace sandglass
