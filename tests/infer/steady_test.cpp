#include "infer/steady.h"

#include <gmock/gmock.h>

#include "tests/error_of.h"

namespace sandglass {
namespace {

PicturePrediction frame(size_t input, double seconds, int id, float height) {
  PicturePrediction made;
  made.input = input;
  made.frame = FrameTime{0, seconds};
  FacePrediction& face = made.faces.emplace_back();
  face.id = id;
  face.aus = {{height, {}, {}}, {2 * height, {}, {}}};
  return made;
}

template <typename Apply>
float height_after(Apply&& apply, PicturePrediction prediction) {
  apply(prediction);
  EXPECT_FLOAT_EQ(prediction.faces[0].aus[1].height, 2 * prediction.faces[0].aus[0].height);
  return prediction.faces[0].aus[0].height;
}

TEST(Smoothing, FollowsWithItsTimeConstantWhateverTheFrameRate) {
  for (const int frames : {1, 7, 30}) {
    Smoothing smoothing(0.5);
    const auto apply = [&](PicturePrediction& p) { smoothing.apply(p); };
    EXPECT_FLOAT_EQ(height_after(apply, frame(0, 10, 4, 1)), 1);  // the first is taken as it is
    float height = 0;
    for (int i = 1; i <= frames; ++i) height = height_after(apply, frame(0, 10 + 0.5 * i / frames, 4, 3));
    EXPECT_NEAR(height, 3 - 2 * std::exp(-1.0), 1e-5) << frames;
  }
}

TEST(Smoothing, KeepsFacesInputsAndPhotographsApart) {
  Smoothing smoothing(1);
  const auto apply = [&](PicturePrediction& p) { smoothing.apply(p); };
  EXPECT_FLOAT_EQ(height_after(apply, frame(0, 0, 0, 1)), 1);
  EXPECT_FLOAT_EQ(height_after(apply, frame(0, 0, 1, 2)), 2);
  EXPECT_GT(height_after(apply, frame(0, 0.1, 1, 1)), 1.5f);
  EXPECT_FLOAT_EQ(height_after(apply, frame(0, 0.05, 0, 3)), 1 + 2 * (1 - std::exp(-0.05f)));
  EXPECT_LE(height_after(apply, frame(0, 0, 0, 3)), 3);        // a clock that was set back
  EXPECT_FLOAT_EQ(height_after(apply, frame(1, 0, 0, 4)), 4);  // another input's face 0
  PicturePrediction photograph = frame(1, 0, 0, 2);
  photograph.frame.reset();
  EXPECT_FLOAT_EQ(height_after(apply, photograph), 2);
}

TEST(NeutralBaseline, SubtractsEachPersonsQuantile) {
  NeutralBaseline baseline(0.25);
  const auto apply = [&](PicturePrediction& p) { baseline.apply(p); };
  for (int i = 0; i < 40; ++i)
    baseline.learn(frame(0, i, 0, 0.5f + 0.1f * static_cast<float>(i % 8)));  // 0.5, 0.6, ...
  for (int i = 0; i < 40; ++i) baseline.learn(frame(0, i, 1, i < 10 ? 0 : 1.5f));
  for (int i = 0; i < 24; ++i) baseline.learn(frame(0, i, 2, 1));
  EXPECT_NEAR(height_after(apply, frame(0, 3, 0, 2)), 2 - 0.7, 1e-6);
  EXPECT_NEAR(height_after(apply, frame(0, 3, 1, 2)), 0.5, 1e-6);
  EXPECT_NEAR(height_after(apply, frame(1, 3, 0, 2)), 2, 1e-6);  // a face that was not learnt
  EXPECT_NEAR(height_after(apply, frame(0, 3, 2, 1)), 1, 1e-6);  // and one that was seen too seldom
}

TEST(Steady, RefusesWhatMakesNoSense) {
  EXPECT_THAT(error_of([] { Smoothing(0); }), testing::HasSubstr("0 seconds, expected more than 0"));
  EXPECT_THAT(error_of([] { NeutralBaseline(0.6); }), testing::HasSubstr("0.6, expected 0 to 0.5"));
}

}  // namespace
}  // namespace sandglass
