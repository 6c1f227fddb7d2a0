// Expected values come from metrics_expected.py beside this file.
#include "train/metrics.h"
#include "train/evaluation_files.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Agreement agreement_of(const std::vector<std::pair<double, double>>& pairs, double threshold = 2) {
  Agreement agreement;
  for (const auto& [prediction, label] : pairs) agreement.add(prediction, label, threshold);
  return agreement;
}

TEST(Metrics, IccOfShroutAndFleiss) {  // two of the four judges of their table 2
  EXPECT_NEAR(agreement_of({{9, 2}, {6, 1}, {8, 4}, {7, 1}, {10, 5}, {6, 2}}).icc(), 0.7453416149, 1e-10);
  EXPECT_NEAR(agreement_of({{2, 5}, {1, 3}, {4, 6}, {1, 2}, {5, 6}, {2, 4}}).icc(), 0.8944099379, 1e-10);
}

TEST(Metrics, IccTellsConsistencyNotAbsoluteAgreement) {
  EXPECT_NEAR(agreement_of({{1, 3}, {2, 4}, {5, 7}}).icc(), 1, 1e-12);  // a constant difference does not count
  EXPECT_NEAR(agreement_of({{1, 5}, {2, 4}, {3, 3}, {4, 2}, {5, 1}}).icc(), -1, 1e-12);
  // By hand: means 1 and 1, Spp = 2, Sll = 2, Spl = 1, so 2 * 1 / 4; a prediction with half the spread: 2 Spl = 2, Spp
  // + Sll = 2.5.
  EXPECT_NEAR(agreement_of({{0, 0}, {1, 2}, {2, 1}}).icc(), 0.5, 1e-12);
  EXPECT_NEAR(agreement_of({{0.5, 0}, {1, 1}, {1.5, 2}}).icc(), 0.8, 1e-12);
  EXPECT_TRUE(std::isnan(agreement_of({{2, 2}, {2, 2}}).icc()));
  EXPECT_TRUE(std::isnan(agreement_of({{1, 2}}).icc()));
}

TEST(Metrics, F1CountsFromTheThresholdOn) {
  // By hand at 2: one of each of TP, FP, FN and TN: 2 / (2 + 1 + 1).
  const std::vector<std::pair<double, double>> pairs{{2, 3}, {2.5, 1}, {1.99, 2}, {0, 0}};
  EXPECT_NEAR(agreement_of(pairs, 2).f1(), 0.5, 1e-12);
  EXPECT_NEAR(agreement_of(pairs, 1).f1(), 1, 1e-12);
  EXPECT_NEAR(agreement_of(pairs, 3).f1(), 0, 1e-12);  // present once, never predicted
  EXPECT_TRUE(std::isnan(agreement_of(pairs, 4).f1()));
}

TEST(Metrics, SumsOfGroupsAddUp) {
  const Agreement a = agreement_of({{1, 3}, {2, 4}}), b = agreement_of({{5, 1}});
  Agreement sum;
  sum.add(a, 2);
  sum.add(b);
  sum.add(b, 0);
  const Agreement expected = agreement_of({{1, 3}, {2, 4}, {1, 3}, {2, 4}, {5, 1}});
  EXPECT_EQ(sum.count(), 5);
  for (const Figure& figure : kFigures) EXPECT_NEAR((sum.*figure.computed)(), (expected.*figure.computed)(), 1e-12);
  Agreement constant;  // ranges are those of what was added
  constant.add(b, 3);
  constant.add(a, 0);
  EXPECT_TRUE(std::isnan(constant.icc()));
}

TEST(Metrics, MatchesNumpy) {
  const std::vector<float> labels = {0, 1, 0, -1, 1, 2, 2, 0, 3, 5, 5, 4, 4, -1, 0, 0, 2, 1, 1, 0, 3, 3, 0, 2};
  const std::vector<float> predictions = {
      -0.5, 1.25, 0.25,  9,  1.5,  1, 1.75, 0.5,  2.5, 6.5, 4.5, 3.25,
      5.75, kNaN, 0.125, -1, 2.25, 2, 0.5,  0.75, 3.5, 2.5, 0,   1.5};  // NaN: not coded
  const Metrics metrics = evaluate_predictions({"AU06", "AU12"}, predictions, labels);
  ASSERT_EQ(metrics.aus.size(), 2u);
  const AuMetrics& first = metrics.aus[0];
  const AuMetrics& second = metrics.aus[1];
  EXPECT_EQ(first.count, 12);
  EXPECT_NEAR(first.icc, 0.9642460495, 1e-9);
  EXPECT_NEAR(first.pearson, 0.9648310794, 1e-9);
  EXPECT_NEAR(first.mse, 0.2044270833, 1e-9);
  EXPECT_NEAR(first.mae, 0.3645833333, 1e-9);
  EXPECT_EQ(second.count, 10);
  EXPECT_NEAR(second.icc, 0.9172912558, 1e-9);
  EXPECT_NEAR(second.pearson, 0.9294685178, 1e-9);
  EXPECT_NEAR(second.mse, 0.3937500000, 1e-9);
  EXPECT_NEAR(second.mae, 0.5250000000, 1e-9);
  EXPECT_NEAR(first.f1, 0.9090909091, 1e-9);
  EXPECT_NEAR(second.f1, 0.6666666667, 1e-9);
  EXPECT_NEAR(metrics.f1.value, (0.9090909091 + 0.6666666667) / 2, 1e-9);
  EXPECT_NEAR(evaluate_predictions({"AU06", "AU12"}, predictions, labels, 1).aus[0].f1, 0.9333333333, 1e-9);
  EXPECT_NEAR(metrics.icc.value, (0.9642460495 + 0.9172912558) / 2, 1e-9);
  EXPECT_NEAR(metrics.mae.value, (0.3645833333 + 0.525) / 2, 1e-9);
  EXPECT_EQ(metrics.icc.aus, 2);
}

TEST(Metrics, DegenerateCasesAreLeftOutOfMeans) {
  // AU01: constant labels; AU02: constant predictions; AU04: not coded; AU05: fine.
  const std::vector<float> labels = {1, 0, -1, 0, 1, 2, -1, 3, 1, 4, -1, 5};
  const std::vector<float> predictions = {0, 2, 1, 0, 2, 2, 1, 3, 4, 2, 1, 5};
  const Metrics metrics = evaluate_predictions({"AU01", "AU02", "AU04", "AU05"}, predictions, labels);
  EXPECT_TRUE(std::isnan(metrics.aus[0].icc));
  EXPECT_TRUE(std::isnan(metrics.aus[0].pearson));
  EXPECT_NEAR(metrics.aus[0].mae, 5.0 / 3, 1e-12);
  EXPECT_EQ(metrics.aus[1].icc, 0);
  EXPECT_TRUE(std::isnan(metrics.aus[1].pearson));
  EXPECT_EQ(metrics.aus[2].count, 0);
  EXPECT_TRUE(std::isnan(metrics.aus[2].mse));
  EXPECT_NEAR(metrics.aus[3].icc, 1, 1e-12);
  EXPECT_EQ(metrics.icc.aus, 2);
  EXPECT_NEAR(metrics.icc.value, 0.5, 1e-12);
  EXPECT_EQ(metrics.pearson.aus, 1);
  EXPECT_NEAR(metrics.pearson.value, 1, 1e-12);
  EXPECT_EQ(metrics.mse.aus, 3);

  const std::string table = to_table(metrics);
  EXPECT_NE(table.find("ICC(3,1): not defined for 2 of 4 AUs"), std::string::npos) << table;
  const nlohmann::json json = to_json(metrics);
  EXPECT_TRUE(json["aus"]["AU01"]["icc"].is_null());
  EXPECT_EQ(json["aus"]["AU02"]["icc"], 0.0);
  EXPECT_EQ(json["mean_over"]["icc"], 2);
  EXPECT_NO_THROW(nlohmann::json::parse(json.dump()));
}

TEST(Metrics, NothingCodedAtAll) {
  const Metrics metrics = evaluate_predictions({"AU06"}, std::vector<float>{1, 2}, std::vector<float>{-1, -1});
  EXPECT_TRUE(std::isnan(metrics.icc.value));
  EXPECT_EQ(metrics.icc.aus, 0);
  EXPECT_TRUE(to_json(metrics)["mean"]["icc"].is_null());
}

TEST(Metrics, RefusesWhatDoesNotFit) {
  EXPECT_THROW(evaluate_predictions({"AU06"}, std::vector<float>{1}, std::vector<float>{1, 2}), Error);
  EXPECT_THROW(evaluate_predictions({}, {}, {}), Error);
  EXPECT_NE(error_of([] {
              evaluate_predictions({"AU06"}, std::vector<float>{1, kNaN}, std::vector<float>{1, 2});
            }).find("AU06 for picture 1"),
            std::string::npos);
}

}  // namespace
}  // namespace sandglass
