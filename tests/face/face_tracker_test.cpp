#include "face/face_tracker.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "face/box_detector.h"
#include "tests/face/one_line_error.h"

namespace sandglass {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A face of 100 pixels; its confidence tells it from others.
Face face(float x, float number) {
  Face made;
  made.left = x;
  made.right = x + 100;
  made.top = 50;
  made.bottom = 150;
  made.confidence = number;
  return made;
}

/// Runs a tracker over a video of which only the faces are given. `searched`: w for a whole search, n for one near
/// faces.
struct Tracked {
  std::string searched;
  std::vector<std::vector<float>> found;  // the faces' numbers in each frame

  Tracked(const std::vector<std::vector<Face>>& video, int detect_every) {
    const std::vector<Face>* faces = nullptr;
    const auto near_one = [](const Face& face, std::span<const Face> before) {
      const auto box = [](const Face& f) { return FaceBox{f.left, f.top, f.right, f.bottom, f.confidence}; };
      return std::any_of(before.begin(), before.end(),
                         [&](const Face& old) { return BoxDetector::near(box(face), box(old)); });
    };
    FaceTracker tracker({[&](const Image&) {
                           searched += 'w';
                           return *faces;
                         },
                         [&](const Image&, std::span<const Face> before) {
                           searched += 'n';
                           std::vector<Face> found;
                           for (const Face& face : *faces) {
                             if (near_one(face, before)) found.push_back(face);
                           }
                           return found;
                         }},
                        detect_every);
    for (const auto& frame : video) {
      faces = &frame;
      std::vector<float>& numbers = found.emplace_back();
      for (const Face& face : tracker.next(Image(1, 1))) numbers.push_back(face.confidence);
    }
  }
};

using Numbers = std::vector<float>;

TEST(FaceTracker, SearchesWholeFramesNowAndThen) {
  std::vector<std::vector<Face>> video;
  for (int i = 0; i < 10; ++i) video.push_back({face(static_cast<float>(i) * 50, 1)});
  EXPECT_EQ(Tracked(video, 4).searched, "wnnnwnnnwn");
  EXPECT_EQ(Tracked(video, 1).searched, "wwwwwwwwww");
  EXPECT_THAT(Tracked(video, 4).found, testing::Each(Numbers{1}));
  EXPECT_THAT(one_line_error_of([&] { Tracked(video, 0); }), HasSubstr("every 0th frame"));
}

TEST(FaceTracker, AFaceThatFlickersStaysLookedFor) {
  const std::vector<Face> there{face(0, 1), face(300, 2)}, missed{face(300, 2)};
  const Tracked run({there, missed, missed, there, missed, there}, 10);
  EXPECT_EQ(run.searched, "wnwnnnn");  // one whole search for the first miss
  EXPECT_THAT(run.found, ElementsAre(Numbers{1, 2}, Numbers{2}, Numbers{2}, Numbers{1, 2}, Numbers{2}, Numbers{1, 2}));
}

TEST(FaceTracker, AFaceThatJumpsAndANewSceneAreFoundInTheSameFrame) {
  const Tracked jumps({{face(0, 1)}, {face(500, 1)}, {face(520, 1)}, {face(540, 1)}}, 10);
  EXPECT_EQ(jumps.searched, "wnwnn");
  EXPECT_THAT(jumps.found, testing::Each(Numbers{1}));
  const Tracked cut({{face(0, 1)}, {face(0, 1)}, {face(500, 2), face(700, 3)}, {face(510, 2), face(710, 3)}}, 10);
  EXPECT_THAT(cut.found, ElementsAre(Numbers{1}, Numbers{1}, Numbers{2, 3}, Numbers{2, 3}));
}

TEST(FaceTracker, ANewFaceIsFoundWithTheNextWholeSearch) {
  const std::vector<Face> one{face(0, 1)}, two{face(0, 1), face(300, 2)};
  EXPECT_THAT(Tracked({one, two, two, two, two}, 3).found,
              ElementsAre(Numbers{1}, Numbers{1}, Numbers{1}, Numbers{1, 2}, Numbers{1, 2}));
  EXPECT_THAT(Tracked({{}, one, one, one}, 3).found, ElementsAre(Numbers{}, Numbers{}, Numbers{}, Numbers{1}));
}

TEST(FaceTracker, NothingIsCarriedOverAWholeSearch) {
  std::vector<std::vector<Face>> video;
  for (int i = 0; i < 15; ++i) {
    video.emplace_back();
    for (int k = 0; k < 4; ++k) {
      if ((i * 7 + k * 5) % 11 > 2)
        video.back().push_back(face(static_cast<float>((i * i * 31 + k * 310) % 1200), static_cast<float>(k)));
    }
  }
  const Tracked whole(video, 5), second({video.begin() + 5, video.begin() + 10}, 5),
      third({video.begin() + 10, video.end()}, 5);
  EXPECT_EQ(std::vector(whole.found.begin() + 5, whole.found.begin() + 10), second.found);
  EXPECT_EQ(std::vector(whole.found.begin() + 10, whole.found.end()), third.found);
  EXPECT_LE(std::count(whole.searched.begin(), whole.searched.end(), 'w'), 6);  // two in five frames at most
}

}  // namespace
}  // namespace sandglass
