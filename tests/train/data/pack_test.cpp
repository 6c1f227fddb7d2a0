#include "train/data/pack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <sstream>

#include "engine/random.h"
#include "face/registration.h"
#include "support.h"
#include "train/augmentation.h"
#include "train/data/packing.h"
#include "train/loader.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

class PackTest : public testing::Test {
 protected:
  PackTest() {
    config.data.format = "manifest";
    config.data.path = faces.path.string();
    config.aus = {"AU12", "AU06"};
    config.input_size = 64;
  }
  PackingResult pack(int quality = 0) {
    std::ostringstream out;
    return pack_data(config, {path, quality, nullptr}, log, out);
  }
  // Overwrites a byte of the pack.
  void damage(uint64_t at) const {
    const int file = open(path.c_str(), O_RDWR);
    char byte = 0;
    ASSERT_EQ(pread(file, &byte, 1, static_cast<off_t>(at)), 1);
    byte = static_cast<char>(byte ^ 0x55);
    ASSERT_EQ(pwrite(file, &byte, 1, static_cast<off_t>(at)), 1);
    close(file);
  }

  TemporaryFolder folder;
  Manifest faces = write_test_faces(folder.path(), 7);
  std::filesystem::path path = folder / "faces.pack";
  TrainingConfig config;
  DataLog log;
};

TEST_F(PackTest, HoldsTheRegisteredFacesAndWhatIsKnownOfThem) {
  const PackingResult result = pack();
  EXPECT_EQ(result.faces, 7);
  EXPECT_EQ(result.subjects, 3);
  EXPECT_EQ(result.bytes, std::filesystem::file_size(path));
  ASSERT_TRUE(FacePack::is_pack(path));
  EXPECT_FALSE(FacePack::is_pack(faces.path));

  const Manifest packed = read_faces(path);
  EXPECT_EQ(packed.aus, config.aus);
  ASSERT_EQ(packed.rows.size(), 7u);
  const PackInfo& info = packed.pack->info();
  EXPECT_EQ(info.size, 64);
  EXPECT_EQ(info.margin, pack_margin(config.augment, 64));
  for (size_t i = 0; i < 7; ++i) {
    const ManifestRow &row = packed.rows[i], &original = faces.rows[i];
    EXPECT_EQ(row.subject, original.subject);
    EXPECT_EQ(row.intensities, (std::vector<float>{original.intensities[1], original.intensities[0]}));
    EXPECT_EQ(packed.place(row), faces.place(original));
    const auto margin = static_cast<float>(info.margin);
    const Landmarks expected = registration(*original.landmarks, 64).apply(*original.landmarks);
    const Image registered =
        warp_image(read_image(faces.image_path(original)), registration(*original.landmarks, 64), 64, 64);
    const Picture picture = packed.pack->picture(static_cast<int>(i));
    ASSERT_EQ(picture.view.height, 64 + 2 * info.margin);
    for (size_t j = 0; j < 68; ++j) {
      EXPECT_NEAR((*row.landmarks)[j].x, expected[j].x + margin, 1e-3);
      EXPECT_NEAR((*row.landmarks)[j].y, expected[j].y + margin, 1e-3);
    }
    int largest = 0;
    for (int y = 0; y < 64; ++y) {
      for (int x = 0; x < 64; ++x) {
        const uint8_t* p = picture.view.at(y + info.margin, x + info.margin);
        for (int c = 0; c < 3; ++c) largest = std::max(largest, std::abs(p[c] - registered.at(y, x)[c]));
      }
    }
    EXPECT_LE(largest, 1) << "face " << i;
  }
}

TEST_F(PackTest, JpegIsSmallerAndAlmostTheSame) {
#ifndef SANDGLASS_LIBJPEG
  GTEST_SKIP() << "this build cannot write JPEG files";
#endif
  pack();
  const Manifest raw = read_faces(path);
  path = folder / "jpeg.pack";
  EXPECT_LT(pack(95).bytes, std::filesystem::file_size(folder / "faces.pack") / 2);
  const Manifest packed = read_faces(path);
  const Picture a = raw.pack->picture(3), b = packed.pack->picture(3);
  double sum = 0;
  for (int y = 0; y < a.view.height; ++y) {
    for (int x = 0; x < a.view.width; ++x) sum += std::abs(a.view.at(y, x)[0] - b.view.at(y, x)[0]);
  }
  EXPECT_LT(sum / (a.view.height * a.view.width), 1.5);
}

// No output pixel of an augmented face looks beyond the packed crop.
TEST_F(PackTest, AugmentationNeverSeesTheCropsEdge) {
  for (const double strength : {1.0, 0.3, 0.0}) {
    AugmentationConfig augment;
    augment.rotation *= strength;
    augment.scale *= strength;
    augment.shift *= strength;
    augment.landmark_jitter *= strength;
    const int margin = pack_margin(augment, 128), side = 128 + 2 * margin;
    Landmarks landmarks = registration(test_landmarks(0, 0, 50, 0), 128).apply(test_landmarks(0, 0, 50, 0));
    for (Point& p : landmarks) p = {p.x + static_cast<float>(margin), p.y + static_cast<float>(margin)};
    Random random(1);
    double lowest = 1e9, highest = -1e9;
    for (int i = 0; i < 5000; ++i) {
      const PlacedFace face = place_face(landmarks, side, 128, draw_augmentation(augment, random));
      const Affine back = face.to_output.inverse();
      for (const Point corner : {Point{0, 0}, Point{127, 0}, Point{0, 127}, Point{127, 127}}) {
        const Point seen = back.apply(corner);
        lowest = std::min({lowest, double{seen.x}, double{seen.y}});
        highest = std::max({highest, double{seen.x}, double{seen.y}});
      }
    }
    EXPECT_GE(lowest, 0) << strength;
    EXPECT_LE(highest, side - 1) << strength;
    EXPECT_LT(lowest, 0.25 * margin + 3) << "the margin is far wider than it need be";
  }
  EXPECT_EQ(pack_margin({.rotation = 0, .scale = 0, .shift = 0, .landmark_jitter = 0}, 256), 2);
}

TEST_F(PackTest, TooStrongAnAugmentationIsRefused) {
  config.augment.rotation = 2;
  pack();
  const Manifest packed = read_faces(path);
  LoaderOptions options;
  options.aus = config.aus;
  options.table = default_au_table();
  options.input_size = 64;
  options.batch = 2;
  options.augmentation = config.augment;
  EXPECT_NO_THROW(Loader(packed, options));
  options.augmentation->rotation = 20;
  EXPECT_THAT(error_of([&] { Loader loader(packed, options); }), HasSubstr("faces.pack: has a margin of "));
}

TEST_F(PackTest, LoaderReadsFromIt) {
  pack();
  const Manifest packed = read_faces(path);
  LoaderOptions options;
  options.aus = {"AU06"};
  options.table = default_au_table();
  options.input_size = 64;
  options.batch = 7;
  Loader direct(faces, options), from_pack(packed, options);
  Batch a, b;
  direct.make_batch(0, a);
  from_pack.make_batch(0, b);
  EXPECT_EQ(a.intensities, b.intensities);
  std::vector<double> seen(64 * 64 * 3), expected(64 * 64 * 3);
  for (size_t i = 0; i < 7; ++i) {
    reference::warp(a.pictures[i], a.pixels.data(), 64, 64, expected.data());
    reference::warp(b.pictures[i], b.pixels.data(), 64, 64, seen.data());
    for (size_t j = 0; j < seen.size(); ++j) ASSERT_NEAR(seen[j], expected[j], 1.0 / 255) << "face " << i;
  }
}

TEST_F(PackTest, DamageIsNamed) {
  pack();
  const uint64_t size = std::filesystem::file_size(path);
  const std::string whole = read_file(path);
  const Manifest packed = read_faces(path);
  const uint64_t face = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(packed.pack->picture(2).view.rgb) -
                                              reinterpret_cast<uintptr_t>(packed.pack->picture(0).view.rgb));
  EXPECT_EQ(face % 64, 0u);

  const uint64_t first = whole.find("}") + 1;  // the header's end; padding, then the first face
  damage((first + 63) / 64 * 64 + face + 10);
  const Manifest damaged = read_faces(path);
  EXPECT_NO_THROW(damaged.pack->picture(1));
  EXPECT_THAT(error_of([&] { damaged.pack->picture(2); }),
              HasSubstr("faces.pack: face 3 of 7 is damaged; copy it again"));
  Manifest checked = read_faces(path);
  check_pictures(checked, 2, log);
  EXPECT_EQ(checked.rows.size(), 6u);
  EXPECT_THAT(messages_of(log), HasSubstr("face 3 of 7"));

  for (const uint64_t at : {size - 100, size - 30, size - 40}) {
    write_file(path, whole);
    damage(at);
    EXPECT_THAT(error_of([&] { read_faces(path); }), HasSubstr("faces.pack: its index is damaged; copy it again"));
  }
  for (const uint64_t length : {size - 1, size / 2, uint64_t{60}, uint64_t{20}, uint64_t{12}}) {
    write_file(path, whole.substr(0, length));
    EXPECT_THAT(error_of([&] { read_pack(path); }), testing::AnyOf(HasSubstr("truncated"), HasSubstr("not a pack")));
  }
  write_file(path, whole);
  damage(8);
  EXPECT_THAT(error_of([&] { read_faces(path); }), HasSubstr("is a pack of version 84, this program reads version 1"));
  write_file(path, whole);
  damage(17);
  EXPECT_THAT(error_of([&] { read_faces(path); }), HasSubstr("its header is damaged"));
  EXPECT_THAT(error_of([&] { read_pack(faces.path); }), HasSubstr("manifest.csv: is not a pack of faces"));
}

TEST_F(PackTest, PicturesThatCannotBeReadAreLeftOut) {
  write(folder / "face_4.png", "text");
  EXPECT_EQ(pack().faces, 6);
  EXPECT_THAT(messages_of(log), HasSubstr("manifest.csv, row 6: "));
  EXPECT_EQ(read_faces(path).rows[4].line, 7);
  log = DataLog(true);
  EXPECT_THAT(error_of([&] { pack(); }), HasSubstr("face_4.png: is not a JPEG"));
  for (const ManifestRow& row : faces.rows) write(faces.image_path(row), "text");
  std::filesystem::remove(path);
  log = DataLog();
  EXPECT_THAT(error_of([&] { pack(); }), HasSubstr("there is no face to write"));
  EXPECT_FALSE(std::filesystem::exists(path));
  config.data.format = "pack";
  EXPECT_THAT(error_of([&] { pack(); }), HasSubstr("is a pack already"));
}

// Folds of a data set that is packed as a whole.
TEST_F(PackTest, SubjectsAreChosenFromAPack) {
  pack();
  DataConfig data;
  data.format = "pack";
  data.path = path.string();
  const DataSet set = read_data_set(data, "S2,S0", {"AU06"}, log);
  EXPECT_EQ(set.faces.rows.size(), 4u);
  EXPECT_EQ(set.faces.rows[3].subject, "S2");
  EXPECT_EQ(set.faces.rows[3].frame, 6);
  EXPECT_EQ(set.faces.rows[3].intensities, (std::vector<float>{faces.rows[6].intensities[0]}));
}

}  // namespace
}  // namespace sandglass
