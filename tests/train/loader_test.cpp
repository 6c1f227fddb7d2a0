#include "train/loader.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "engine/file.h"
#include "face/stage.h"
#include "face_pictures.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

AugmentationConfig strong_augmentation() {
  AugmentationConfig config;
  config.rotation = 25;
  config.scale = 0.2;
  config.shift = 0.08;
  config.landmark_jitter = 0.03;
  return config;
}

LoaderOptions training_options(int batch, int workers = 2) {
  LoaderOptions options;
  options.aus = {"AU12"};
  options.table = default_au_table();
  options.input_size = 64;
  options.batch = batch;
  options.workers = workers;
  options.augmentation = strong_augmentation();
  return options;
}

LoaderOptions evaluation_options(int batch) {
  LoaderOptions options = training_options(batch);
  options.augmentation.reset();
  return options;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.pixels, b.pixels);
  EXPECT_EQ(a.intensities, b.intensities);
  ASSERT_EQ(a.points.size(), b.points.size());
  for (size_t i = 0; i < a.points.size(); ++i) {
    EXPECT_TRUE(a.points[i] == b.points[i] || (std::isnan(a.points[i]) && std::isnan(b.points[i])));
  }
  ASSERT_EQ(a.pictures.size(), b.pictures.size());
  for (size_t i = 0; i < a.pictures.size(); ++i) {
    EXPECT_EQ(a.pictures[i].first_byte, b.pictures[i].first_byte);
    EXPECT_EQ(a.pictures[i].gain, b.pictures[i].gain);
    for (int j = 0; j < 6; ++j) EXPECT_EQ(a.pictures[i].matrix[j], b.pictures[i].matrix[j]);
  }
}

// Mean place of one colour in a picture of size x size, by the reference warp.
Point dot_in_output(const Batch& batch, size_t i, int channel, int size) {
  WarpPicture picture = batch.pictures[i];
  picture.gain = 1;
  picture.offset = 0;
  std::vector<double> out(static_cast<size_t>(size * size) * 3);
  reference::warp(picture, batch.pixels.data(), size, size, out.data());
  double sum = 0, x = 0, y = 0;
  for (int v = 0; v < size; ++v) {
    for (int u = 0; u < size; ++u) {
      const double value = out[static_cast<size_t>((v * size + u) * 3 + channel)];
      sum += value;
      x += value * u;
      y += value * v;
    }
  }
  return {static_cast<float>(x / sum), static_cast<float>(y / sum)};
}

TEST(Loader, TargetsLieWhereTheWarpShowsTheLandmark) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 8);
  Loader loader(manifest, training_options(8));
  int mirrored = 0;
  Batch batch;
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    loader.make_batch(epoch, batch);
    for (size_t i = 0; i < 8; ++i) {
      const bool mirror = batch.pictures[i].matrix[0] < 0;
      mirrored += mirror;
      for (int point = 0; point < 2; ++point) {
        // AU12 peaks at landmarks 48 (red) and 54 (green); in a mirrored face 48 is what was 54.
        const Point target = from_heatmap({batch.points[i * 4 + point * 2], batch.points[i * 4 + point * 2 + 1]});
        const Point dot = dot_in_output(batch, i, mirror ? 1 - point : point, 64);
        EXPECT_NEAR(dot.x, target.x, 0.15) << "face " << i << " mirrored " << mirror;
        EXPECT_NEAR(dot.y, target.y, 0.15) << "face " << i << " mirrored " << mirror;
      }
    }
  }
  EXPECT_GT(mirrored, 4);
  EXPECT_LT(mirrored, 28);
}

TEST(Loader, EvaluationKeepsOrderAndAllRows) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 7);
  Loader loader(manifest, evaluation_options(3));
  ASSERT_EQ(loader.steps_per_epoch(), 3);
  for (int pass = 0; pass < 2; ++pass) {
    loader.start(0, loader.steps_per_epoch());
    std::vector<int> rows;
    for (int step = 0; step < 3; ++step) {
      const Batch& batch = loader.next();
      rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
      ASSERT_EQ(batch.pictures.size(), batch.rows.size());
      for (size_t i = 0; i < batch.rows.size(); ++i) {
        EXPECT_EQ(batch.intensities[i], manifest.rows[static_cast<size_t>(batch.rows[i])].intensities[1]);
        EXPECT_EQ(batch.pictures[i].gain, 1);
        EXPECT_EQ(batch.pictures[i].offset, 0);
        const Point dot = dot_in_output(batch, i, 0, 64);
        const Point target = from_heatmap({batch.points[i * 4], batch.points[i * 4 + 1]});
        EXPECT_NEAR(dot.x, target.x, 0.1);
      }
    }
    EXPECT_EQ(rows, (std::vector<int>{0, 1, 2, 3, 4, 5, 6}));
    EXPECT_NE(error_of([&] { loader.next(); }).find("no batch is left"), std::string::npos);
  }
}

TEST(Loader, EpochsAreDifferentShuffles) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 11);
  Loader loader(manifest, training_options(3));
  ASSERT_EQ(loader.steps_per_epoch(), 3);
  std::vector<std::vector<int>> epochs;
  std::set<int> seen;
  loader.start(0, 12);
  for (int epoch = 0; epoch < 4; ++epoch) {
    std::vector<int>& order = epochs.emplace_back();
    for (int step = 0; step < 3; ++step) {
      const Batch& batch = loader.next();
      order.insert(order.end(), batch.rows.begin(), batch.rows.end());
    }
    EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(), 9u);  // the last two of eleven are left out this time
    seen.insert(order.begin(), order.end());
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_EQ(seen.size(), 11u);
}

TEST(Loader, BatchesDependOnTheirNumberAlone) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 10);
  std::vector<Batch> expected(9);
  {
    Loader loader(manifest, training_options(4));
    for (size_t i = 0; i < expected.size(); ++i) loader.make_batch(static_cast<int64_t>(i), expected[i]);
  }
  EXPECT_NE(expected[0].points, expected[2].points);
  for (const int workers : {1, 2, 7}) {
    for (const size_t cache : {size_t{0}, size_t{100000}, size_t{1} << 30}) {
      LoaderOptions options = training_options(4, workers);
      options.cache_bytes = cache;
      Loader loader(manifest, options);
      loader.start(0, 9);
      for (const Batch& batch : expected) expect_equal(loader.next(), batch);
      loader.start(5, 4);  // as after a restart
      for (size_t i = 5; i < 9; ++i) expect_equal(loader.next(), expected[i]);
    }
  }
  LoaderOptions other_seed = training_options(4);
  other_seed.seed = 2;
  Loader loader(manifest, other_seed);
  Batch batch;
  loader.make_batch(0, batch);
  EXPECT_NE(batch.rows, expected[0].rows);
}

// Weights 0, 1, 2 and 5 of 8: in 16 draws the rows come 0, 2, 4 and 10 times, the others never.
TEST(Loader, RowsComeAsOftenAsTheirWeightsSay) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 16);
  LoaderOptions options = training_options(8);
  options.row_weights.assign(16, 0);
  options.row_weights[3] = 1;
  options.row_weights[4] = 2;
  options.row_weights[15] = 5;
  Loader loader(manifest, options);
  std::vector<Batch> expected(6);
  for (size_t i = 0; i < expected.size(); ++i) loader.make_batch(static_cast<int64_t>(i), expected[i]);
  for (size_t epoch = 0; epoch < 3; ++epoch) {
    std::map<int, int> times;
    std::set<float> gains;
    for (size_t i = 2 * epoch; i < 2 * epoch + 2; ++i) {
      for (const int row : expected[i].rows) ++times[row];
      for (const float x : expected[i].points) gains.insert(x);
    }
    EXPECT_EQ(times, (std::map<int, int>{{3, 2}, {4, 4}, {15, 10}}));
    EXPECT_EQ(gains.size(), 16u * 4) << "each draw has an augmentation of its own";
  }
  EXPECT_NE(expected[0].rows, expected[2].rows);

  options.workers = 5;
  Loader other(manifest, options);
  other.start(2, 4);  // as after a restart
  for (size_t i = 2; i < 6; ++i) expect_equal(other.next(), expected[i]);

  options.row_weights.assign(16, 0);
  EXPECT_NE(error_of([&] { Loader(manifest, options); }).find("have a weight of 0"), std::string::npos);
}

// Weights that do not divide evenly round up or down, by the epoch.
TEST(Loader, WeightsHoldOnTheAverage) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 5);
  LoaderOptions options = training_options(5);
  options.row_weights = {0.3, 1, 1, 1, 1.7};
  Loader loader(manifest, options);
  Batch batch;
  std::vector<int> times(5);
  for (int64_t epoch = 0; epoch < 100; ++epoch) {
    loader.make_batch(epoch, batch);
    for (const int row : batch.rows) ++times[static_cast<size_t>(row)];
  }
  for (size_t i = 0; i < times.size(); ++i) EXPECT_NEAR(times[i], 100 * options.row_weights[i], 15) << i;
}

TEST(Loader, CacheKeepsPicturesUpToItsBudget) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 6);
  LoaderOptions options = training_options(6);
  options.cache_bytes = 1 << 20;
  Loader cached(manifest, options);
  options.cache_bytes = 3 * 150 * 130 + 100;  // one picture
  Loader small(manifest, options);
  Batch batch;
  cached.make_batch(0, batch);
  small.make_batch(0, batch);
  for (const ManifestRow& row : manifest.rows) std::filesystem::remove(manifest.image_path(row));
  EXPECT_NO_THROW(cached.make_batch(1, batch));
  EXPECT_THROW(small.make_batch(1, batch), Error);
}

TEST(Loader, ErrorsOfWorkersNameTheRow) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 6);
  const std::string content = read_file(folder / "face_4.png");
  write_file(folder / "face_4.png", content.substr(0, content.size() / 2));
  Loader loader(manifest, evaluation_options(2));
  loader.start(0, 3);
  EXPECT_NO_THROW(loader.next());
  EXPECT_NO_THROW(loader.next());
  const std::string error = error_of([&] { loader.next(); });
  EXPECT_NE(error.find("manifest.csv, row 6: "), std::string::npos) << error;
  EXPECT_NE(error.find("face_4.png"), std::string::npos) << error;
  loader.start(0, 1);  // usable again
  EXPECT_NO_THROW(loader.next());
}

TEST(Loader, StopsAtAnyTime) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 6);
  for (int taken = 0; taken < 6; ++taken) {
    Loader loader(manifest, training_options(2, 3));
    loader.start(0, 1000000);
    for (int i = 0; i < taken; ++i) loader.next();
    if (taken % 2) loader.start(7, 100);
  }
}

TEST(Loader, PrefetchIsBounded) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 4);
  LoaderOptions options = evaluation_options(1);
  options.workers = 1;
  Loader loader(manifest, options);
  loader.start(0, 4);
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  // Three slots: batch 0 in hand, 1 and 2 made ahead, 3 must not be read yet.
  std::filesystem::remove(folder / "face_3.png");
  loader.next();
  loader.next();
  EXPECT_THROW(loader.next(), Error);
}

TEST(Loader, ChecksUpFront) {
  const TemporaryFolder folder;
  Manifest manifest = write_test_faces(folder.path(), 5);
  const auto error = [&](const LoaderOptions& options) { return error_of([&] { Loader loader(manifest, options); }); };
  EXPECT_NE(error(training_options(6)).find("has 5 usable rows, too few for a batch of 6"), std::string::npos);
  LoaderOptions options = training_options(2);
  options.aus = {"AU17"};
  EXPECT_NE(error(options).find("no column 'AU17'"), std::string::npos);
  options.aus = {"AU12"};
  options.table = parse_au_table("AU06: 1 2\n", "my table");
  EXPECT_NE(error(options).find("my table"), std::string::npos);

  (*manifest.rows[2].landmarks)[8] = (*manifest.rows[2].landmarks)[36];
  EXPECT_NE(error(training_options(2)).find("manifest.csv, row 4: landmarks 8, 36 and 45"), std::string::npos);
  manifest.rows[2].landmarks.reset();
  EXPECT_NE(error(training_options(2)).find("manifest.csv, row 4: has no landmarks"), std::string::npos);
}

TEST(Loader, UncodedRowsDoNotTrain) {
  const TemporaryFolder folder;
  Manifest manifest = write_test_faces(folder.path(), 6);
  for (const size_t i : {1u, 4u}) manifest.rows[i].intensities[1] = kNotCoded;
  manifest.rows[4].landmarks.reset();  // need not even have any
  Loader loader(manifest, training_options(4));
  EXPECT_EQ(loader.row_count(), 4);
  Batch batch;
  loader.make_batch(0, batch);
  EXPECT_EQ(std::set<int>(batch.rows.begin(), batch.rows.end()), (std::set<int>{0, 2, 3, 5}));

  LoaderOptions both = training_options(5);
  both.aus = {"AU12", "AU06"};
  manifest.rows[4].landmarks = manifest.rows[0].landmarks;
  Loader two(manifest, both);
  EXPECT_EQ(two.row_count(), 6);  // AU06 is coded
  two.make_batch(0, batch);
  for (size_t i = 0; i < 5; ++i) {
    const bool coded = batch.rows[i] != 1 && batch.rows[i] != 4;
    EXPECT_EQ(batch.intensities[2 * i] >= 0, coded);
    EXPECT_GE(batch.intensities[2 * i + 1], 0);
  }

  for (ManifestRow& row : manifest.rows) row.intensities[1] = kNotCoded;
  EXPECT_NE(error_of([&] { Loader none(manifest, training_options(4)); }).find("none of its 6 rows is coded"),
            std::string::npos);
}

TEST(Loader, AbsentPointsAreNotANumber) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 2);
  LoaderOptions options = evaluation_options(2);
  options.aus = {"AU12", "AU06"};
  options.table = parse_au_table("AU06: 1 2 3\nAU12: 48\n", "table");
  Loader loader(manifest, options);
  ASSERT_EQ(loader.points_per_map(), 3);
  Batch batch;
  loader.make_batch(0, batch);
  ASSERT_EQ(batch.points.size(), 2u * 2 * 3 * 2);
  for (size_t i = 0; i < batch.points.size(); ++i) {
    const bool absent = i / 6 % 2 == 0 && i % 6 >= 2;  // AU12's second and third
    EXPECT_EQ(std::isnan(batch.points[i]), absent) << i;
  }
}

TEST(Loader, AnotherPictureTakesTheUnreadableOnesPlace) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 7);
  LoaderOptions options = training_options(3);
  options.skip_unreadable = true;
  std::vector<Batch> whole(8);
  {
    Loader loader(manifest, options);
    for (size_t i = 0; i < whole.size(); ++i) loader.make_batch(static_cast<int64_t>(i), whole[i]);
  }
  write_file(folder / "face_2.png", "not a picture");
  Manifest damaged = manifest;
  damaged.rows[5].landmarks = test_landmarks(-500, 60, 30, 0);
  const auto is_unreadable = [](int row) { return row == 2 || row == 5; };

  Loader loader(damaged, options), other(damaged, options);
  loader.start(0, 8);
  Batch again;
  for (const Batch& before : whole) {
    const Batch& batch = loader.next();
    ASSERT_EQ(batch.rows.size(), 3u);
    EXPECT_EQ(batch.pictures.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_FALSE(is_unreadable(batch.rows[i]));
      EXPECT_TRUE(is_unreadable(before.rows[i]) || batch.rows[i] == before.rows[i]);
    }
    other.make_batch(&before - whole.data(), again);
    expect_equal(batch, again);
  }
  EXPECT_EQ(loader.unreadable_rows(), (std::vector<int>{2, 5}));
  const std::vector<DataProblem> problems = loader.take_problems();
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_TRUE(loader.take_problems().empty());
  const bool first = std::string(problems[0].what()).find("manifest.csv, row 4: ") != std::string::npos;
  EXPECT_NE(std::string(problems[first ? 0 : 1].what()).find("face_2.png: is not a JPEG"), std::string::npos);
  EXPECT_NE(std::string(problems[first ? 1 : 0].what()).find("row 7: the landmarks lie outside"), std::string::npos);

  LoaderOptions evaluating = evaluation_options(3);
  evaluating.skip_unreadable = true;
  Loader evaluation(damaged, evaluating);
  evaluation.make_batch(0, again);
  EXPECT_EQ(again.rows, (std::vector<int>{0, 1}));

  options.skip_unreadable = false;
  Loader strict(damaged, options);
  EXPECT_NE(error_of([&] {
              for (int i = 0; i < 8; ++i) strict.make_batch(i, again);
            }).find("row "),
            std::string::npos);

  for (int i = 0; i < 7; ++i) write_file(folder / fmt::format("face_{}.png", i), "");
  options.skip_unreadable = true;
  Loader none(manifest, options);
  EXPECT_NE(error_of([&] { none.make_batch(0, again); }).find("none of its pictures can be read: "), std::string::npos);
}

}  // namespace
}  // namespace sandglass
