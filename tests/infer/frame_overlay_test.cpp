#include "infer/frame_overlay.h"

#include <gmock/gmock.h>

#include <cmath>

#include "face/stage.h"
#include "tests/error_of.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

constexpr int kHeight = 240, kWidth = 320, kSide = 16;  // of frames; of the heatmaps
const std::vector<std::string> kAus{"AU06", "AU12", "AU17"};

// A pattern of which no pixel is like its neighbours.
Image checkered(int height, int width) {
  Image image(height, width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) image.at(y, x)[c] = static_cast<uint8_t>((x + y) % 2 ? 200 - c : 40 + c);
  }
  return image;
}

// A face of 64 pixels a side at (left, top), whose registered picture lies exactly on it; all maps 0.
FacePrediction face_at(int id, float left, float top) {
  FacePrediction face;
  face.id = id;
  face.left = left;
  face.top = top;
  face.right = left + 63;
  face.bottom = top + 63;
  face.landmarks.emplace();
  for (size_t p = 0; p < 68; ++p) {  // on a circle
    const float angle = static_cast<float>(p) * 2 * 3.14159f / 68;
    (*face.landmarks)[p] = {left + 32 + 28 * std::cos(angle), top + 32 + 28 * std::sin(angle)};
  }
  (*face.landmarks)[8] = {left + 32, top + 62};
  face.to_registered = {{{{1, 0, -left}, {0, 1, -top}}}};
  face.aus.resize(kAus.size());
  face.heatmaps.resize(kAus.size() * kSide * kSide);
  return face;
}

void set_heat(FacePrediction& face, size_t au, int row, int column, float height) {
  face.heatmaps[(au * kSide + static_cast<size_t>(row)) * kSide + static_cast<size_t>(column)] = height;
  face.aus[au].height = height;
  face.aus[au].in_registered = from_heatmap({static_cast<float>(column), static_cast<float>(row)});
}

PicturePrediction frame(std::vector<FacePrediction> faces, double seconds = 0) {
  PicturePrediction made;
  made.path = "video.mp4";
  made.frame = FrameTime{static_cast<int64_t>(seconds * 25), seconds};
  made.image = checkered(kHeight, kWidth);
  made.height = kHeight;
  made.width = kWidth;
  made.faces = std::move(faces);
  return made;
}

bool same(const Image& a, const Image& b, int y, int x) { return std::equal(a.at(y, x), a.at(y, x) + 3, b.at(y, x)); }

// Largest difference of neighbours in a square of which all pixels are compared.
int roughness(const Image& image, int left, int top, int size) {
  int largest = 0;
  for (int y = top; y < top + size; ++y)
    for (int x = left; x < left + size; ++x)
      largest = std::max(largest, std::abs(image.at(y, x)[0] - image.at(y, x + 1)[0]));
  return largest;
}

TEST(FrameOverlay, DrawsOnFacesAndInTheStripAlone) {
  FrameOverlay overlay(kHeight, kWidth, kAus);
  EXPECT_GT(overlay.width(), kWidth);
  EXPECT_EQ(overlay.width() % 2, 0);
  EXPECT_EQ(overlay.height(), kHeight);
  FacePrediction face = face_at(0, 100, 80);
  set_heat(face, 1, 5, 9, 0.9f);  // too little for a mark; map pixel (9, 5) covers 136-139, 100-103
  const PicturePrediction prediction = frame({face});
  const Image& drawn = overlay.draw(prediction);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const bool near = x >= 95 && x <= 170 && y >= 60 && y <= 150;
      ASSERT_TRUE(near || same(drawn, prediction.image, y, x)) << x << ", " << y;
    }
  }
  EXPECT_FALSE(same(drawn, prediction.image, 101, 137));
  EXPECT_FALSE(same(drawn, prediction.image, 102, 138));
  EXPECT_TRUE(same(drawn, prediction.image, 125, 115));  // no heat there
}

TEST(FrameOverlay, EachAuHasItsColourOnTheFaceAndInTheStrip) {
  std::vector<Image> pictures;
  for (size_t au = 0; au < 2; ++au) {
    FrameOverlay overlay(kHeight, kWidth, kAus);
    FacePrediction face = face_at(0, 100, 80);
    set_heat(face, au, 5, 9, 4);
    pictures.push_back(overlay.draw(frame({face})));
  }
  int on_face = 0, in_strip = 0;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < pictures[0].width; ++x) {
      if (same(pictures[0], pictures[1], y, x)) continue;
      ++(x < kWidth ? on_face : in_strip);
    }
  }
  EXPECT_GT(on_face, 50);
  EXPECT_GT(in_strip, 100);
  // A mark in the AU's colour at the peak: (137.5, 101.5).
  EXPECT_GT(pictures[0].at(101, 137)[2], pictures[0].at(101, 137)[0] + 60);  // blue
  EXPECT_GT(pictures[1].at(101, 137)[0], pictures[1].at(101, 137)[2] + 60);  // yellow
}

TEST(FrameOverlay, ChartsRememberTenSeconds) {
  FrameOverlay overlay(kHeight, kWidth, kAus), fresh(kHeight, kWidth, kAus);
  FacePrediction hot = face_at(0, 100, 80), cold = hot;
  set_heat(hot, 1, 5, 9, 4);
  overlay.draw(frame({hot}, 0));
  overlay.draw(frame({hot}, 0.5));
  overlay.draw(frame({cold}, 1));
  EXPECT_NE(Image(overlay.draw(frame({cold}, 5))).rgb, Image(fresh.draw(frame({cold}, 5))).rgb);
  // After them nothing of the hot face is left, and the time in which there was no face is not bridged.
  FrameOverlay late(kHeight, kWidth, kAus);
  EXPECT_EQ(Image(overlay.draw(frame({cold}, 16))).rgb, Image(late.draw(frame({cold}, 16))).rgb);
}

TEST(FrameOverlay, HidesFacesAndWhereTheyWere) {
  FrameOverlayOptions options;
  options.anonymous = true;
  FrameOverlay overlay(kHeight, kWidth, kAus, options);
  FacePrediction face = face_at(0, 100, 80);
  const Image open = FrameOverlay(kHeight, kWidth, kAus).draw(frame({face}));
  const Image hidden = overlay.draw(frame({face}, 0));
  EXPECT_GT(roughness(open, 115, 95, 30), 100);
  EXPECT_LT(roughness(hidden, 115, 95, 30), 12);
  EXPECT_TRUE(same(hidden, open, 200, 50));
  // A face that is missed stays hidden for a second.
  EXPECT_LT(roughness(overlay.draw(frame({}, 0.8)), 115, 95, 30), 12);
  EXPECT_GT(roughness(overlay.draw(frame({}, 1.2)), 115, 95, 30), 100);
  // All faces, also those without a panel, and those without landmarks.
  std::vector<FacePrediction> many;
  for (int i = 0; i < 6; ++i)
    many.push_back(face_at(i, static_cast<float>(10 + 100 * (i % 3)), static_cast<float>(20 + 110 * (i / 3))));
  many[5].landmarks.reset();
  const Image all = overlay.draw(frame(many, 2));
  for (int i = 0; i < 6; ++i) EXPECT_LT(roughness(all, 25 + 100 * (i % 3), 35 + 110 * (i / 3), 30), 12) << i;
}

TEST(FrameOverlay, HasOneSizeWhateverIsSeen) {
  for (const auto& [height, width] : {std::pair{240, 320}, {1, 1}, {3, 901}, {701, 33}, {301, 4001}}) {
    FrameOverlay overlay(height, width, kAus);
    EXPECT_LE(std::max(overlay.height(), overlay.width()), 4096);
    EXPECT_EQ(overlay.height() % 2 + overlay.width() % 2, 0);
    double seconds = 0;
    for (const int faces : {0, 1, 7, 2}) {
      PicturePrediction made = frame({}, ++seconds);
      made.image = checkered(height, width);
      for (int i = 0; i < faces; ++i) {
        FacePrediction& face = made.faces.emplace_back(face_at(i + 3, static_cast<float>(20 * i), 10));
        set_heat(face, 2, 3, 4, 1e9f);
        face.left = -1e6f;
        if (i == 1) face.heatmaps.clear();  // a network that states intensities
      }
      const Image& drawn = overlay.draw(made);
      EXPECT_EQ(drawn.height, overlay.height());
      EXPECT_EQ(drawn.width, overlay.width());
    }
  }
}

TEST(FrameOverlay, AFrameOfAnotherSizeIsFittedIn) {
  FrameOverlay overlay(kHeight, kWidth, kAus);
  PicturePrediction other = frame({});
  other.image = Image(480, 480);
  std::fill(other.image.rgb.begin(), other.image.rgb.end(), uint8_t{200});
  const Image& drawn = overlay.draw(other);
  EXPECT_EQ(drawn.at(120, 120)[0], 200);
  EXPECT_EQ(drawn.at(239, 239)[0], 200);
  EXPECT_LT(drawn.at(120, 245)[0], 60);  // nothing beside it
}

TEST(FrameOverlay, SaysWhatIsWrong) {
  EXPECT_THAT(error_of([] { FrameOverlay(0, 5, kAus); }), HasSubstr("a video of 5 x 0 pixels"));
  EXPECT_THAT(error_of([] { FrameOverlay(5, 5, {}); }), HasSubstr("without Action Units"));
  FrameOverlay overlay(kHeight, kWidth, kAus);
  PicturePrediction bad = frame({face_at(0, 10, 10)});
  bad.faces[0].aus.pop_back();
  EXPECT_THAT(error_of([&] { overlay.draw(bad); }), HasSubstr("video.mp4: a face with 2 Action Units, expected 3"));
  bad = frame({});
  bad.frame.reset();
  EXPECT_THAT(error_of([&] { overlay.draw(bad); }), HasSubstr("without its time"));
  bad = frame({});
  bad.image = {};
  EXPECT_THAT(error_of([&] { overlay.draw(bad); }), HasSubstr("without its picture"));
}

}  // namespace
}  // namespace sandglass
