#include "train/curve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/file.h"
#include "temporary_folder.h"

namespace sandglass {
namespace {

constexpr const char* kRecords =
    R"({"type":"train","step":10,"epoch":0.5,"loss":0.4,"lr":0.001,"images_per_s":12}
{"type":"train","step":20,"epoch":1,"loss":0.02,"lr":0.001,"images_per_s":12}
{"type":"validation","step":20,"epoch":1,"aus":{"AU06":{"icc":0.25},"AU12":{"icc":null}},"mean":{"icc":0.25}}
{"type":"something new"}
{"type":"train","step":30,"epoch":1.5,"loss":0.01,"lr":0.001,"images_per_s":12}
{"type":"validation","step":40,"epoch":2,"aus":{"AU06":{"icc":0.75},"AU12":{"icc":-0.5}},"mean":{"icc":0.125}}
)";

TrainingCurve read(const std::string& content) {
  const TemporaryFolder folder;
  write_file(folder / "metrics.jsonl", content);
  return read_curve(folder / "metrics.jsonl");
}

// A small check that the picture is well-formed XML: every tag is closed or closes itself.
void expect_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '\'') % 2, 0) << tag;
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(tag.substr(1), open.back());
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Curve, ReadsMetrics) {
  const TrainingCurve curve = read(kRecords);
  ASSERT_EQ(curve.losses.size(), 3u);
  EXPECT_EQ(curve.losses[2].step, 30);
  EXPECT_EQ(curve.losses[1].loss, 0.02);
  ASSERT_EQ(curve.validations.size(), 2u);
  EXPECT_EQ(curve.validations[0].mean_icc, 0.25);
  EXPECT_EQ(curve.validations[0].icc, (std::map<std::string, double>{{"AU06", 0.25}}));
  EXPECT_EQ(curve.validations[1].icc.at("AU12"), -0.5);
}

TEST(Curve, LeavesOutAnUnfinishedLineAndNamesABrokenOne) {
  EXPECT_EQ(read(std::string(kRecords) + "{\"type\":\"train\",\"st").losses.size(), 3u);
  const std::string error = error_of([] { read("{\"type\":\"train\",\"step\":1,\"loss\":2}\nnot JSON\n"); });
  EXPECT_NE(error.find("metrics.jsonl:2: not a record"), std::string::npos) << error;
  EXPECT_NE(error_of([] { read("{\"type\":\"train\",\"step\":1}\n"); }).find("metrics.jsonl:1:"), std::string::npos);
  EXPECT_NE(error_of([] { read("[1]\n"); }).find("metrics.jsonl:1:"), std::string::npos);
}

TEST(Curve, DrawsWhatItRead) {
  const std::string svg = to_svg(read(kRecords));
  expect_well_formed(svg);
  for (const char* text :
       {"Training loss", "step", "epoch", "ICC(3,1)", "mean 0.125", "AU06 0.750", "AU12 -0.500", "smoothed"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
}

TEST(Curve, DrawsWhateverThereIs) {
  expect_well_formed(to_svg({}));
  EXPECT_NE(to_svg({}).find("no validation"), std::string::npos);
  TrainingCurve curve;
  curve.losses = {{1, 0.5}};
  expect_well_formed(to_svg(curve));
  curve.losses = {{1, 0.5}, {2, 0}, {3, NAN}, {4, INFINITY}, {5, 1e-30}};
  curve.validations.push_back({1, NAN, {}});
  expect_well_formed(to_svg(curve));
  curve.validations.push_back({2, -0.9, {{"AU<&>", -5}}});
  expect_well_formed(to_svg(curve));
  curve.losses.clear();
  for (int i = 1; i <= 5000; ++i) curve.losses.push_back({static_cast<double>(i), 0.37 / i});
  expect_well_formed(to_svg(curve));
}

}  // namespace
}  // namespace sandglass
