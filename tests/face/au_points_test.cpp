#include "face/au_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "tests/face/one_line_error.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using Places = std::vector<std::vector<int>>;

std::string table_error(const std::string& text) {
  return one_line_error_of([&] { parse_au_table(text, "mine.txt"); });
}

TEST(AuTable, BuiltInTableIsTheFile) {
  EXPECT_EQ(default_au_table().definitions, read_au_table("configs/au_points.txt").definitions);
}

TEST(AuTable, HasThePapersAusAndDisfas) {
  const AuTable& table = default_au_table();
  EXPECT_EQ(table.find("AU06").places, (Places{{36, 1}, {45, 15}}));
  EXPECT_EQ(table.find("AU10").places, (Places{{49}, {53}}));
  EXPECT_EQ(table.find("AU12").places, (Places{{48}, {54}}));
  EXPECT_EQ(table.find("AU14").places, (Places{{48, 3}, {54, 13}}));
  EXPECT_EQ(table.find("AU17").places, (Places{{57}, {57, 8}}));
  for (const char* disfa : {"1", "2", "4", "5", "6", "9", "12", "15", "17", "20", "25", "26"}) {
    EXPECT_FALSE(table.find(disfa).places.empty()) << disfa;
  }
}

TEST(AuTable, ReadsEveryFormOfLine) {
  const AuTable table = parse_au_table(
      "\xEF\xBB\xBF# comment\r\n\n  au6 :mid( 36 ,1)   mean(1,31,41)\t7 # more\r\n12: 48 54", "mine.txt");
  ASSERT_EQ(table.definitions.size(), 2u);
  EXPECT_EQ(table.definitions[0], (AuDefinition{"AU06", {{36, 1}, {1, 31, 41}, {7}}}));
  EXPECT_EQ(table.definitions[1], (AuDefinition{"AU12", {{48}, {54}}}));
}

TEST(AuTable, ErrorsNameFileAndLine) {
  EXPECT_THAT(table_error("AU06: 1\nAU12 48"), StartsWith("mine.txt: line 2: expected 'AU: places'"));
  EXPECT_THAT(table_error("smile: 48"), StartsWith("mine.txt: line 1: 'smile' is not the name of an Action Unit"));
  EXPECT_THAT(table_error("\n\nAU06:  # nothing"), StartsWith("mine.txt: line 3: no place"));
  EXPECT_THAT(table_error("AU06: 68"), HasSubstr("0 to 67, found '68'"));
  EXPECT_THAT(table_error("AU06: -1"), HasSubstr("0 to 67"));
  EXPECT_THAT(table_error("AU06: 99999999999999999999"), HasSubstr("0 to 67"));
  EXPECT_THAT(table_error("AU06: 1.5"), HasSubstr("expected a space before '.5'"));
  EXPECT_THAT(table_error("AU06: 1,2"), HasSubstr("expected a space before ',2'"));
  EXPECT_THAT(table_error("AU06: middle(1, 2)"), HasSubstr("unknown word 'middle'"));
  EXPECT_THAT(table_error("AU06: mid 1 2"), HasSubstr("expected '(' in mid(...), found '1 2'"));
  EXPECT_THAT(table_error("AU06: mid(1, 2"), HasSubstr("expected ')' in mid(...), found ''"));
  EXPECT_THAT(table_error("AU06: mid(1, )"), HasSubstr("found ')'"));
  EXPECT_THAT(table_error("AU06: mid(1)"), HasSubstr("takes two landmarks, not 1"));
  EXPECT_THAT(table_error("AU06: mid(1, 2, 3)"), HasSubstr("takes two landmarks, not 3"));
  EXPECT_THAT(table_error("AU06: mean()"), HasSubstr("expected a landmark"));
  EXPECT_THAT(table_error("AU06: 1\nau6: 2"), StartsWith("mine.txt: line 2: AU06 is defined a second time"));
  EXPECT_THAT(table_error("# nothing"), HasSubstr("mine.txt: defines no AU"));
  EXPECT_THAT(table_error(""), HasSubstr("defines no AU"));
  EXPECT_THAT(one_line_error_of([] { read_au_table("no_such_table.txt"); }),
              HasSubstr("no_such_table.txt: no such file"));
  EXPECT_THAT(one_line_error_of([] { default_au_table().find("AU43"); }), HasSubstr("has no line for AU43"));
}

TEST(AuName, IsNormalised) {
  for (const char* name : {"6", "06", "AU6", "au6", "AU06", "Au06", " AU06 "})
    EXPECT_EQ(normalise_au_name(name), "AU06") << name;
  EXPECT_EQ(normalise_au_name("au45"), "AU45");
  for (const char* name : {"", "AU", "AU0", "AU006", "100", "AU6x", "x6", "A6", "-6", "+6", "6.0", "AU 6"}) {
    EXPECT_THAT(one_line_error_of([&] { normalise_au_name(name); }), HasSubstr("is not the name of an Action Unit"))
        << name;
  }
}

TEST(AuPoints, AreMeansOfLandmarks) {
  Landmarks landmarks{};
  landmarks[1] = {10, 100}, landmarks[31] = {40, 40}, landmarks[41] = {70, 10};
  const std::vector<Point> points = au_points({"AU06", {{31}, {1, 31}, {1, 31, 41}}}, landmarks);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_FLOAT_EQ(points[0].x, 40);
  EXPECT_FLOAT_EQ(points[1].x, 25);
  EXPECT_FLOAT_EQ(points[1].y, 70);
  EXPECT_FLOAT_EQ(points[2].x, 40);
  EXPECT_FLOAT_EQ(points[2].y, 50);
}

TEST(Mirror, ExchangesLeftAndRight) {
  // Pairs of the 68-point markup, written down one by one from its figure.
  const std::pair<int, int> pairs[] = {{0, 16},  {1, 15},  {2, 14},  {3, 13},  {4, 12},  {5, 11},  {6, 10},  {7, 9},
                                       {17, 26}, {18, 25}, {19, 24}, {20, 23}, {21, 22}, {31, 35}, {32, 34}, {36, 45},
                                       {37, 44}, {38, 43}, {39, 42}, {40, 47}, {41, 46}, {48, 54}, {49, 53}, {50, 52},
                                       {55, 59}, {56, 58}, {60, 64}, {61, 63}, {65, 67}};
  std::set<int> paired;
  for (const auto& [left, right] : pairs) {
    EXPECT_EQ(kMirroredLandmark[static_cast<size_t>(left)], right);
    EXPECT_EQ(kMirroredLandmark[static_cast<size_t>(right)], left);
    paired.insert({left, right});
  }
  for (int i = 0; i < 68; ++i) {
    if (paired.contains(i)) continue;
    EXPECT_EQ(kMirroredLandmark[static_cast<size_t>(i)], i);
  }
}

TEST(Mirror, MovesLandmarksWithThePicture) {
  Landmarks landmarks{};
  landmarks[36] = {3, 7};
  const Landmarks mirrored = mirror(landmarks, 10);
  EXPECT_EQ(mirrored[45].x, 6);  // column 3 of 10 becomes column 6
  EXPECT_EQ(mirrored[45].y, 7);
  const Landmarks twice = mirror(mirrored, 10);
  for (size_t i = 0; i < 68; ++i) EXPECT_EQ(twice[i].x, landmarks[i].x);
}

TEST(Mirror, LeavesEveryAuOfTheTableWhereItIs) {
  for (const AuDefinition& au : default_au_table().definitions) {
    std::multiset<std::multiset<int>> places, mirrored;
    for (const auto& place : au.places) {
      places.insert({place.begin(), place.end()});
      std::multiset<int> other;
      for (const int index : place) other.insert(kMirroredLandmark[static_cast<size_t>(index)]);
      mirrored.insert(other);
    }
    EXPECT_EQ(places, mirrored) << au.name;
  }
}

}  // namespace
}  // namespace sandglass
