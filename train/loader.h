// The loader: manifest rows -> batches as the training step and the evaluation take them, made ahead by worker threads.
//
// Everything random is a function of (seed, epoch, row): the order by one stream of random numbers an epoch, each
// picture's augmentation by one stream a picture. (Where rows have weights, a row may come several times in an epoch,
// and its place in it stands for the row.) So a batch is known by its number alone; neither the number of workers nor a
// restart changes it, and a checkpoint stores that number.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "face/au_points.h"
#include "kernels/warp/warp.h"
#include "train/augmentation.h"
#include "train/data/pictures.h"
#include "train/manifest.h"

namespace sandglass {

/// One batch on the host. N = LoaderOptions::batch, K = number of AUs, P = Loader::points_per_map().
struct Batch {
  std::vector<uint8_t> pixels;        ///< staged pictures (face/stage.h), at most Loader::max_pixel_bytes()
  std::vector<WarpPicture> pictures;  ///< [N]; the last batch of an evaluation has only as many as there are rows left,
                                      ///< and one with unreadable pictures has fewer
  std::vector<float> intensities;     ///< [N][K], 0 to 5 or kNotCoded
  std::vector<float> points;          ///< [N][K][P][2], x and y in heatmap pixels; NaN where an AU has fewer points
  std::vector<int> rows;              ///< [N], index into Manifest::rows
};

struct LoaderOptions {
  std::vector<std::string> aus;  ///< what the heatmaps stand for; each must have a column in the manifest
  AuTable table;  ///< where they peak; training needs a definition of each of `aus`, an evaluation takes what is there
  int input_size = 256;
  int batch = 8;
  int workers = 2;
  size_t cache_bytes = 0;  ///< decoded pictures kept in memory
  uint64_t seed = 1;
  /// How often each of the manifest's rows is drawn in training, in proportion: a row of twice the weight comes twice
  /// as often, rounded up or down. Empty: each once an epoch.
  std::vector<double> row_weights;
  /// Training: rows in random order, augmented; rows in which none of `aus` is coded are left out, and so are the rows
  /// that do not fill a batch (others each epoch). Nothing: evaluation, that is all rows in order as they are.
  std::optional<AugmentationConfig> augmentation;
  /// What cannot be read, or whose landmarks lie outside of the picture, is left out rather than an error: in training
  /// the next picture in the epoch's order that can be read takes its place in the batch, an evaluation goes on without
  /// it.
  bool skip_unreadable = false;
  /// Evaluation only: how far the registration's landmarks are moved, in pixels of a 256 x 256 registered face; see
  /// draw_misalignment. The points stay where the face is.
  double misalignment = 0;
};

class Loader {
 public:
  /// Checks all that can be checked without opening a picture. `manifest` must outlive the loader. Throws Error if an
  /// AU has no column or no points, a row has no landmarks or ones that cannot be registered, or (training) the rows do
  /// not fill a batch, or (training from a pack) its margin is too narrow for the augmentation.
  Loader(const Manifest& manifest, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Rows that take part.
  int row_count() const { return static_cast<int>(rows_.size()); }
  /// Batches an epoch.
  int64_t steps_per_epoch() const;
  /// P: most points that one of the AUs has; 0 if none is in the table.
  int points_per_map() const { return points_per_map_; }
  /// Most bytes that Batch::pixels will ever have.
  size_t max_pixel_bytes() const;

  /// Starts to make the batches first, first + 1, ..., first + count - 1; batch number b is step b % steps_per_epoch()
  /// of epoch b / steps_per_epoch(). What an earlier start() had under way is dropped.
  void start(int64_t first, int64_t count);
  /// The next batch, valid until the next call of next() or start(). Throws what went wrong while it was made, naming
  /// the manifest's row, and Error after the last batch.
  const Batch& next();

  /// The rows that could not be read so far, in manifest order, and what was wrong with those that were not told yet.
  std::vector<int> unreadable_rows();
  std::vector<DataProblem> take_problems();

  /// Seconds that next() has waited so far for batches that were not ready.
  double waited_seconds() const { return waited_seconds_; }

  /// Makes one batch in the calling thread.
  void make_batch(int64_t number, Batch& batch);

 private:
  struct Slot {
    Batch batch;
    bool ready = false;
    std::exception_ptr error;
  };

  std::vector<int> order(int64_t epoch) const;
  std::shared_ptr<const std::vector<int>> kept_order(int64_t epoch);
  bool append(int row, uint64_t augmentation_stream, Batch& batch);
  void append_picture(int row, uint64_t augmentation_stream, Batch& batch);
  Picture picture(const ManifestRow& row);
  void stop();
  void work();
  Slot& slot(int64_t number) { return slots_[static_cast<size_t>(number) % slots_.size()]; }

  const Manifest& manifest_;
  LoaderOptions options_;
  std::vector<int> columns_;                // of options_.aus in Manifest::aus
  std::vector<AuDefinition> definitions_;   // of options_.aus
  std::vector<int> rows_;                   // that take part
  std::vector<double> cumulative_weights_;  // of rows_ up to each; empty: no weights
  int points_per_map_ = 0;

  PictureSource pictures_;
  std::mutex cache_mutex_;
  std::unordered_map<const ManifestRow*, Picture> cache_;
  size_t cached_bytes_ = 0;
  std::set<int> unreadable_;
  std::vector<DataProblem> problems_;              // not told yet
  std::shared_ptr<const std::vector<int>> order_;  // of epoch order_epoch_
  int64_t order_epoch_ = -1;

  // Batches given_ .. given_ + slots_.size() - 1 may be under way or ready; the one given last keeps its slot until
  // next().
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::vector<std::thread> threads_;
  int64_t made_ = 0, given_ = 0, released_ = 0, end_ = 0;
  bool stopping_ = false;
  double waited_seconds_ = 0;
};

}  // namespace sandglass
