#include "infer/result_files.h"

#include <iterator>
#include <utility>

#include "engine/error.h"
#include "infer/overlay_writer.h"

namespace sandglass {
namespace {

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(std::filesystem::is_directory(folder), "{}: this folder cannot be made ({})", folder.string(), error.message());
}

}  // namespace

ResultFiles::ResultFiles(const ResultFileOptions& options, std::span<const Input> inputs,
                         const std::vector<std::string>& aus, int map_size, std::vector<std::filesystem::path> read)
    : replace_(options.replace), read_(std::move(read)) {
  for (const Input& input : inputs) {
    read_.push_back(input.path);
    read_.insert(read_.end(), input.files.begin(), input.files.end());
  }
  if (claim(options.csv)) add_writer<CsvWriter>(options.csv, aus, options.threshold);
  if (claim(options.json))
    add_writer<JsonWriter>(options.json, aus, options.program, options.weights, JsonWriter::Layout::document);
  if (claim(options.json_lines))
    add_writer<JsonWriter>(options.json_lines, aus, options.program, options.weights, JsonWriter::Layout::lines);
  if (claim(options.heatmaps)) add_writer<HeatmapWriter>(options.heatmaps, aus, map_size);
  if (!options.openface.empty())
    add_writer<OpenFaceWriter>(claim_folder(options.openface, inputs, ".csv", ".csv"), aus, options.threshold);
  if (!options.overlay.empty())
    add_writer<OverlayWriter>(claim_folder(options.overlay, inputs, ".jpg", ".mp4"), inputs, aus, options.anonymous,
                              options.with_sound);
}

template <typename Writer, typename... Arguments>
void ResultFiles::add_writer(Arguments&&... arguments) {
  writers_.push_back(std::make_unique<Writer>(std::forward<Arguments>(arguments)...));
}

// Whether this file is to be written. Throws Error if it is there and shall not be replaced.
bool ResultFiles::claim(const std::filesystem::path& path) {
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
  check_not_there(path, replace_);
  return true;
}

std::vector<std::filesystem::path> ResultFiles::claim_folder(const std::filesystem::path& folder,
                                                             std::span<const Input> inputs,
                                                             const std::string& of_picture,
                                                             const std::string& of_video) {
  make_folder(folder);
  std::vector<std::filesystem::path> paths = output_paths(folder, inputs, of_picture, of_video);
  for (const std::filesystem::path& path : paths) claim(path);
  return paths;
}

void ResultFiles::add(const PicturePrediction& prediction) {
  for (auto& writer : writers_) {
    try {
      writer->add(prediction);
    } catch (const Error& error) {
      failure_ = error.what();
      std::swap(writer, writers_.front());  // to be completed first: it may give back room on a full disk
      throw;
    }
  }
}

std::vector<std::string> ResultFiles::commit() {
  std::vector<std::string> failures;
  const auto append = [](std::vector<std::string>& to, std::vector<std::string> from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  for (auto& writer : writers_) {
    std::string failure = std::exchange(failure_, "");
    try {
      writer->commit();
    } catch (const Error& error) {
      failure = error.what();  // which may know more
    }
    if (!failure.empty()) failures.push_back(std::move(failure));
    append(failures, writer->failures());
    append(remarks_, writer->remarks());
    writer.reset();
  }
  writers_.clear();
  return failures;
}

}  // namespace sandglass
