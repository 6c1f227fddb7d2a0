#include "train/loader.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/error.h"
#include "face/stage.h"
#include "train/data/columns.h"
#include "train/data/pack.h"

namespace sandglass {
namespace {

// Streams of random numbers under one seed: the order of an epoch, each row's augmentation in it, and its misalignment.
uint64_t order_stream(int64_t epoch) { return uint64_t{1} << 56 | static_cast<uint64_t>(epoch) << 32; }
uint64_t augmentation_stream(int64_t epoch, int row) {
  return uint64_t{2} << 56 | static_cast<uint64_t>(epoch) << 32 | static_cast<uint32_t>(row);
}
uint64_t augmentation_stream_at(int64_t epoch, int64_t place) {  // where a row may come several times
  return uint64_t{4} << 56 | static_cast<uint64_t>(epoch) << 32 | static_cast<uint32_t>(place);
}
uint64_t misalignment_stream(int row) { return uint64_t{3} << 56 | static_cast<uint32_t>(row); }

}  // namespace

Loader::Loader(const Manifest& manifest, LoaderOptions options) : manifest_(manifest), options_(std::move(options)) {
  check(options_.batch >= 1 && options_.workers >= 1 && options_.input_size >= 1,
        "loader: batch {}, workers {} and input size {} must be at least 1", options_.batch, options_.workers,
        options_.input_size);
  columns_ = manifest_.columns_of(options_.aus);
  for (const std::string& au : options_.aus) {
    const bool needed = options_.augmentation.has_value();
    definitions_.push_back(needed || options_.table.has(au) ? options_.table.find(au) : AuDefinition{au, {}});
    points_per_map_ = std::max(points_per_map_, static_cast<int>(definitions_.back().places.size()));
  }
  for (size_t i = 0; i < manifest_.rows.size(); ++i) {
    const ManifestRow& row = manifest_.rows[i];
    const auto coded = [&](int column) { return row.intensities[static_cast<size_t>(column)] >= 0; };
    if (options_.augmentation && std::none_of(columns_.begin(), columns_.end(), coded)) continue;
    check(row.landmarks.has_value(), "{}: has no landmarks", manifest_.place(row));
    try {
      registration(*row.landmarks, options_.input_size);
    } catch (const Error& error) {
      fail("{}: {}", manifest_.place(row), error.what());
    }
    rows_.push_back(static_cast<int>(i));
  }
  check(!rows_.empty(), "{}: none of its {} rows is coded for any of the Action Units asked for",
        manifest_.path.string(), manifest_.rows.size());
  check(!options_.augmentation || row_count() >= options_.batch,
        "{}: has {} usable rows, too few for a batch of {}; use a smaller `batch`", manifest_.path.string(),
        row_count(), options_.batch);
  if (!options_.row_weights.empty()) {
    check(options_.row_weights.size() == manifest_.rows.size(), "loader: {} weights for {} rows",
          options_.row_weights.size(), manifest_.rows.size());
    double sum = 0;
    for (const int row : rows_) cumulative_weights_.push_back(sum += options_.row_weights[static_cast<size_t>(row)]);
    check(sum > 0, "{}: all rows that could be drawn have a weight of 0", manifest_.path.string());
  }
  if (options_.augmentation && manifest_.pack) manifest_.pack->check_margin(*options_.augmentation);
  // One in the caller's hands, one for each worker, one ready.
  slots_.resize(static_cast<size_t>(options_.workers) + 2);
}

Loader::~Loader() { stop(); }

int64_t Loader::steps_per_epoch() const {
  const int rounding = options_.augmentation ? 0 : options_.batch - 1;
  return (row_count() + rounding) / options_.batch;
}

size_t Loader::max_pixel_bytes() const {
  return static_cast<size_t>(options_.batch) * staged_bytes_bound(options_.input_size);
}

void Loader::start(int64_t first, int64_t count) {
  stop();
  for (Slot& slot : slots_) slot.ready = false;
  made_ = given_ = released_ = first;
  end_ = first + count;
  stopping_ = false;
  for (int i = 0; i < options_.workers; ++i) threads_.emplace_back([this] { work(); });
}

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

const Batch& Loader::next() {
  std::unique_lock lock(mutex_);
  check(given_ < end_, "loader: no batch is left of those asked for");
  if (released_ < given_) {
    slot(released_).ready = false;
    ++released_;
    changed_.notify_all();
  }
  Slot& wanted = slot(given_);
  if (!wanted.ready) {
    const auto begin = std::chrono::steady_clock::now();
    changed_.wait(lock, [&] { return wanted.ready; });
    waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  if (wanted.error) std::rethrow_exception(wanted.error);
  ++given_;
  return wanted.batch;
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(
        lock, [&] { return stopping_ || made_ == end_ || made_ < released_ + static_cast<int64_t>(slots_.size()); });
    if (stopping_ || made_ == end_) return;
    const int64_t number = made_++;
    Slot& target = slot(number);
    lock.unlock();
    target.error = nullptr;
    try {
      make_batch(number, target.batch);
    } catch (...) {
      target.error = std::current_exception();
    }
    lock.lock();
    target.ready = true;
    changed_.notify_all();
  }
}

std::vector<int> Loader::order(int64_t epoch) const {
  if (!options_.augmentation) return rows_;
  Random random(options_.seed, order_stream(epoch));
  std::vector<int> order = rows_;
  if (!cumulative_weights_.empty()) {
    // Systematic sampling: points at equal distances on the line of all weights, so that each row comes as often as its
    // weight says, rounded up or down.
    const double first = random.uniform(), total = cumulative_weights_.back();
    size_t row = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const double point = (static_cast<double>(i) + first) / static_cast<double>(order.size()) * total;
      while (row + 1 < rows_.size() && cumulative_weights_[row] <= point) ++row;
      order[i] = rows_[row];
    }
  }
  shuffle(order, random);
  return order;
}

// Shuffling anew for each batch would take longer than the batch itself where there are many rows.
std::shared_ptr<const std::vector<int>> Loader::kept_order(int64_t epoch) {
  const std::lock_guard lock(cache_mutex_);
  if (!order_ || order_epoch_ != epoch) {
    order_ = std::make_shared<const std::vector<int>>(order(epoch));
    order_epoch_ = epoch;
  }
  return order_;
}

void Loader::make_batch(int64_t number, Batch& batch) {
  const int64_t epoch = number / steps_per_epoch(), first = number % steps_per_epoch() * options_.batch;
  const int64_t last = std::min<int64_t>(first + options_.batch, row_count());
  batch.pixels.clear();
  batch.pictures.clear();
  batch.intensities.clear();
  batch.points.clear();
  batch.rows.clear();
  const std::shared_ptr<const std::vector<int>> rows = kept_order(epoch);
  for (int64_t i = first; i < last; ++i) {
    const int row = (*rows)[static_cast<size_t>(i)];
    const uint64_t stream =
        cumulative_weights_.empty() ? augmentation_stream(epoch, row) : augmentation_stream_at(epoch, i);
    bool done = append(row, stream, batch);
    for (size_t next = 1; !done && options_.augmentation && next < rows->size(); ++next) {
      done = append((*rows)[(static_cast<size_t>(i) + next) % rows->size()], stream, batch);
    }
    if (!done && options_.augmentation) {
      const std::lock_guard lock(cache_mutex_);
      fail("{}: none of its pictures can be read{}", manifest_.path.string(),
           problems_.empty() ? "" : fmt::format(": {}", problems_[0].what()));
    }
  }
}

// Whether the picture is in the batch; an unreadable one leaves it as it was.
bool Loader::append(int row, uint64_t augmentation_stream, Batch& batch) {
  if (!options_.skip_unreadable) {
    append_picture(row, augmentation_stream, batch);
    return true;
  }
  {
    const std::lock_guard lock(cache_mutex_);
    if (unreadable_.count(row) > 0) return false;
  }
  const size_t bytes = batch.pixels.size();
  try {
    append_picture(row, augmentation_stream, batch);
    return true;
  } catch (const DataProblem& problem) {
    batch.pixels.resize(bytes);
    const std::lock_guard lock(cache_mutex_);
    if (unreadable_.insert(row).second) problems_.push_back(problem);
    return false;
  }
}

std::vector<int> Loader::unreadable_rows() {
  const std::lock_guard lock(cache_mutex_);
  return {unreadable_.begin(), unreadable_.end()};
}

std::vector<DataProblem> Loader::take_problems() {
  const std::lock_guard lock(cache_mutex_);
  return std::exchange(problems_, {});
}

void Loader::append_picture(int row_index, uint64_t augmentation_stream, Batch& batch) {
  const ManifestRow& row = manifest_.rows[static_cast<size_t>(row_index)];
  Augmentation augmentation;
  if (options_.augmentation) {
    Random random(options_.seed, augmentation_stream);
    augmentation = draw_augmentation(*options_.augmentation, random);
  } else if (options_.misalignment > 0) {
    Random random(options_.seed, misalignment_stream(row_index));
    augmentation = draw_misalignment(*row.landmarks, options_.misalignment, random);
  }
  PlacedFace face;
  StagedFace staged;
  try {
    const Picture image = picture(row);
    if (!manifest_.pack) check_in_picture(*row.landmarks, image.view);
    face = place_face(*row.landmarks, image.view.width, options_.input_size, augmentation);
    staged = stage_face(image.view, face.to_output.inverse(), options_.input_size, batch.pixels);
    if (manifest_.pack) manifest_.pack->release(row.frame);
  } catch (const Error& error) {
    throw picture_problem(manifest_, row, error);
  }

  WarpPicture& picture = batch.pictures.emplace_back();
  picture.first_byte = staged.first_byte;
  picture.height = staged.height;
  picture.width = staged.width;
  std::copy(staged.matrix.begin(), staged.matrix.end(), picture.matrix);
  picture.gain = augmentation.gain;
  picture.offset = augmentation.offset;

  batch.rows.push_back(row_index);
  for (const int column : columns_) batch.intensities.push_back(row.intensities[static_cast<size_t>(column)]);
  constexpr float kAbsent = std::numeric_limits<float>::quiet_NaN();
  for (const AuDefinition& definition : definitions_) {
    std::vector<Point> points = au_points(definition, face.landmarks);
    points.resize(static_cast<size_t>(points_per_map_), {kAbsent, kAbsent});
    for (const Point& point : points) {
      const Point place = to_heatmap(point);
      batch.points.insert(batch.points.end(), {place.x, place.y});
    }
  }
}

// Pictures stay in the cache once they are in it: each is asked for once an epoch, so that making room for another
// would gain nothing. Those of a pack are in memory already.
Picture Loader::picture(const ManifestRow& row) {
  if (manifest_.pack) return pictures_.read(manifest_, row);
  {
    const std::lock_guard lock(cache_mutex_);
    const auto found = cache_.find(&row);
    if (found != cache_.end()) return found->second;
  }
  Picture image = pictures_.read(manifest_, row);
  const std::lock_guard lock(cache_mutex_);
  const size_t bytes = image.owner->rgb.size();
  if (cached_bytes_ + bytes <= options_.cache_bytes && cache_.emplace(&row, image).second) cached_bytes_ += bytes;
  return image;
}

}  // namespace sandglass
