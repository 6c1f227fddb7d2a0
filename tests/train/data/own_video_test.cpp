// From a video and its labels to a trained network, as docs/own_video.md walks through it.
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <sstream>

#include "support.h"
#include "tests/face/video_file.h"
#include "train/data/data_report.h"
#include "train/data/pack.h"
#include "train/data/packing.h"
#include "train/evaluation.h"
#include "train/training.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

constexpr int kFrames = 24;

// A face that smiles more and more: dots at the mouth's corners, as bright as AU12 is intense. They are grey: the codec
// blurs colours.
struct Smile {
  Image image{64, 64};
  Landmarks landmarks;
  float intensity;

  explicit Smile(int frame)
      : landmarks(test_landmarks(30 + static_cast<float>(frame % 5), 24, 24, 0)),
        intensity(static_cast<float>(frame % 6)) {
    Image dots(64, 64);
    for (const size_t corner : {48u, 54u})
      for (const int channel : {0, 1, 2}) draw_dot(dots, landmarks[corner], channel, 3);
    for (size_t i = 0; i < dots.rgb.size(); ++i) {
      image.rgb[i] = static_cast<uint8_t>(30 + 40 * intensity * static_cast<float>(dots.rgb[i]) / 255);
    }
  }
};

class OwnVideoTest : public testing::Test {
 protected:
  OwnVideoTest() {
    omp_set_num_threads(1);
    for (const char* name : {"anna", "ben"}) {
      std::vector<Image> images;
      std::string csv = "frame, face_id, timestamp, confidence, success" + landmark_header() + ", AU12_r\n";
      for (int frame = 0; frame < kFrames; ++frame) {
        const Smile smile(frame);
        images.push_back(smile.image);
        csv += fmt::format("{}, 0, 0.0, 0.98, 1{}, {}\n", frame + 1, landmark_fields(smile.landmarks), smile.intensity);
      }
      csv += fmt::format("{}, 0, 0.0, 0.98, 1{}, 2\n", kFrames + 1, landmark_fields(Smile(0).landmarks));
      std::filesystem::create_directories(folder / "videos");
      write_video(folder / "videos" / fmt::format("{}.avi", name), images, {"mpeg4", 8, 0});
      write(folder / "labels" / fmt::format("{}.csv", name), csv);
    }
    write(folder / "own.toml", R"(
aus = ["AU12"]
width = 8
depth = 1
input_size = 32
batch = 4
epochs = 12
lr = 5e-3
optimizer = "adamw"
workers = 2
[data]
format = "openface"
path = "labels"
pictures = "videos"
train = "anna"
validation = "ben"
[augment]
rotation = 2
scale = 0.02
shift = 0.01
mirror = 0
)");
    read_config(folder / "own.toml", config);
  }

  TemporaryFolder folder;
  TrainingConfig config;
  std::ostringstream out;
};

TEST_F(OwnVideoTest, FramesAreThoseOfTheLabels) {
  DataLog log;
  DataSet set = read_data_set(config.data, "anna", config.aus, log);
  ASSERT_EQ(set.faces.rows.size(), size_t{kFrames + 1});
  leave_out_beyond_videos(set.faces, log, FrameCount::counted);
  check_pictures(set.faces, 2, log);
  EXPECT_EQ(set.faces.rows.size(), size_t{kFrames});
  EXPECT_THAT(messages_of(log), HasSubstr("anna.csv, row 26: frame 25 is not there: "));
  PictureSource pictures;
  for (const int i : {5, 0, 23, 11, 12}) {
    const ManifestRow& row = set.faces.rows[static_cast<size_t>(i)];
    const Picture picture = pictures.read(set.faces, row);
    const Point corner = (*row.landmarks)[48];
    const int brightness =
        picture.view.at(static_cast<int>(std::lround(corner.y)), static_cast<int>(std::lround(corner.x)))[0];
    EXPECT_NEAR(brightness, 30 + 40 * row.intensities[0], 19) << "frame " << i;
  }
}

// Both videos break off, which their headers do not say.
TEST_F(OwnVideoTest, FramesThatAVideoLacksAreCountedAndLeftOut) {
  for (const char* name : {"videos/anna.avi", "videos/ben.avi"}) {
    const std::string whole = read_file(folder / name);
    const size_t frames = whole.find("movi");
    write(folder / name, whole.substr(0, frames + (whole.size() - frames) / 2));
  }
  const DataReport report = check_data(config, "train", false);
  const size_t left = report.set.faces.rows.size();
  EXPECT_GT(left, size_t{kFrames} / 4);
  EXPECT_LT(left, size_t{kFrames});
  EXPECT_THAT(messages_of(report.log), HasSubstr("anna.csv, row 25: frame 24 is not there: "));
  EXPECT_EQ(check_data(config, "train", true).set.faces.rows.size(), left);

  TrainingOptions options;
  options.config = folder / "own.toml";
  options.settings = {"epochs=2"};
  options.run_dir = folder / "run";
  options.device.name = "cpu";
  const TrainingResult result = train(options, out);
  ASSERT_TRUE(result.best) << out.str();
  EXPECT_EQ(result.best->aus[0].count, static_cast<int>(left));  // ben's as anna's
  EXPECT_THAT(out.str(), HasSubstr("others take its place"));
  EXPECT_THAT(out.str(), HasSubstr(fmt::format("labels: {} of {} pictures are left out", kFrames - left, kFrames)));

  EvaluationOptions evaluation;
  evaluation.weights = folder / "run/best.safetensors";
  evaluation.manifest = folder / "own.toml";
  evaluation.device.name = "cpu";
  const Evaluation evaluated = evaluate(evaluation, out);
  EXPECT_EQ(evaluated.pictures, static_cast<int>(left));
  EXPECT_EQ(evaluated.left_out, kFrames - static_cast<int>(left));
  EXPECT_NEAR(evaluated.metrics.mse.value, result.best->mse.value, 1e-6);
  options.run_dir = folder / "strict";
  options.settings.push_back("data.problems=stop");
  EXPECT_THAT(error_of([&] { train(options, out); }), HasSubstr("row "));
}

TEST_F(OwnVideoTest, TrainsFromTheVideoAndFromAPackOfIt) {
  TrainingOptions options;
  options.config = folder / "own.toml";
  options.run_dir = folder / "run";
  options.device.name = "cpu";
  const TrainingResult result = train(options, out);
  ASSERT_TRUE(result.validation);
  EXPECT_GT(result.validation->icc.value, 0.5) << out.str();
  EXPECT_THAT(out.str(), HasSubstr("anna.csv, row 26: frame 25 is not there: "));
  EXPECT_THAT(out.str(), HasSubstr("% of the time waiting for pictures"));
  EXPECT_THAT(read_file(folder / "run/metrics.jsonl"), HasSubstr("\"waiting\":"));

  // The settings in the run's folder name the same data: going on needs no flags.
  options.config.reset();
  options.resume = true;
  options.settings = {"epochs=13"};
  EXPECT_TRUE(train(options, out).finished);

  EvaluationOptions evaluation;
  evaluation.weights = folder / "run/best.safetensors";
  evaluation.manifest = folder / "own.toml";
  evaluation.device.name = "cpu";
  const Evaluation from_video = evaluate(evaluation, out);
  EXPECT_EQ(from_video.pictures, kFrames);

  DataLog log;
  EXPECT_EQ(pack_data(config, {folder / "faces.pack", 0, nullptr}, log, out).faces, 2 * kFrames);
  write(folder / "packed.toml",
        "[data]\nformat = \"pack\"\npath = \"faces.pack\"\ntrain = \"anna\"\nvalidation = \"ben\"\n");
  evaluation.manifest = folder / "packed.toml";
  const Evaluation from_pack = evaluate(evaluation, out);
  const std::vector<float>&packed = from_pack.peaks.heights, &read = from_video.peaks.heights;
  ASSERT_EQ(packed.size(), read.size());
  for (size_t i = 0; i < packed.size(); ++i) {
    EXPECT_NEAR(packed[i], read[i], 0.15);
  }
  options.run_dir = folder / "packed_run";
  options.resume = false;
  options.config = folder / "own.toml";
  options.settings = {"data.format=pack", "data.path=" + (folder / "faces.pack").string(),
                      "data.pictures=", "epochs=2"};
  EXPECT_TRUE(train(options, out).finished);
}

}  // namespace
}  // namespace sandglass
