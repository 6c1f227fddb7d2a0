#include "infer/pipeline.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cmath>
#include <limits>
#include <thread>

#include "engine/random.h"
#include "face/stage.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr int kSide = 64, kMap = 16, kAus = 3;

Weights small_weights() {
  return initial_weights({.width = 16, .depth = 2, .heatmaps = kAus, .input_size = kSide}, {"AU01", "AU02", "AU04"}, 5);
}

// Smooth random colours.
Image picture(int height, int width, uint64_t seed) {
  Random random(seed);
  std::vector<float> waves;
  for (int i = 0; i < 12; ++i) waves.push_back(random.uniform(0.01f, 0.15f));
  Image image(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (size_t c = 0; c < 3; ++c) {
        const float wave =
            std::sin(static_cast<float>(x) * waves[4 * c]) * std::cos(static_cast<float>(y) * waves[4 * c + 1]) +
            std::sin(static_cast<float>(x + y) * waves[4 * c + 2]);
        image.at(y, x)[c] = static_cast<uint8_t>(127 + 60 * wave);
      }
    }
  }
  return image;
}

// 68 landmarks whose registration to 256 pixels is known: the three that it rests on lie at their places, moved by
// `map`.
Landmarks landmarks(const Affine& map) {
  Landmarks made;
  for (size_t i = 0; i < 68; ++i)
    made[i] = map.apply(Point{60.0f + static_cast<float>(i), 90.0f + static_cast<float>(i % 9)});
  for (size_t i = 0; i < 3; ++i)
    made[static_cast<size_t>(kRegistrationLandmarks[i])] = map.apply(kRegistrationPlaces[i]);
  return made;
}

// Registered face of 256 pixels to picture: turned, 0.7 times as large, moved.
const Affine kPose{{{{0.7, -0.1, 30}, {0.1, 0.7, 20}}}};

class PipelineTest : public testing::Test {
 protected:
  PipelineTest() : given("landmarks") {}

  // A new picture file with a face in each of `poses`.
  std::filesystem::path add(const std::string& name, const std::vector<Affine>& poses, int height = 240,
                            int width = 260) {
    write_image(folder / name, picture(height, width, ++seed));
    given.add_picture(folder / name);
    for (const Affine& pose : poses) given.add_face(folder / name, landmarks(pose));
    return folder / name;
  }
  InferenceOptions options() const {
    InferenceOptions made;
    made.device.name = "cpu";
    made.landmarks = &given;
    made.keep_heatmaps = true;
    return made;
  }
  static std::vector<PicturePrediction> run(InferencePipeline& pipeline,
                                            const std::vector<std::filesystem::path>& paths) {
    std::vector<PicturePrediction> made;
    const InputList list = find_inputs(paths);
    pipeline.run(list.inputs, [&](PicturePrediction& prediction) { made.push_back(std::move(prediction)); });
    return made;
  }
  std::vector<PicturePrediction> run(const InferenceOptions& with, const std::vector<std::filesystem::path>& paths) {
    InferencePipeline pipeline(small_weights(), with);
    return run(pipeline, paths);
  }

  const TemporaryFolder folder;
  GivenLandmarks given;
  uint64_t seed = 0;
};

void expect_same(const PicturePrediction& a, const PicturePrediction& b) {
  EXPECT_EQ(a.path, b.path);
  EXPECT_EQ(a.error, b.error);
  ASSERT_EQ(a.faces.size(), b.faces.size());
  for (size_t i = 0; i < a.faces.size(); ++i) {
    EXPECT_EQ(a.faces[i].heatmaps, b.faces[i].heatmaps);
    EXPECT_EQ(a.faces[i].aus, b.faces[i].aus);
  }
}

TEST_F(PipelineTest, PeaksLieWhereTheHeatmapsSay) {
  const auto predictions = run(options(), {add("1.png", {kPose})});
  ASSERT_EQ(predictions.size(), 1u);
  ASSERT_EQ(predictions[0].error, "");
  EXPECT_EQ(predictions[0].width, 260);
  EXPECT_EQ(predictions[0].height, 240);
  ASSERT_EQ(predictions[0].faces.size(), 1u);
  const FacePrediction& face = predictions[0].faces[0];
  ASSERT_EQ(face.heatmaps.size(), size_t{kAus} * kMap * kMap);
  ASSERT_EQ(face.aus.size(), size_t{kAus});
  for (int k = 0; k < kAus; ++k) {
    const float* map = face.heatmaps.data() + k * kMap * kMap;
    const int at = static_cast<int>(std::max_element(map, map + kMap * kMap) - map);
    EXPECT_EQ(face.aus[static_cast<size_t>(k)].height, map[at]);
    // Pixel (u, v) of the map covers 4 x 4 pixels of the registered face of 64 pixels, which covers what the one of 256
    // covers; pixel centres are whole numbers everywhere. The peak is refined by at most half a map pixel.
    const double u = at % kMap, v = at / kMap;
    const auto in_256 = [](double map_pixel) { return (map_pixel + 0.5) * (256 / kMap) - 0.5; };
    const Point expected = kPose.apply(Point{static_cast<float>(in_256(u)), static_cast<float>(in_256(v))});
    const Point found = face.aus[static_cast<size_t>(k)].in_picture;
    const double dx = found.x - expected.x, dy = found.y - expected.y;
    // Undo the pose: how far off in map pixels?
    const double determinant = 0.7 * 0.7 + 0.1 * 0.1;
    EXPECT_LE(std::abs(0.7 * dx + 0.1 * dy) / determinant, 8.001);
    EXPECT_LE(std::abs(-0.1 * dx + 0.7 * dy) / determinant, 8.001);
    // And the refinement itself: the vertex of the parabola through the maximum and its neighbours.
    const auto vertex = [&](double left, double middle, double right) {
      return left - 2 * middle + right == 0 ? 0.0 : 0.5 * (left - right) / (left - 2 * middle + right);
    };
    double fine_u = u, fine_v = v;
    if (u > 0 && u < kMap - 1) fine_u += vertex(map[at - 1], map[at], map[at + 1]);
    if (v > 0 && v < kMap - 1) fine_v += vertex(map[at - kMap], map[at], map[at + kMap]);
    const Point exact = kPose.apply(Point{static_cast<float>(in_256(fine_u)), static_cast<float>(in_256(fine_v))});
    EXPECT_NEAR(found.x, exact.x, 0.01);
    EXPECT_NEAR(found.y, exact.y, 0.01);
  }
}

TEST_F(PipelineTest, ARegisteredFaceGivesWhatItsPhotographGives) {
  // A photograph of 256 x 256 pixels in which the face already lies as registration would place it.
  const auto path = add("1.png", {Affine{}}, 256, 256);
  InferenceOptions registered = options();
  registered.landmarks = nullptr;
  registered.registered = true;
  const auto as_photograph = run(options(), {path}), as_it_is = run(registered, {path});
  ASSERT_EQ(as_it_is.at(0).error, "");
  ASSERT_EQ(as_it_is[0].faces.size(), 1u);
  EXPECT_FALSE(as_it_is[0].faces[0].landmarks.has_value());
  EXPECT_FALSE(as_it_is[0].faces[0].confidence.has_value());
  for (size_t k = 0; k < kAus; ++k) {
    const AuPrediction &a = as_photograph[0].faces[0].aus[k], &b = as_it_is[0].faces[0].aus[k];
    EXPECT_NEAR(a.height, b.height, 1e-4);
    EXPECT_NEAR(a.in_picture.x, b.in_picture.x, 0.01);
    EXPECT_NEAR(a.in_picture.y, b.in_picture.y, 0.01);
  }
  const auto wide = run(registered, {add("2.png", {}, 64, 65)});
  EXPECT_THAT(wide[0].error, HasSubstr("2.png: is 65 x 64 pixels; a registered face is a square"));
}

TEST_F(PipelineTest, PredictionsDoNotDependOnBatchNeighboursOrThreads) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 7; ++i) {
    const double turn = 0.02 * i;
    const Affine pose{{{{0.7, -turn, 30.0 + i}, {turn, 0.65, 20}}}};
    paths.push_back(add(fmt::format("{}.png", i), std::vector<Affine>(static_cast<size_t>(i % 3), pose)));
  }
  InferenceOptions with = options();
  with.batch = 4;
  InferencePipeline pipeline(small_weights(), with);
  const auto together = run(pipeline, paths);
  ASSERT_EQ(together.size(), paths.size());
  with.workers = 1;
  const auto one_worker = run(with, paths);
  for (size_t i = 0; i < paths.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(together[i].faces.size(), i % 3);
    expect_same(together[i], one_worker[i]);
    expect_same(together[i], run(pipeline, {paths[i]})[0]);  // alone in its batch
  }
  // Another batch size may choose another algorithm, whose sums round differently.
  const auto single = run(options(), paths);
  for (size_t i = 0; i < paths.size(); ++i) {
    for (size_t f = 0; f < together[i].faces.size(); ++f) {
      for (size_t e = 0; e < together[i].faces[f].heatmaps.size(); ++e)
        ASSERT_NEAR(together[i].faces[f].heatmaps[e], single[i].faces[f].heatmaps[e], 1e-5);
    }
  }
}

TEST_F(PipelineTest, OneBadInputDoesNotStopTheOthers) {
  const auto good = add("1.png", {kPose}), faceless = add("2.png", {}), last = add("9.png", {kPose, kPose});
  folder.write("3.png", "not a picture");
  folder.write("4.png", "");
  folder.write("5.png", folder.read("1.png").substr(0, 500));
  write_image(folder / "6.png", picture(50, 50, 1));  // no landmarks given
  Landmarks flat = landmarks(kPose);
  for (Point& point : flat) point.y = 7;
  write_image(folder / "7.png", picture(50, 50, 2));
  given.add_face(folder / "7.png", flat);
  for (const int batch : {1, 4}) {
    InferenceOptions with = options();
    with.batch = batch;
    const auto predictions = run(with, {good, faceless, folder / "3.png", folder / "4.png", folder / "5.png",
                                        folder / "6.png", folder / "7.png", folder / "8.png", last});
    ASSERT_EQ(predictions.size(), 9u);
    for (const size_t i : {0, 1, 8}) EXPECT_EQ(predictions[i].error, "");
    EXPECT_EQ(predictions[0].faces.size(), 1u);
    EXPECT_EQ(predictions[1].faces.size(), 0u);
    EXPECT_EQ(predictions[8].faces.size(), 2u);
    const char* reasons[] = {"is not a JPEG, PNG or BMP", "is empty",      "truncated",
                             "has no landmarks",          "lie on a line", "no such file"};
    for (size_t i = 2; i < 8; ++i) {
      EXPECT_THAT(predictions[i].error, StartsWith(predictions[i].path.string()));
      EXPECT_THAT(predictions[i].error, HasSubstr(reasons[i - 2]));
      EXPECT_TRUE(predictions[i].faces.empty());
    }
  }
}

TEST_F(PipelineTest, TakesTheFirstFacesOnly) {
  const Affine other{{{{0.5, 0, 30}, {0, 0.5, 20}}}};
  InferenceOptions with = options();
  with.max_faces = 2;
  const auto predictions = run(with, {add("1.png", {kPose, other, kPose})});
  ASSERT_EQ(predictions[0].faces.size(), 2u);
  EXPECT_NEAR((*predictions[0].faces[1].landmarks)[8].x, other.apply(kRegistrationPlaces[0]).x, 1e-4);
}

TEST_F(PipelineTest, KeepsImagesAndHeatmapsOnlyIfAsked) {
  const auto path = add("1.png", {kPose});
  InferenceOptions with = options();
  with.keep_heatmaps = false;
  EXPECT_TRUE(run(with, {path})[0].faces[0].heatmaps.empty());
  EXPECT_TRUE(run(with, {path})[0].image.rgb.empty());
  with.keep_images = true;
  EXPECT_EQ(run(with, {path})[0].image.rgb, read_image(path).rgb);
}

TEST_F(PipelineTest, MemoryDoesNotGrowWithTheNumberOfInputs) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps 256 MB of freed memory";
#endif
  constexpr int kPictures = 100;
  const auto path = add("large.bmp", {kPose}, 1500, 2000);  // 9 MB decoded, and kept for the sink
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < kPictures; ++i) {
    paths.push_back(folder / fmt::format("{}.bmp", i));
    std::filesystem::create_symlink(path, paths.back());
  }
  InferenceOptions with = options();
  with.keep_images = true;
  with.workers = 4;
  const auto peak_mb = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  InferencePipeline pipeline(small_weights(), with);
  run(pipeline, {path});
  const auto before = peak_mb();
  int count = 0;
  pipeline.run(find_inputs(paths).inputs, [&](const PicturePrediction& prediction) {
    EXPECT_EQ(prediction.error, "");
    ++count;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // slower than the workers
  });
  EXPECT_EQ(count, kPictures);
  // Five pictures are prepared and four more being decoded (file, stb's copy, ours): 17 x 9 MB; all would be 900 MB.
  EXPECT_LT(peak_mb() - before, 300);
}

TEST_F(PipelineTest, WhatTheSinkThrowsEndsTheRun) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 20; ++i) paths.push_back(add(fmt::format("{}.png", i), {kPose}));
  InferencePipeline pipeline(small_weights(), options());
  const InputList list = find_inputs(paths);
  int seen = 0;
  EXPECT_EQ(error_of([&] {
              pipeline.run(list.inputs, [&](PicturePrediction&) {
                if (++seen == 3) fail("the disk is full");
              });
            }),
            "the disk is full");
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(run(pipeline, paths).size(), 20u);  // and the next run is as good as ever
}

TEST_F(PipelineTest, EndsWhenInterrupted) {
  std::atomic<bool> interrupted = false;
  InferenceOptions with = options();
  with.interrupted = &interrupted;
  InferencePipeline pipeline(small_weights(), with);
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < 5; ++i) paths.push_back(add(fmt::format("{}.png", i), {kPose}));
  const InputList list = find_inputs(paths);
  int seen = 0;
  EXPECT_FALSE(pipeline.run(list.inputs, [&](PicturePrediction&) { interrupted = ++seen == 2; }));
  EXPECT_EQ(seen, 2);
  interrupted = false;
  EXPECT_TRUE(pipeline.run(list.inputs, [](PicturePrediction&) {}));
}

// Registered faces as the frames of a video, and as photographs: `folder`/NAME/0.png, 1.png, ...
class PipelineVideoTest : public PipelineTest {
 protected:
  std::filesystem::path add_frames(const std::string& name, int frames) {
    std::filesystem::create_directories(folder / name);
    for (int i = 0; i < frames; ++i) add(fmt::format("{}/{}.png", name, i), {}, 80, 80);
    return folder / name;
  }
  static InferenceOptions options() {
    InferenceOptions made;
    made.device.name = "cpu";
    made.registered = made.keep_heatmaps = true;
    made.video.rate = 10;
    return made;
  }
  static std::vector<PicturePrediction> run(const InferenceOptions& with,
                                            const std::vector<std::filesystem::path>& paths, bool sequences) {
    std::vector<PicturePrediction> made;
    const InputList list = find_inputs(paths, {.sequences = sequences});
    InferencePipeline(small_weights(), with).run(list.inputs, [&](PicturePrediction& prediction) {
      made.push_back(std::move(prediction));
    });
    return made;
  }
};

TEST_F(PipelineVideoTest, AFrameGivesWhatThePhotographGives) {
  const auto first = add_frames("a", 7), second = add_frames("b", 3);
  const auto photographs = run(options(), {first, second}, false);
  ASSERT_EQ(photographs.size(), 10u);
  for (const auto& [batch, workers, piece] : {std::tuple(1, 1, 10), {1, 4, 1}, {4, 2, 3}, {16, 3, 7}}) {
    SCOPED_TRACE(fmt::format("batch {}, {} workers, pieces of {}", batch, workers, piece));
    InferenceOptions with = options();
    with.batch = batch;
    with.workers = workers;
    with.detect_every = piece;
    const auto frames = run(with, {first, second}, true);
    ASSERT_EQ(frames.size(), 10u);
    for (size_t i = 0; i < 10; ++i) {
      SCOPED_TRACE(i);
      EXPECT_EQ(frames[i].error, "");
      EXPECT_EQ(frames[i].path, i < 7 ? first : second);
      EXPECT_EQ(frames[i].input, i < 7 ? 0u : 1u);
      ASSERT_TRUE(frames[i].frame.has_value());
      EXPECT_EQ(frames[i].frame->number, i < 7 ? i : i - 7);
      EXPECT_NEAR(frames[i].frame->seconds, 0.1 * static_cast<double>(frames[i].frame->number), 1e-9);
      ASSERT_EQ(frames[i].faces.size(), 1u);
      EXPECT_EQ(frames[i].faces[0].id, 0);
      for (size_t e = 0; e < frames[i].faces[0].heatmaps.size(); ++e)
        ASSERT_NEAR(frames[i].faces[0].heatmaps[e], photographs[i].faces[0].heatmaps[e], 1e-5);
    }
  }
}

TEST_F(PipelineVideoTest, ReadsThePartThatIsAskedFor) {
  const auto frames = add_frames("a", 9);
  InferenceOptions with = options();
  with.video.start = 0.2;
  with.video.end = 0.75;
  with.video.every = 2;
  std::vector<int64_t> numbers;
  for (const PicturePrediction& frame : run(with, {frames}, true)) numbers.push_back(frame.frame->number);
  EXPECT_THAT(numbers, testing::ElementsAre(2, 4, 6));
  with.video.start = 5;
  with.video.end = 6;
  const auto nothing = run(with, {frames}, true);
  ASSERT_EQ(nothing.size(), 1u);
  EXPECT_TRUE(nothing[0].is_video_end);
  EXPECT_THAT(nothing[0].error, HasSubstr("a: has no frame in the part that is to be read"));
}

TEST_F(PipelineVideoTest, ABadFrameOrVideoDoesNotStopTheOthers) {
  const auto frames = add_frames("a", 4);
  folder.write("a/1.png", "not a picture");
  folder.write("v.mp4", "not a video");
  const auto predictions = run(options(), {folder / "v.mp4", frames}, true);
  ASSERT_EQ(predictions.size(), 5u);
  EXPECT_TRUE(predictions[0].is_video_end);
  EXPECT_THAT(predictions[0].error, StartsWith((folder / "v.mp4").string()));
  EXPECT_THAT(predictions[2].error, HasSubstr("1.png: is not a JPEG, PNG or BMP"));
  EXPECT_FALSE(predictions[2].is_video_end);
  for (const size_t i : {1, 3, 4}) EXPECT_EQ(predictions[i].faces.size(), 1u);
}

TEST_F(PipelineTest, SaysWhichOptionIsWrong) {
  InferenceOptions with = options();
  with.batch = 0;
  EXPECT_THAT(error_of([&] { InferencePipeline(small_weights(), with); }), HasSubstr("the batch is 0"));
  with = options();
  with.registered = true;
  EXPECT_THAT(error_of([&] { InferencePipeline(small_weights(), with); }), HasSubstr("give one of the two"));
  with = options();
  with.device.name = "tpu";
  EXPECT_THAT(error_of([&] { InferencePipeline(small_weights(), with); }), HasSubstr("unknown device 'tpu'"));
}

TEST_F(PipelineTest, HeatmapsThatOverflowAreAnError) {
  Weights weights = small_weights();
  for (float& weight : weights.parameters) weight *= 1e12f;  // finite, but their products are not
  InferencePipeline pipeline(weights, options());
  const auto predictions = run(pipeline, {add("1.png", {kPose})});
  EXPECT_THAT(predictions[0].error, HasSubstr("are not finite; check the weights"));
}

}  // namespace
}  // namespace sandglass
