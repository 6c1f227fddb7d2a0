// All result files of a run: which there are to be, checked before the work, written together.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "infer/inputs.h"
#include "infer/results.h"

namespace sandglass {

/// Which results are to be written; an empty path: not this one.
struct ResultFileOptions {
  std::filesystem::path csv, json, json_lines;  ///< files; one of them may be "-", standard output
  std::filesystem::path heatmaps;               ///< a file
  std::filesystem::path openface, overlay;      ///< folders, with a file for each input
  double threshold = 2;                         ///< from this intensity on an Action Unit counts as present
  bool anonymous = false;                       ///< faces in overlays are made unrecognisable
  bool with_sound = true;                       ///< overlays of videos have the sound of their files
  bool replace = false;                         ///< files that are there already
  std::string program, weights;                 ///< named in the JSON
};

class ResultFiles {
 public:
  /// For these inputs and the Action Units of their predictions, with heatmaps of `map_size` squared pixels. Throws
  /// Error if a file cannot be written, or is there already and not to be replaced, or is an input or one of `read`.
  ResultFiles(const ResultFileOptions& options, std::span<const Input> inputs, const std::vector<std::string>& aus,
              int map_size, std::vector<std::filesystem::path> read);

  bool none() const { return writers_.empty(); }
  bool failed() const { return !failure_.empty(); }
  bool on_standard_output() const { return on_standard_output_; }

  /// Throws Error if one of them cannot be written; commit() is to follow then, which says so, too.
  void add(const PicturePrediction& prediction);
  /// Completes all that can be: what was read is not lost because one file cannot be written. Returns what went wrong,
  /// a line each. Without commit() nothing remains but what went to standard output, and overlays of pictures.
  std::vector<std::string> commit();
  /// What the user should know of them, a line each; complete after commit().
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  template <typename Writer, typename... Arguments>
  void add_writer(Arguments&&... arguments);
  bool claim(const std::filesystem::path& path);
  std::vector<std::filesystem::path> claim_folder(const std::filesystem::path& folder, std::span<const Input> inputs,
                                                  const std::string& of_picture, const std::string& of_video);

  const bool replace_;
  std::vector<std::filesystem::path> read_;  // what the run reads
  std::set<std::filesystem::path> claimed_;
  std::vector<std::unique_ptr<ResultWriter>> writers_;
  std::string failure_;  // of the first writer
  bool on_standard_output_ = false;
  std::vector<std::string> remarks_;
};

}  // namespace sandglass
