// The pixels of labelled faces, wherever they are: in picture files, videos or a pack.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "face/image.h"
#include "face/video.h"
#include "train/data/data_log.h"
#include "train/manifest.h"

namespace sandglass {

/// A picture; `owner` keeps its pixels. Nobody where they belong to a pack, which the Manifest keeps.
struct Picture {
  ImageView view;
  std::shared_ptr<const Image> owner;
};

/// Reads pictures. For any number of threads; frames of one video wait for each other.
class PictureSource {
 public:
  /// The picture of a row. Throws Error naming the file if it cannot be read.
  Picture read(const Manifest& manifest, const ManifestRow& row);

 private:
  struct OpenVideo {
    std::filesystem::path path;
    std::mutex mutex;
    std::unique_ptr<Video> video;
    uint64_t last_used = 0;
  };
  std::shared_ptr<OpenVideo> open(const std::filesystem::path& path);

  std::mutex mutex_;
  std::vector<std::shared_ptr<OpenVideo>> videos_;  // the ones used last
  uint64_t uses_ = 0;
};

/// Throws DataProblem unless the landmarks' bounding box meets the picture: what is cut out would be black.
void check_in_picture(const Landmarks& landmarks, const ImageView& picture);

/// What reading a row's picture threw, with the row's place before it.
DataProblem picture_problem(const Manifest& manifest, const ManifestRow& row, const std::exception& error);

/// Calls use(i, picture) for each i of `rows`, indices of manifest.rows, from `workers` threads at once, unless the
/// row's landmarks lie outside of the picture. Frames of videos are decoded in the order of `rows`. Gives, for each of
/// `rows`, what went wrong with its picture or in `use`, as picture_problem; nothing: all was well. `stop_at_first`:
/// after the first such error no further picture is begun; nor after `interrupted`, if given, has turned true.
std::vector<std::optional<DataProblem>> for_each_picture(const Manifest& manifest, const std::vector<size_t>& rows,
                                                         int workers, bool stop_at_first, PictureSource& source,
                                                         const std::function<void(size_t, const Picture&)>& use,
                                                         const std::atomic<bool>* interrupted = nullptr);

}  // namespace sandglass
