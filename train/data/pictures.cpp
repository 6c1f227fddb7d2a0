#include "train/data/pictures.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "train/data/columns.h"
#include "train/data/pack.h"

namespace sandglass {
namespace {

constexpr size_t kOpenVideos = 64;

}  // namespace

Picture PictureSource::read(const Manifest& manifest, const ManifestRow& row) {
  if (manifest.pack) return manifest.pack->picture(row.frame);
  Picture picture;
  if (row.frame < 0) {
    picture.owner = std::make_shared<const Image>(read_image(manifest.image_path(row)));
  } else {
    const std::shared_ptr<OpenVideo> source = open(manifest.image_path(row));
    const std::lock_guard lock(source->mutex);
    if (!source->video) source->video = std::make_unique<Video>(source->path);
    picture.owner = std::make_shared<const Image>(source->video->read(row.frame));
  }
  picture.view = *picture.owner;
  return picture;
}

std::shared_ptr<PictureSource::OpenVideo> PictureSource::open(const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(videos_.begin(), videos_.end(), [&](const auto& video) { return video->path == path; });
  if (found != videos_.end()) {
    (*found)->last_used = ++uses_;
    return *found;
  }
  if (videos_.size() >= kOpenVideos) {  // who still reads it keeps it
    videos_.erase(std::min_element(videos_.begin(), videos_.end(),
                                   [](const auto& a, const auto& b) { return a->last_used < b->last_used; }));
  }
  videos_.push_back(std::make_shared<OpenVideo>());
  videos_.back()->path = path;
  videos_.back()->last_used = ++uses_;
  return videos_.back();
}

void check_in_picture(const Landmarks& landmarks, const ImageView& picture) {
  const auto meets = [&](float Point::*axis, int size) {
    const auto [least, most] = std::minmax_element(landmarks.begin(), landmarks.end(),
                                                   [&](const Point& a, const Point& b) { return a.*axis < b.*axis; });
    return (*most).*axis > -0.5f && (*least).*axis < static_cast<float>(size) - 0.5f;
  };
  if (meets(&Point::x, picture.width) && meets(&Point::y, picture.height)) return;
  reject(kBadLandmarks, "the landmarks lie outside of the picture, which has {} x {} pixels", picture.width,
         picture.height);
}

DataProblem picture_problem(const Manifest& manifest, const ManifestRow& row, const std::exception& error) {
  const auto* known = dynamic_cast<const DataProblem*>(&error);
  return DataProblem(known ? known->kind : kBadPicture, fmt::format("{}: {}", manifest.place(row), error.what()));
}

std::vector<std::optional<DataProblem>> for_each_picture(const Manifest& manifest, const std::vector<size_t>& rows,
                                                         int workers, bool stop_at_first, PictureSource& source,
                                                         const std::function<void(size_t, const Picture&)>& use,
                                                         const std::atomic<bool>* interrupted) {
  std::vector<std::optional<DataProblem>> problems(rows.size());
  std::mutex mutex;
  size_t next = 0;
  const auto work = [&] {
    for (;;) {
      std::unique_lock lock(mutex);
      if (next >= rows.size() || (interrupted && *interrupted)) return;
      const size_t i = next++;
      const ManifestRow& row = manifest.rows[rows[i]];
      try {
        // Decoding a video's frames in another order would begin anew at key frames.
        if (row.frame < 0 || manifest.pack) lock.unlock();
        const Picture picture = source.read(manifest, row);
        if (lock) lock.unlock();
        if (row.landmarks) check_in_picture(*row.landmarks, picture.view);
        use(rows[i], picture);
      } catch (const std::exception& error) {
        problems[i] = picture_problem(manifest, row, error);
        if (!lock) lock.lock();
        if (stop_at_first) next = rows.size();
      }
    }
  };
  {
    std::vector<std::jthread> threads;  // joined also if the system refuses one
    for (int i = 0; i < workers; ++i) threads.emplace_back(work);
  }
  return problems;
}

}  // namespace sandglass
