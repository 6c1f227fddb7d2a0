// The synthetic faces: determinism, landmarks that follow the features, intensities that show where FACS says, and
// dlib's opinion on whether they are faces.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>

#include "engine/error.h"
#include "engine/file.h"
#include "face/detector.h"
#include "train/synth/dataset.h"
#include "train/synth/landmarks.h"
#include "train/synth/rasterizer.h"
#include "train/synth/render.h"

namespace sandglass::synth {
namespace {

constexpr uint64_t kSeed = 11;

// A folder that is removed at the end of the test.
struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("sandglass_synth_{}", testing::UnitTest::GetInstance()->current_test_info()->name());
  TemporaryFolder() { std::filesystem::remove_all(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files[entry.path().filename()] = read_file(entry.path());
  return files;
}

TEST(SynthDataset, SameBytesWithAnyNumberOfThreads) {
  const TemporaryFolder folder;
  SynthOptions options{.out = folder.path / "one", .subjects = 3, .images_per_subject = 7, .seed = 5, .size = 96};
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  write_synthetic_dataset(options);
  omp_set_num_threads(3);
  options.out = folder.path / "three";
  write_synthetic_dataset(options);
  omp_set_num_threads(threads);
  const auto one = contents(folder.path / "one");
  EXPECT_EQ(one.size(), 3 * 7 + 1u);
  EXPECT_TRUE(one == contents(folder.path / "three"));
  options.out = folder.path / "other_seed";
  options.seed = 6;
  write_synthetic_dataset(options);
  EXPECT_NE(one.at("s000_0000.jpg"), contents(options.out).at("s000_0000.jpg"));
}

TEST(SynthDataset, ManifestHasIntegerIntensitiesAndLandmarksInThePicture) {
  const TemporaryFolder folder;
  write_synthetic_dataset({.out = folder.path, .subjects = 2, .images_per_subject = 10, .seed = 3, .size = 128});
  std::istringstream manifest(read_file(folder.path / "manifest.csv"));
  std::string line, cell;
  std::getline(manifest, line);
  EXPECT_TRUE(line.starts_with("image,subject,AU06,AU10,AU12,AU14,AU17,x_0,x_1,"));
  EXPECT_TRUE(line.ends_with(",y_66,y_67"));
  EXPECT_EQ(std::count(line.begin(), line.end(), ','), 1 + 5 + 2 * 68);
  int rows = 0, inside = 0;
  while (std::getline(manifest, line)) {
    ++rows;
    std::istringstream cells(line);
    std::getline(cells, cell, ',');
    const Image image = read_image(folder.path / cell);
    EXPECT_EQ(image.width, 128);
    EXPECT_EQ(image.height, 128);
    std::getline(cells, cell, ',');
    for (int k = 0; k < 5; ++k) {
      std::getline(cells, cell, ',');
      ASSERT_EQ(cell.size(), 1u) << line;
      EXPECT_TRUE(cell[0] >= '0' && cell[0] <= '5') << line;
    }
    while (std::getline(cells, cell, ',')) inside += std::stof(cell) >= 0 && std::stof(cell) <= 127;
  }
  EXPECT_EQ(rows, 20);
  EXPECT_GE(inside, 20 * 136 * 97 / 100);
}

TEST(SynthDataset, SequencesMoveSmoothlyThroughExpressions) {
  const TemporaryFolder folder;
  constexpr int kFrames = 3 * kFramesPerSecond + 10, kPeak = 45;  // one expression and the beginning of the next
  write_synthetic_dataset(
      {.out = folder.path, .subjects = 1, .images_per_subject = kFrames, .size = 64, .sequence = true});
  std::istringstream manifest(read_file(folder.path / "manifest.csv"));
  std::string line, cell;
  std::getline(manifest, line);
  std::vector<std::vector<float>> rows;
  while (std::getline(manifest, line)) {
    std::istringstream cells(line.substr(line.find(",s000,") + 6));
    for (rows.emplace_back(); std::getline(cells, cell, ',');) rows.back().push_back(std::stof(cell));
  }
  ASSERT_EQ(rows.size(), size_t{kFrames});
  const auto sum = [](const std::vector<float>& row) { return std::accumulate(row.begin(), row.begin() + 5, 0.0f); };
  EXPECT_EQ(sum(rows[0]), 0);
  EXPECT_GE(sum(rows[kPeak]), 1);
  EXPECT_EQ(sum(rows[kPeak]), std::round(sum(rows[kPeak])));
  EXPECT_EQ(sum(rows[3 * kFramesPerSecond]), 0);
  for (size_t frame = 1; frame < rows.size(); ++frame) {
    for (size_t i = 0; i < rows[frame].size(); ++i)
      ASSERT_NEAR(rows[frame][i], rows[frame - 1][i], 0.5) << "frame " << frame << ", value " << i;
  }
}

TEST(SynthDataset, RefusesWhatItCannotDo) {
  const TemporaryFolder folder;
  const auto message = [](const SynthOptions& options) -> std::string {
    try {
      write_synthetic_dataset(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const SynthOptions good{.out = folder.path, .subjects = 1, .images_per_subject = 1, .seed = 1, .size = 64};
  SynthOptions bad = good;
  bad.subjects = 0;
  EXPECT_NE(message(bad).find("subjects is 0"), std::string::npos);
  bad = good;
  bad.images_per_subject = -3;
  EXPECT_NE(message(bad).find("images per subject is -3"), std::string::npos);
  bad = good;
  bad.size = 5000;
  EXPECT_NE(message(bad).find("size is 5000"), std::string::npos);
  bad = good;
  bad.out = "/proc/no/such/place";
  EXPECT_NE(message(bad).find("/proc/no/such/place"), std::string::npos);
  EXPECT_EQ(message(good), "");
  EXPECT_NE(message(good).find("manifest.csv exists already"), std::string::npos);
}

TEST(SynthExpression, LevelsHaveTheStatedShareOfZerosAndCorrelations) {
  constexpr int kCount = 4000;
  Random random(kSeed);
  std::array<std::array<double, kCount>, kLabelledUnits> level;
  for (int i = 0; i < kCount; ++i) {
    const Expression expression = random_expression(random);
    for (int k = 0; k < kLabelledUnits; ++k) {
      level[k][i] = expression.intensity[k];
      ASSERT_TRUE(level[k][i] >= 0 && level[k][i] <= 5 && level[k][i] == std::round(level[k][i]));
    }
  }
  const auto mean = [](const auto& v) { return std::accumulate(v.begin(), v.end(), 0.0) / kCount; };
  const auto covariance = [&](const auto& a, const auto& b) {
    double sum = 0;
    for (int i = 0; i < kCount; ++i) sum += (a[i] - mean(a)) * (b[i] - mean(b));
    return sum / kCount;
  };
  for (const auto& unit : level) {
    EXPECT_NEAR(std::count(unit.begin(), unit.end(), 0.0) / double(kCount), 0.45, 0.03);
    EXPECT_GT(std::count(unit.begin(), unit.end(), 5.0), 0.04 * kCount);
  }
  const int cheek = int(ActionUnit::cheek_raiser), corner = int(ActionUnit::lip_corner_puller);
  EXPECT_NEAR(covariance(level[cheek], level[corner]) /
                  std::sqrt(covariance(level[cheek], level[cheek]) * covariance(level[corner], level[corner])),
              0.6, 0.08);
}

// Landmarks of a frontal face, mm, y up (the camera is so far that perspective vanishes).
Landmarks frontal_landmarks(const Person& person, const Expression& expression) {
  const Camera camera = make_camera({}, 1e5f, 256, 0, 0, 256);
  Landmarks landmarks =
      project_landmarks(express(person.head, person.shape, person.appearance.mobility, expression), camera);
  for (Point& point : landmarks) point.y = -point.y;
  return landmarks;
}

// A number measured on the landmarks while one unit goes from 0 to 5.
template <typename Measure>
std::vector<float> over_levels(const Person& person, ActionUnit unit, Measure&& measure) {
  std::vector<float> values;
  for (int level = 0; level <= 5; ++level) {
    Expression expression;
    expression[unit] = static_cast<float>(level);
    values.push_back(measure(frontal_landmarks(person, expression)));
  }
  return values;
}

void expect_rising(const std::vector<float>& values, float at_least) {
  for (size_t i = 1; i < values.size(); ++i) EXPECT_GT(values[i], values[i - 1]);
  EXPECT_GE(values.back() - values.front(), at_least);
}

TEST(SynthLandmarks, FollowEachUnitAsFacsDescribes) {
  for (int subject = 0; subject < 6; ++subject) {
    SCOPED_TRACE(subject);
    const Person person = make_person(kSeed, subject);
    const auto rise = [](int k) { return [k](const Landmarks& l) { return l[k].y; }; };
    const auto eye_closing = [](const Landmarks& l) { return -(l[37].y - l[41].y + l[38].y - l[40].y); };
    const auto mouth_width = [](const Landmarks& l) { return l[54].x - l[48].x; };
    expect_rising(over_levels(person, ActionUnit::lip_corner_puller, rise(48)), 6);
    expect_rising(over_levels(person, ActionUnit::lip_corner_puller, rise(54)), 6);
    expect_rising(over_levels(person, ActionUnit::lip_corner_puller, mouth_width), 8);
    expect_rising(over_levels(person, ActionUnit::cheek_raiser, eye_closing), 4);
    expect_rising(over_levels(person, ActionUnit::cheek_raiser, rise(41)), 1.5f);
    expect_rising(over_levels(person, ActionUnit::upper_lip_raiser, rise(50)), 3);
    expect_rising(over_levels(person, ActionUnit::upper_lip_raiser, rise(52)), 3);
    expect_rising(over_levels(person, ActionUnit::chin_raiser, rise(57)), 3);
    expect_rising(over_levels(person, ActionUnit::chin_raiser, [](const Landmarks& l) { return -l[48].y; }), 1.5f);
    expect_rising(over_levels(person, ActionUnit::dimpler, mouth_width), 2);
    const std::vector<float> dimpled = over_levels(person, ActionUnit::dimpler, rise(48));
    EXPECT_LT(std::abs(dimpled.back() - dimpled.front()), 2);  // no smile
    expect_rising(over_levels(person, ActionUnit::inner_brow_raiser, rise(21)), 3);
    expect_rising(over_levels(person, ActionUnit::outer_brow_raiser, rise(18)), 3);
    expect_rising(over_levels(person, ActionUnit::brow_lowerer, [](const Landmarks& l) { return -l[21].y; }), 2.5f);
    expect_rising(over_levels(person, ActionUnit::lips_part, [](const Landmarks& l) { return l[62].y - l[66].y; }), 4);
    expect_rising(over_levels(person, ActionUnit::jaw_drop, [](const Landmarks& l) { return -l[8].y; }), 8);
  }
}

TEST(SynthLandmarks, LieInTheOrderOfTheMarkup) {
  for (int subject = 0; subject < 20; ++subject) {
    SCOPED_TRACE(subject);
    const Person person = make_person(kSeed, subject);
    const Landmarks l = frontal_landmarks(person, {});
    for (int k = 1; k <= 16; ++k) {
      // Around the face: the cheek may stand out past the temple, but around the chin there is no way back.
      EXPECT_GT(l[k].x, l[k - 1].x - (k >= 5 && k <= 12 ? 0 : 10));
    }
    for (int k = 18; k <= 26; ++k) EXPECT_GT(l[k].x, l[k - 1].x);  // along the brows
    for (int k = 28; k <= 30; ++k) EXPECT_LT(l[k].y, l[k - 1].y);  // down the nose
    EXPECT_GT(l[19].y, l[37].y);                                   // brow over lid
    EXPECT_GT(l[37].y, l[41].y);                                   // upper over lower lid
    EXPECT_LT(l[36].x, l[39].x);
    EXPECT_GT(l[33].y, l[51].y);  // nose over lip
    EXPECT_GT(l[51].y, l[62].y);
    EXPECT_NEAR(l[62].y, l[66].y, 0.05);  // a closed mouth
    EXPECT_GT(l[66].y, l[57].y);
    EXPECT_GT(l[57].y, l[8].y);
  }
}

TEST(SynthRender, EachUnitChangesThePictureWhereFacsSays) {
  // The landmarks near which the unit shows.
  const std::map<ActionUnit, std::vector<int>> places = {{ActionUnit::cheek_raiser, {36, 41, 46, 45, 1, 15, 40, 47}},
                                                         {ActionUnit::upper_lip_raiser, {31, 35, 50, 52}},
                                                         {ActionUnit::lip_corner_puller, {48, 54}},
                                                         {ActionUnit::dimpler, {48, 54}},
                                                         {ActionUnit::chin_raiser, {57, 8, 62}}};
  constexpr int kSize = 256;
  Renderer renderer;
  for (int subject = 0; subject < 4; ++subject) {
    const Person person = make_person(kSeed, subject);
    Scene scene = make_scene(kSeed, subject, 0, person, kSize);
    scene.pose = {};
    scene.quality = {};
    scene.expression = {};
    const Picture neutral = renderer.render(person, scene, kSize, kSeed);
    const float eyes = neutral.landmarks[45].x - neutral.landmarks[36].x;
    for (const auto& [unit, points] : places) {
      SCOPED_TRACE(fmt::format("subject {} AU{}", subject, kFacsNumber[static_cast<int>(unit)]));
      std::vector<double> change;  // mean square difference from neutral by level
      for (float level : {1.0f, 3.0f, 5.0f}) {
        scene.expression = {};
        scene.expression[unit] = level;
        const Picture picture = renderer.render(person, scene, kSize, kSeed);
        double near = 0, all = 0;
        for (int y = 0; y < kSize; ++y) {
          for (int x = 0; x < kSize; ++x) {
            const double d = double(picture.image.at(y, x)[1]) - neutral.image.at(y, x)[1];
            bool close = false;
            for (int k : points)
              close |= std::hypot(x - neutral.landmarks[k].x, y - neutral.landmarks[k].y) < 0.33f * eyes;
            all += d * d;
            near += close ? d * d : 0;
          }
        }
        EXPECT_GT(near, 0.6 * all) << "level " << level;
        change.push_back(all);
      }
      EXPECT_GT(change[0], 0);
      EXPECT_GT(change[1], 1.5 * change[0]);
      EXPECT_GT(change[2], change[1]);
    }
  }
}

TEST(SynthRender, SamePictureFromAnyRenderer) {
  const Person person = make_person(kSeed, 1);
  const Scene scene = make_scene(kSeed, 1, 4, person, 128);
  Renderer used, fresh;
  used.render(make_person(kSeed, 2), make_scene(kSeed, 2, 0, make_person(kSeed, 2), 160), 160, kSeed);
  EXPECT_EQ(used.render(person, scene, 128, kSeed).image.rgb, fresh.render(person, scene, 128, kSeed).image.rgb);
  EXPECT_LE(std::abs(scene.pose.yaw), 20);
  EXPECT_LE(std::abs(scene.pose.pitch), 15);
  EXPECT_LE(std::abs(scene.pose.roll), 15);
}

TEST(SynthRasterizer, NearerSurfaceWinsAndNeighboursLeaveNoGap) {
  // A square of two triangles that face the viewer, counter-clockwise with y upwards, and a nearer small one.
  const std::vector<ScreenVertex> vertices = {{2, 20.5f, 1}, {20.5f, 20, 1}, {20, 2.5f, 1}, {2.5f, 2, 1},
                                              {5, 12, 2},    {12, 12, 2},    {12, 5, 2}};
  const std::vector<Quad> quads = {{0, 1, 2, 3}, {4, 5, 6, 5}};
  VisibilityBuffer buffer;
  buffer.clear(24, 24);
  buffer.draw(vertices, quads, 100, false);
  for (int y = 3; y < 20; ++y) {
    for (int x = 3; x < 20; ++x) EXPECT_NE(buffer.triangle(x, y), VisibilityBuffer::kNothing) << x << ' ' << y;
  }
  EXPECT_EQ(buffer.triangle(10, 10), 102u);
  EXPECT_FLOAT_EQ(buffer.inverse_depth(10, 10), 2);
  EXPECT_EQ(buffer.triangle(0, 0), VisibilityBuffer::kNothing);
  EXPECT_EQ(buffer.triangle(22, 10), VisibilityBuffer::kNothing);
}

TEST(SynthDetection, DlibFindsTheFacesAndAgreesOnTheirLandmarks) {
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
  std::unique_ptr<FaceDetector> detector;
  try {
    detector = std::make_unique<FaceDetector>();
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  constexpr int kPictures = 200, kSize = 256;
  Renderer renderer;
  int found = 0;
  std::vector<float> differences;
  for (int subject = 0; subject < kPictures; ++subject) {
    const Person person = make_person(kSeed, subject);
    const Picture picture = renderer.render(person, make_scene(kSeed, subject, 0, person, kSize), kSize, kSeed);
    const std::vector<Face> faces = detector->detect(picture.image);
    if (faces.empty()) continue;
    const Landmarks& exact = picture.landmarks;
    const float eyes = std::hypot(exact[45].x - exact[36].x, exact[45].y - exact[36].y);
    float sum = 0;
    for (int k = 0; k < 68; ++k) {
      const float difference =
          std::hypot(faces[0].landmarks[k].x - exact[k].x, faces[0].landmarks[k].y - exact[k].y) / eyes;
      sum += difference;
      differences.push_back(difference);
    }
    found += sum / 68 < 0.3f;  // the face, not something else
  }
  EXPECT_GE(found, kPictures * 90 / 100);
  std::nth_element(differences.begin(), differences.begin() + differences.size() / 2, differences.end());
  const float median = differences[differences.size() / 2];
  EXPECT_LE(median, 0.08f);
  RecordProperty("found", found);
  fmt::print("dlib found {} of {}; median difference {:.4f} of the outer eye corners' distance\n", found, kPictures,
             median);
}

}  // namespace
}  // namespace sandglass::synth
