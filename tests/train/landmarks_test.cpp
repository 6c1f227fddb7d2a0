#include "train/landmarks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "engine/file.h"
#include "face/detector.h"
#include "tests/temporary_folder.h"
#include "train/synth/dataset.h"
#include "train/training.h"

namespace sandglass {
namespace {

class LandmarksTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("SANDGLASS_LANDMARK_MODEL");
    const std::string model = given ? given : "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
    if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
    if (!std::filesystem::exists(model)) GTEST_SKIP() << "no " << model << " (install libdlib-data)";
    write_synthetic_dataset({.out = folder / "faces", .subjects = 3, .images_per_subject = 2, .seed = 4, .size = 256});
    manifest = read_manifest(folder / "faces/manifest.csv");
  }

  const TemporaryFolder folder;
  Manifest manifest;
  std::ostringstream log;
};

TEST_F(LandmarksTest, AreFoundWhereThereAreNone) {
  const Manifest exact = manifest;
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    if (i != 2) manifest.rows[i].landmarks.reset();
  }
  EXPECT_TRUE(complete_landmarks(manifest, 2, log));
  EXPECT_NE(log.str().find("finding the faces in 5 pictures"), std::string::npos) << log.str();
  ASSERT_GE(manifest.rows.size(), 4u);  // the detector may miss one in ten synthetic faces
  for (const ManifestRow& row : manifest.rows) {
    const auto same = [&](const ManifestRow& other) { return other.image == row.image; };
    const Landmarks truth = *std::find_if(exact.rows.begin(), exact.rows.end(), same)->landmarks;
    std::vector<double> errors;
    for (size_t i = 0; i < 68; ++i) {
      errors.push_back(std::hypot((*row.landmarks)[i].x - truth[i].x, (*row.landmarks)[i].y - truth[i].y));
    }
    std::nth_element(errors.begin(), errors.begin() + 34, errors.end());
    EXPECT_LT(errors[34], 0.12 * std::hypot(truth[45].x - truth[36].x, truth[45].y - truth[36].y)) << row.image;
  }
  log.str("");
  EXPECT_FALSE(complete_landmarks(manifest, 2, log));
  EXPECT_EQ(log.str(), "");
}

TEST_F(LandmarksTest, PicturesWithoutAFaceAreLeftOut) {
  for (const size_t i : {1u, 4u}) {
    write_image(manifest.image_path(manifest.rows[i]), Image(100, 100));
    manifest.rows[i].landmarks.reset();
  }
  complete_landmarks(manifest, 1, log);
  EXPECT_EQ(manifest.rows.size(), 4u);
  EXPECT_NE(log.str().find("2 of 6 pictures are left out because no face was found in them, the first at"),
            std::string::npos);
  EXPECT_NE(log.str().find("manifest.csv, row 3"), std::string::npos) << log.str();

  Manifest faceless = manifest;
  for (ManifestRow& row : faceless.rows) {
    write_image(manifest.image_path(row), Image(100, 100));
    row.landmarks.reset();
  }
  EXPECT_NE(error_of([&] { complete_landmarks(faceless, 2, log); }).find("no face was found in any"),
            std::string::npos);
}

TEST_F(LandmarksTest, AnUnreadablePictureNamesItsRow) {
  for (ManifestRow& row : manifest.rows) row.landmarks.reset();
  write_file(manifest.image_path(manifest.rows[3]), "not a picture");
  const std::string error = error_of([&] { complete_landmarks(manifest, 2, log); });
  EXPECT_NE(error.find("manifest.csv, row 5: "), std::string::npos) << error;
}

TEST_F(LandmarksTest, TrainingKeepsThem) {
  for (ManifestRow& row : manifest.rows) row.landmarks.reset();
  manifest.path = folder / "faces/bare.csv";
  write_manifest(manifest.path, manifest);
  TrainingOptions options;
  options.train = manifest.path;
  options.run_dir = folder / "run";
  options.device.name = "cpu";
  options.settings = {"width=4", "depth=1", "input_size=16", "batch=2", "epochs=1"};
  train(options, log);
  const Manifest completed = read_manifest(folder / "run/train.csv");  // with pictures that are there
  ASSERT_GE(completed.rows.size(), 4u);
  for (const ManifestRow& row : completed.rows) EXPECT_TRUE(row.landmarks);

  // Going on, nothing is searched for again, but the rows in which there was no face.
  options.resume = true;
  options.settings = {"epochs=2"};
  log.str("");
  EXPECT_TRUE(train(options, log).finished);
  const size_t faceless = manifest.rows.size() - completed.rows.size();
  EXPECT_EQ(log.str().find(fmt::format("finding the faces in {} pictures", faceless)) != std::string::npos,
            faceless > 0);
  EXPECT_EQ(log.str().find("finding the faces") != std::string::npos, faceless > 0) << log.str();
  EXPECT_EQ(read_manifest(folder / "run/train.csv").rows.size(), completed.rows.size());

  // The completed manifest is the same training set.
  options.train = folder / "run/train.csv";
  options.settings = {"epochs=3"};
  EXPECT_TRUE(train(options, log).finished);
}

}  // namespace
}  // namespace sandglass
