#include "infer/face_ids.h"

#include <gmock/gmock.h>

#include <cmath>

namespace sandglass {
namespace {

using testing::ElementsAre;

FacePrediction face(float x, float y, float side = 100) {
  FacePrediction made;
  made.left = x - side / 2;
  made.right = x + side / 2;
  made.top = y - side / 2;
  made.bottom = y + side / 2;
  return made;
}

std::vector<int> number(FaceIds& ids, std::vector<FacePrediction> faces, double seconds) {
  ids.number(faces, seconds);
  std::vector<int> made;
  for (const FacePrediction& face : faces) made.push_back(face.id);
  return made;
}

TEST(FaceIds, StayWithFacesThatMoveInAnyOrder) {
  FaceIds ids;
  EXPECT_THAT(number(ids, {face(100, 100), face(300, 100), face(500, 100)}, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(number(ids, {face(510, 90), face(340, 100), face(100, 140)}, 0.1), ElementsAre(2, 1, 0));
  EXPECT_THAT(number(ids, {face(510, 90, 130), face(340, 100, 80)}, 0.2), ElementsAre(2, 1));
  EXPECT_THAT(number(ids, {face(340, 155, 80), face(900, 100)}, 0.3), ElementsAre(3, 4));  // too far from where 1 was
}

TEST(FaceIds, ComeBackWithinTheTimeAndAreNeverUsedAgain) {
  FaceIds ids(1);
  EXPECT_THAT(number(ids, {face(100, 100), face(300, 100)}, 10), ElementsAre(0, 1));
  EXPECT_THAT(number(ids, {face(300, 100)}, 10.5), ElementsAre(1));
  EXPECT_THAT(number(ids, {}, 10.75), ElementsAre());
  EXPECT_THAT(number(ids, {face(110, 100), face(310, 100)}, 11), ElementsAre(0, 1));
  EXPECT_THAT(number(ids, {face(310, 100)}, 11.5), ElementsAre(1));
  EXPECT_THAT(number(ids, {face(110, 100), face(310, 100)}, 12.125), ElementsAre(2, 1));  // away for 1.125 s
  EXPECT_THAT(number(ids, {}, 13), ElementsAre());
  EXPECT_THAT(number(ids, {face(110, 100)}, 20), ElementsAre(3));
}

TEST(FaceIds, StayFromOneFrameToTheNextHoweverFarApartTheirTimes) {
  FaceIds ids;
  EXPECT_THAT(number(ids, {face(100, 100)}, 0), ElementsAre(0));
  EXPECT_THAT(number(ids, {face(110, 100)}, 60), ElementsAre(0));
  EXPECT_THAT(number(ids, {}, 120), ElementsAre());
  EXPECT_THAT(number(ids, {face(110, 100)}, 180), ElementsAre(1));
}

TEST(FaceIds, DoNotChangeWhereFacesPassEachOther) {
  FaceIds ids;
  for (int i = 0; i <= 40; ++i) {  // 30 pixels apart at their closest
    const float x = static_cast<float>(i) * 10;
    EXPECT_THAT(number(ids, {face(100 + x, 100), face(500 - x, 130)}, i / 25.0), ElementsAre(0, 1)) << i;
  }
}

TEST(FaceIds, OfTwoFacesThatCrossTheOneInFrontKeepsItsNumber) {
  FaceIds ids;
  for (int i = 0; i <= 40; ++i) {
    const float x = static_cast<float>(i) * 10, front = 100 + x, back = 500 - x;
    std::vector<FacePrediction> faces{face(front, 100)};
    if (std::abs(front - back) > 90) faces.push_back(face(back, 100));
    const std::vector<int> made = number(ids, faces, i / 25.0);
    ASSERT_EQ(made[0], 0) << i;
    if (made.size() > 1) {
      EXPECT_EQ(made[1], front < back ? 1 : 2) << i;  // it comes out on the other side
    }
  }
}

TEST(FaceIds, AFaceThatIsSeenDoesNotTakeTheNumberOfOneThatVanished) {
  FaceIds ids;
  EXPECT_THAT(number(ids, {face(100, 100), face(150, 100)}, 0), ElementsAre(0, 1));
  EXPECT_THAT(number(ids, {face(110, 100)}, 0.1), ElementsAre(0));
  EXPECT_THAT(number(ids, {face(150, 100)}, 0.2), ElementsAre(0));  // where 1 vanished
  EXPECT_THAT(number(ids, {face(150, 100), face(155, 100)}, 0.3), ElementsAre(0, 1));
}

TEST(FaceIds, RestOnLandmarksWhereThereAreSome) {
  FaceIds ids;
  const auto with_landmarks = [](FacePrediction made, float x, float y) {
    made.landmarks.emplace();
    for (size_t i = 0; i < 68; ++i) {
      (*made.landmarks)[i] = {x + static_cast<float>(i % 8), y + static_cast<float>(i / 8)};
    }
    return made;
  };
  EXPECT_THAT(number(ids, {with_landmarks(face(100, 100), 90, 90)}, 0), ElementsAre(0));
  EXPECT_THAT(number(ids, {with_landmarks(face(100, 100), 120, 90), with_landmarks(face(190, 100), 91, 90)}, 0.1),
              ElementsAre(1, 0));
}

TEST(FaceIds, OfManyFacesAndAtBrokenTimesAndPlaces) {
  FaceIds ids;
  std::vector<FacePrediction> crowd;
  std::vector<int> expected;
  for (int i = 0; i < 300; ++i) {
    crowd.push_back(face(static_cast<float>(i % 20) * 60, static_cast<float>(i / 20) * 60, 50));
    expected.push_back(i);
  }
  EXPECT_EQ(number(ids, crowd, 0), expected);
  for (FacePrediction& one : crowd) one.left += 5, one.right += 5;
  EXPECT_EQ(number(ids, crowd, 1), expected);
  EXPECT_THAT(number(ids, {face(NAN, 100), face(5, 0, 50), face(1e30f, 1e30f, 1e30f)}, NAN), ElementsAre(300, 0, 301));
}

}  // namespace
}  // namespace sandglass
