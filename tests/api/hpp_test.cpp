#include "api/sandglass.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

void write_test_weights(const std::string& path);

namespace {

using sandglass::Face;
using sandglass::Landmarks;

struct Weights {
  Weights() : path(testing::TempDir() + "sandglass_hpp_test_" + std::to_string(getpid()) + ".safetensors") {
    write_test_weights(path);
  }
  ~Weights() { std::remove(path.c_str()); }
  const std::string path;
};

Landmarks landmarks() {
  Landmarks made{};
  for (size_t i = 0; i < 68; ++i) made[i] = {40.0f + static_cast<float>(i), 50.0f};
  made[8] = {75, 130};
  made[36] = {50, 60};
  made[45] = {100, 60};
  return made;
}

// Every value of a Face is the one that the C interface gives.
TEST(CppInterface, SaysWhatTheCInterfaceSays) {
  const Weights weights;
  sandglass::Options options;
  options.device = "cpu";
  options.detection = false;
  options.heatmaps = true;
  const sandglass::Model model(weights.path, options);
  ASSERT_EQ(model.aus(), (std::vector<std::string>{"AU06", "AU12"}));
  std::vector<uint8_t> rgb(160 * 150 * 3);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i * i / 97 % 251);
  const sandglass::PictureView picture{rgb.data(), 160, 150, 450};
  const std::vector<Landmarks> given{landmarks(), landmarks()};
  sandglass::Context context(model);
  const std::vector<Face> faces = context.read(picture, given);
  ASSERT_EQ(faces.size(), 2u);

  sandglass_context* c = sandglass_context_open(model.get());
  ASSERT_EQ(sandglass_read_landmarks(c, rgb.data(), 160, 150, 450, &given[0][0].x, 2), 2) << sandglass_last_error();
  const sandglass_face& expected = *sandglass_face_at(c, 1);
  const Face& face = faces[1];
  EXPECT_EQ(face.left, expected.left);
  EXPECT_EQ(face.top, expected.top);
  EXPECT_EQ(face.right, expected.right);
  EXPECT_EQ(face.bottom, expected.bottom);
  EXPECT_FALSE(face.confidence.has_value());
  ASSERT_TRUE(face.landmarks.has_value());
  EXPECT_EQ((*face.landmarks)[67].x, expected.landmarks[134]);
  EXPECT_EQ((*face.landmarks)[67].y, expected.landmarks[135]);
  ASSERT_EQ(face.aus.size(), 2u);
  for (size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(face.aus[k].intensity, expected.intensities[k]);
    EXPECT_EQ(face.aus[k].height, expected.heights[k]);
    ASSERT_TRUE(face.aus[k].place.has_value());
    EXPECT_EQ(face.aus[k].place->x, expected.places[2 * k]);
    EXPECT_EQ(face.aus[k].place->y, expected.places[2 * k + 1]);
  }
  const size_t side = static_cast<size_t>(model.heatmap_side());
  EXPECT_EQ(face.heatmaps, std::vector<float>(expected.heatmaps, expected.heatmaps + 2 * side * side));
  EXPECT_TRUE(std::equal(face.to_registered.begin(), face.to_registered.end(), expected.to_registered));
  sandglass_context_close(c);
}

TEST(CppInterface, ThrowsItsError) {
  const Weights weights;
  sandglass::Options options;
  options.detection = false;
  EXPECT_THROW(sandglass::Model("absent.safetensors", options), sandglass::Error);
  EXPECT_THROW(sandglass::Picture("absent.png"), sandglass::Error);
  sandglass::Context context{sandglass::Model(weights.path, options)};
  const std::vector<uint8_t> rgb(64 * 65 * 3);
  try {
    context.read_registered({rgb.data(), 64, 65, 195});
    FAIL() << "no error";
  } catch (const sandglass::Error& error) {
    EXPECT_STREQ(error.what(), "the picture is 65 x 64 pixels; a registered face is a square");
  }
  EXPECT_FALSE(context.read_registered({rgb.data(), 64, 64, 195}).landmarks.has_value());
}

}  // namespace
