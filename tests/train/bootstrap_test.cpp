// Expected intervals come from metrics_expected.py beside this file.
#include "train/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

const std::vector<std::string> kNames = {"AU06", "AU12"};
const std::vector<float> kLabels = {0, 1, 0, -1, 1, 2, 2, 0, 3, 5, 5, 4, 4, -1, 0, 0, 2, 1, 1, 0, 3, 3, 0, 2};
const std::vector<float> kPredictions = {-0.5, 1.25, 0.25,  9,  1.5,  1, 1.75, 0.5,  2.5, 6.5, 4.5, 3.25,
                                         5.75, 0,    0.125, -1, 2.25, 2, 0.5,  0.75, 3.5, 2.5, 0,   1.5};

Manifest manifest_of(const std::vector<std::string>& subjects) {
  Manifest manifest;
  manifest.path = "data.csv";
  for (const std::string& subject : subjects)
    manifest.rows.push_back({"x.png", subject, {}, {}, static_cast<int>(manifest.rows.size()) + 2});
  return manifest;
}
SampleGroups four_subjects() {
  return sample_groups(manifest_of({"a", "a", "a", "b", "b", "b", "c", "c", "c", "d", "d", "d"}));
}

size_t index_of(const std::string& key) {
  for (size_t f = 0; f < kFigures.size(); ++f) {
    if (kFigures[f].key == key) return f;
  }
  ADD_FAILURE() << key;
  return 0;
}

TEST(Bootstrap, IntervalsAreThoseOfAllSamplesOfSubjects) {
  const Intervals intervals =
      bootstrap(kNames, kPredictions, kLabels, kDefaultThreshold, four_subjects(), {20000, 0.8, 1});
  struct Case {
    const char* key;
    double low, high;
  };
  for (const Case& expected : {Case{"icc", 0.957225, 0.974227},
                               {"mse", 0.140625, 0.268229},
                               {"mae", 0.312500, 0.416667},
                               {"pearson", 0.962677, 0.989848}}) {
    const Interval& interval = intervals.aus[0][index_of(expected.key)];
    EXPECT_NEAR(interval.low, expected.low, 2e-3) << expected.key;
    EXPECT_NEAR(interval.high, expected.high, 2e-3) << expected.key;
  }
  EXPECT_NEAR(intervals.mean[index_of("icc")].low, 0.814370, 4e-3);
  EXPECT_NEAR(intervals.mean[index_of("icc")].high, 0.960448, 4e-3);
}

TEST(Bootstrap, DrawsSubjectsAndNotPictures) {
  // Subject a is always off by 1, b by 2: a sample of two is (1, 1), (1, 4) or (4, 4), so its MSE 1, 2.5 or 4.
  const std::vector<float> labels = {0, 1, 2, 0, 1, 2}, predictions = {1, 2, 3, 2, 3, 4};
  const SampleGroups subjects = sample_groups(manifest_of({"a", "a", "a", "b", "b", "b"}));
  EXPECT_TRUE(subjects.by_subject);
  EXPECT_EQ(subjects.text(), "2 subjects");
  EXPECT_EQ(subjects.remark, "");
  const Interval mse = bootstrap({"AU06"}, predictions, labels, 2, subjects, {400, 0.95, 3}).aus[0][index_of("mse")];
  EXPECT_NEAR(mse.low, 1, 1e-12);
  EXPECT_NEAR(mse.high, 4, 1e-12);
  const SampleGroups pictures = sample_groups(manifest_of({"a", "a", "a", "b", "", "b"}));
  EXPECT_FALSE(pictures.by_subject);
  EXPECT_EQ(pictures.text(), "6 pictures");
  EXPECT_NE(pictures.remark.find("data.csv, row 6 has no subject"), std::string::npos) << pictures.remark;
  const Interval narrower =
      bootstrap({"AU06"}, predictions, labels, 2, pictures, {400, 0.95, 3}).aus[0][index_of("mse")];
  EXPECT_GT(narrower.low, 1);  // all six of one kind: 1 in 64
  EXPECT_LT(narrower.high, 4);
}

TEST(Bootstrap, IsAFunctionOfItsSeed) {
  const SampleGroups pictures = sample_groups(manifest_of(std::vector<std::string>(12)));
  const auto mse = [&](uint64_t seed) {
    return bootstrap(kNames, kPredictions, kLabels, 2, pictures, {50, 0.9, seed}).mean[index_of("mse")];
  };
  EXPECT_EQ(mse(1).low, mse(1).low);
  EXPECT_EQ(mse(1).high, mse(1).high);
  EXPECT_NE(mse(1).low, mse(2).low);
}

TEST(Bootstrap, SamplesThatDoNotDefineAFigureAreLeftOut) {
  // Only the first subject's labels differ: without it there is no ICC.
  const std::vector<float> labels = {0, 1, 2, 2}, predictions = {0, 1, 2, 2};
  const SampleGroups groups = sample_groups(manifest_of({"a", "a", "b", "b"}));
  const Intervals intervals = bootstrap({"AU06"}, predictions, labels, 2, groups, {100, 0.95, 1});
  EXPECT_NEAR(intervals.aus[0][0].low, 1, 1e-12);
  EXPECT_NEAR(intervals.aus[0][0].high, 1, 1e-12);
  const std::vector<float> uncoded = {-1, -1, -1, -1};
  EXPECT_TRUE(std::isnan(bootstrap({"AU06"}, predictions, uncoded, 2, groups, {10, 0.95, 1}).aus[0][0].low));
}

TEST(Bootstrap, NeedsTwoOfWhatItDraws) {
  const auto error = [](const std::vector<std::string>& subjects, BootstrapOptions options) {
    const std::vector<float> labels(subjects.size(), 1), predictions(subjects.size(), 1);
    return error_of(
        [&] { bootstrap({"AU06"}, predictions, labels, 2, sample_groups(manifest_of(subjects)), options); });
  };
  EXPECT_EQ(error({"a", "a"}, {}), "intervals need at least two subjects, there is only 1 subject");
  EXPECT_EQ(error({""}, {}), "intervals need at least two pictures, there is only 1 picture");
  EXPECT_NE(error({"a", "b"}, {1, 0.95, 1}).find("1 replicates"), std::string::npos);
  EXPECT_NE(error({"a", "b"}, {100, 1, 1}).find("level 1"), std::string::npos);
}

}  // namespace
}  // namespace sandglass
