#include <gmock/gmock.h>

#include <array>
#include <climits>
#include <cmath>
#include <thread>

#include "api/sandglass.h"
#include "face/detector.h"
#include "face/registration.h"
#include "infer/pipeline.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

constexpr int kSide = 64, kMap = 16, kAus = 2;

struct CloseModel {
  void operator()(sandglass_model* model) const { sandglass_model_close(model); }
};
struct CloseContext {
  void operator()(sandglass_context* context) const { sandglass_context_close(context); }
};
using ModelOwner = std::unique_ptr<sandglass_model, CloseModel>;
using ContextOwner = std::unique_ptr<sandglass_context, CloseContext>;

Image picture(int height, int width, int seed = 1) {
  Image image(height, width);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.at(y, x)[c] =
            static_cast<uint8_t>(128 + 100 * std::sin((x * (c + 1) + y * seed) * 0.05) * std::cos(y * 0.03));
  return image;
}

/// Landmarks of a face whose registration to 256 pixels is known, turned and moved.
Landmarks landmarks(double move) {
  const Affine pose{{{{0.7, -0.1, 30 + move}, {0.1, 0.7, 20}}}};
  Landmarks made;
  for (size_t i = 0; i < 68; ++i) made[i] = pose.apply(Point{60.0f + static_cast<float>(i), 90});
  for (size_t i = 0; i < 3; ++i)
    made[static_cast<size_t>(kRegistrationLandmarks[i])] = pose.apply(kRegistrationPlaces[i]);
  return made;
}

void write_test_weights(const std::filesystem::path& path, Head head) {
  write_weights(path, initial_weights({.width = 16, .depth = 2, .heatmaps = kAus, .input_size = kSide, .head = head},
                                      {"AU06", "AU12"}, 3));
}

class ApiTest : public testing::Test {
 protected:
  ApiTest() { options.no_detection = options.heatmaps = 1; }

  std::string write(Head head = Head::heatmap) const {
    const auto path = folder / fmt::format("{}.safetensors", name_of(head));
    write_test_weights(path, head);
    return path.string();
  }
  ModelOwner open(const std::string& path) const {
    ModelOwner model(sandglass_model_open(path.c_str(), &options));
    EXPECT_TRUE(model) << sandglass_last_error();
    return model;
  }
  ContextOwner open(const ModelOwner& model) const {
    ContextOwner context(sandglass_context_open(model.get()));
    EXPECT_TRUE(context) << sandglass_last_error();
    return context;
  }
  /// What `sandglass infer` says of a picture.
  PicturePrediction pipeline(const std::filesystem::path& path, InferenceOptions with) const {
    with.keep_heatmaps = true;
    InferencePipeline run(read_weights(write()), with);
    PicturePrediction made;
    run.run(find_inputs({path}).inputs, [&](PicturePrediction& prediction) { made = std::move(prediction); });
    EXPECT_EQ(made.error, "");
    return made;
  }

  const TemporaryFolder folder;
  sandglass_options options = sandglass_default_options();
};

void expect_equal(const sandglass_face& face, const FacePrediction& expected) {
  EXPECT_EQ(face.left, expected.left);
  EXPECT_EQ(face.top, expected.top);
  EXPECT_EQ(face.right, expected.right);
  EXPECT_EQ(face.bottom, expected.bottom);
  EXPECT_EQ(!std::isnan(face.confidence), expected.confidence.has_value());
  if (expected.confidence) {
    EXPECT_EQ(face.confidence, *expected.confidence);
  }
  for (size_t k = 0; k < kAus; ++k) {
    EXPECT_EQ(face.heights[k], expected.aus[k].height);
    EXPECT_EQ(face.intensities[k], expected.aus[k].intensity());
    EXPECT_EQ(face.places[2 * k], expected.aus[k].in_picture.x);
    EXPECT_EQ(face.places[2 * k + 1], expected.aus[k].in_picture.y);
  }
  ASSERT_EQ(face.landmarks != nullptr, expected.landmarks.has_value());
  for (size_t i = 0; i < 68 && face.landmarks; ++i)
    EXPECT_EQ((Point{face.landmarks[2 * i], face.landmarks[2 * i + 1]}), (*expected.landmarks)[i]);
  const std::vector<float> heatmaps(face.heatmaps, face.heatmaps + kAus * kMap * kMap);
  EXPECT_EQ(heatmaps, expected.heatmaps);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(face.to_registered[i], expected.to_registered.m[i / 3][i % 3]);
}

TEST_F(ApiTest, GivesWhatInferGivesForLandmarks) {
  write_image(folder / "1.png", picture(240, 260));
  GivenLandmarks given("test");
  given.add_face(folder / "1.png", landmarks(0));
  given.add_face(folder / "1.png", landmarks(5));
  given.add_face(folder / "1.png", landmarks(-5));
  InferenceOptions with;
  with.landmarks = &given;
  for (const int batch : {1, 2}) {
    options.batch = with.batch = batch;
    for (const int threads : {1, 3}) {
      options.threads = threads;
      const ModelOwner model = open(write());
      const ContextOwner context = open(model);
      const PicturePrediction expected = pipeline(folder / "1.png", with);
      // Rows with a gap between them.
      const Image image = read_image(folder / "1.png");
      const size_t row = 3 * 260, row_bytes = row + 7;
      std::vector<uint8_t> rgb(240 * row_bytes, 99);
      for (int y = 0; y < 240; ++y) std::copy_n(image.at(y, 0), row, rgb.data() + static_cast<size_t>(y) * row_bytes);
      const std::vector<Landmarks> faces = given.find(folder / "1.png");
      ASSERT_EQ(sandglass_read_landmarks(context.get(), rgb.data(), 240, 260, row_bytes, &faces[0][0].x, 3), 3)
          << sandglass_last_error();
      for (int i = 0; i < 3; ++i)
        expect_equal(*sandglass_face_at(context.get(), i), expected.faces[static_cast<size_t>(i)]);
    }
  }
}

TEST_F(ApiTest, GivesWhatInferGivesForARegisteredFace) {
  write_image(folder / "1.png", picture(100, 100));
  InferenceOptions with;
  with.registered = true;
  for (const bool mirror : {false, true}) {
    options.mirror = with.mirror = mirror;
    const ModelOwner model = open(write());
    const ContextOwner context = open(model);
    sandglass_picture* read = sandglass_picture_open((folder / "1.png").c_str());
    ASSERT_TRUE(read) << sandglass_last_error();
    EXPECT_EQ(sandglass_read_registered(context.get(), read->rgb, read->height, read->width, 300), 1);
    sandglass_picture_close(read);
    expect_equal(*sandglass_face_at(context.get(), 0), pipeline(folder / "1.png", with).faces[0]);
  }
}

TEST_F(ApiTest, GivesWhatInferGivesForFacesThatAreFound) {
  const char* given = std::getenv("SANDGLASS_REAL_DIR");
  const std::filesystem::path real = given && *given ? given : "../shared/real", photo = real / "video/frame_0001.png";
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
  if (!std::filesystem::exists(photo)) GTEST_SKIP() << "no " << photo << " (set SANDGLASS_REAL_DIR)";
  options.no_detection = 0;
  const ModelOwner model = open(write());
  const ContextOwner context = open(model);
  const Image image = read_image(photo);
  const PicturePrediction expected = pipeline(photo, {});
  ASSERT_EQ(
      sandglass_read(context.get(), image.rgb.data(), image.height, image.width, 3 * static_cast<size_t>(image.width)),
      static_cast<int>(expected.faces.size()))
      << sandglass_last_error();
  for (size_t i = 0; i < expected.faces.size(); ++i)
    expect_equal(*sandglass_face_at(context.get(), static_cast<int>(i)), expected.faces[i]);
}

TEST_F(ApiTest, ThreadsThatShareAModelGetTheSame) {
  constexpr int kThreads = 4, kPictures = 5;
  ModelOwner model = open(write());
  std::vector<Image> images;
  for (int i = 0; i < kPictures; ++i) images.push_back(picture(200, 200, i));
  std::vector<std::vector<float>> results(kThreads);
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      const ContextOwner context = open(model);
      for (int i = 0; i < kPictures; ++i) {
        EXPECT_EQ(sandglass_read_registered(context.get(), images[static_cast<size_t>(i)].rgb.data(), 200, 200, 600),
                  1);
        const sandglass_face* face = sandglass_face_at(context.get(), 0);
        results[static_cast<size_t>(number)].insert(results[static_cast<size_t>(number)].end(), face->heatmaps,
                                                    face->heatmaps + kAus * kMap * kMap);
        // Each thread has its own last error.
        EXPECT_EQ(sandglass_face_at(context.get(), number + 1), nullptr);
        EXPECT_EQ(sandglass_last_error(), fmt::format("there is no face {}, the picture has 1", number + 1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& result : results) EXPECT_EQ(result, results[0]);
  EXPECT_NE(results[0].front(), results[0][kAus * kMap * kMap]);  // the pictures differ
}

TEST_F(ApiTest, AContextOutlivesItsModel) {
  ModelOwner model = open(write());
  const ContextOwner context = open(model);
  model.reset();
  const Image image = picture(64, 64);
  EXPECT_EQ(sandglass_read_registered(context.get(), image.rgb.data(), 64, 64, 192), 1);
}

TEST_F(ApiTest, DescribesTheModel) {
  const ModelOwner model = open(write()), regression = open(write(Head::regression));
  EXPECT_EQ(sandglass_au_count(model.get()), kAus);
  EXPECT_STREQ(sandglass_au_name(model.get(), 1), "AU12");
  EXPECT_EQ(sandglass_registered_side(model.get()), kSide);
  EXPECT_EQ(sandglass_heatmap_side(model.get()), kMap);
  EXPECT_EQ(sandglass_heatmap_side(regression.get()), 0);
  const ContextOwner context = open(regression);
  EXPECT_NE(std::string(sandglass_context_device(context.get())), "");
  for (const int threads : {1, 3}) {
    options.threads = threads;
    EXPECT_THAT(sandglass_context_device(open(open(write())).get()),
                testing::EndsWith(threads == 1 ? ", 1 thread" : ", 3 threads"));
  }
  const Image image = picture(64, 64);
  ASSERT_EQ(sandglass_read_registered(context.get(), image.rgb.data(), 64, 64, 192), 1);
  EXPECT_EQ(sandglass_face_at(context.get(), 0)->places, nullptr);
  EXPECT_EQ(sandglass_face_at(context.get(), 0)->heatmaps, nullptr);
}

TEST_F(ApiTest, SaysWhatIsWrong) {
  const std::string weights = write();
  const auto error_of_model = [&](const char* path) {
    EXPECT_EQ(sandglass_model_open(path, &options), nullptr);
    return std::string(sandglass_last_error());
  };
  EXPECT_THAT(error_of_model("absent.safetensors"), HasSubstr("absent.safetensors"));
  EXPECT_THAT(error_of_model(nullptr), HasSubstr("NULL"));
  for (const size_t size : {0, 8, 17, 20, 33, 63, 4097}) {  // no field ends there
    options.size = size;
    EXPECT_EQ(error_of_model(weights.c_str()),
              fmt::format("the options' size is {}; begin with sandglass_default_options()", size));
  }
  options = sandglass_default_options();
  options.minimum_face = 5;
  EXPECT_THAT(error_of_model(weights.c_str()), HasSubstr("expected at least 40"));
  options = sandglass_default_options();
  options.no_detection = 1;
  options.device = "tpu";
  EXPECT_EQ(sandglass_context_open(open(weights).get()), nullptr);
  EXPECT_THAT(sandglass_last_error(), HasSubstr("unknown device 'tpu'"));
  options.device = nullptr;
  for (const int batch : {-1, 1025, INT_MAX}) {
    options.batch = batch;
    EXPECT_EQ(sandglass_context_open(open(weights).get()), nullptr);
    EXPECT_EQ(sandglass_last_error(), fmt::format("the batch is {}, expected 1 to 1024", batch));
  }
  options.batch = 0;
  for (const int threads : {-1, 1025, INT_MAX}) {
    options.threads = threads;
    EXPECT_EQ(sandglass_context_open(open(weights).get()), nullptr);
    EXPECT_EQ(sandglass_last_error(), fmt::format("{} threads, expected 0 to 1024", threads));
  }
  options.threads = 0;

  const ModelOwner model = open(weights);
  const ContextOwner context = open(model);
  const Image image = picture(64, 65);
  const uint8_t* rgb = image.rgb.data();
  const auto expect_error = [&](int result, const char* part) {
    EXPECT_EQ(result, -1);
    EXPECT_THAT(sandglass_last_error(), HasSubstr(part));
    EXPECT_EQ(sandglass_face_at(context.get(), 0), nullptr);
  };
  expect_error(sandglass_read(context.get(), rgb, 64, 65, 195), "no face detector");
  expect_error(sandglass_read(nullptr, rgb, 64, 65, 195), "context is NULL");
  expect_error(sandglass_read_registered(context.get(), rgb, 64, 65, 195),
               "65 x 64 pixels; a registered face is a square");
  expect_error(sandglass_read_registered(context.get(), nullptr, 64, 64, 195), "pixels are NULL");
  expect_error(sandglass_read_registered(context.get(), rgb, 0, 0, 195), "0 x 0 pixels");
  expect_error(sandglass_read_registered(context.get(), rgb, 1 << 30, 1 << 30, 195), "at most 100 megapixels");
  expect_error(sandglass_read_registered(context.get(), rgb, 64, 64, 191), "191 bytes apart, expected at least 192");
  std::array<Landmarks, 2> faces{landmarks(0)};
  expect_error(sandglass_read_landmarks(context.get(), rgb, 64, 65, 195, &faces[0][0].x, 2), "face 1: landmarks 8, 36");
  faces[1][7].y = NAN;
  expect_error(sandglass_read_landmarks(context.get(), rgb, 64, 65, 195, &faces[0][0].x, 2),
               "face 1: a landmark is not a finite number");
  expect_error(sandglass_read_landmarks(context.get(), rgb, 64, 65, 195, nullptr, 1), "NULL");
  EXPECT_EQ(sandglass_read_landmarks(context.get(), rgb, 64, 65, 195, nullptr, 0), 0);
  EXPECT_EQ(sandglass_read_registered(context.get(), rgb, 64, 64, 195), 1);  // as good as before
  EXPECT_EQ(sandglass_picture_open("absent.png"), nullptr);
  EXPECT_THAT(sandglass_last_error(), HasSubstr("absent.png"));
  EXPECT_EQ(sandglass_au_name(model.get(), kAus), nullptr);
}

TEST_F(ApiTest, TakesTheOptionsOfOtherVersions) {
  struct {
    sandglass_options known;
    int added;
  } later{options, 0};
  later.known.size = sizeof later;
  const std::string weights = write();
  ModelOwner model(sandglass_model_open(weights.c_str(), &later.known));
  EXPECT_TRUE(model) << sandglass_last_error();
  later.added = 1;
  EXPECT_EQ(sandglass_model_open(weights.c_str(), &later.known), nullptr);
  EXPECT_THAT(sandglass_last_error(), HasSubstr("does not know"));
  // An earlier one: what lies behind its last field is none of its fields.
  sandglass_options earlier = options;
  earlier.size = offsetof(sandglass_options, heatmaps);
  earlier.minimum_face = -5;
  model.reset(sandglass_model_open(weights.c_str(), &earlier));
  EXPECT_TRUE(model) << sandglass_last_error();
  const ContextOwner context = open(model);
  ASSERT_EQ(sandglass_read_registered(context.get(), picture(64, 64).rgb.data(), 64, 64, 192), 1);
  EXPECT_EQ(sandglass_face_at(context.get(), 0)->heatmaps, nullptr);
}

}  // namespace
}  // namespace sandglass

// For hpp_test.cpp, which sees nothing of the rooms: some names there are those of sandglass.hpp.
void write_test_weights(const std::string& path) { sandglass::write_test_weights(path, sandglass::Head::heatmap); }
