#include "train/balance.h"

#include <gtest/gtest.h>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

// AU06 of 8 rows is coded 0, 0, 0, 0, 1, 1, 5 and not; AU12 0 everywhere but in the last row, 4.6.
Manifest manifest() {
  Manifest made;
  made.path = "faces.csv";
  made.aus = {"AU12", "AU06"};
  for (const float au06 : {0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 1.2f, 5.0f, kNotCoded}) {
    ManifestRow row;
    row.intensities = {made.rows.size() == 7 ? 4.6f : 0.0f, au06};
    made.rows.push_back(row);
  }
  return made;
}

TrainingConfig config(const std::vector<std::string>& settings) {
  TrainingConfig config;
  config.aus = {"AU06", "AU12"};
  for (const std::string& setting : settings) apply_setting(setting, config);
  return config;
}

LevelCounts counts() {
  const Manifest faces = manifest();
  return count_levels(faces, faces.columns_of({"AU06", "AU12"}));
}

TEST(Balance, CountsTheNearestLevelsOfWhatIsCoded) {
  EXPECT_EQ(counts(), (LevelCounts{{4, 2, 0, 0, 0, 1}, {7, 0, 0, 0, 0, 1}}));
}

TEST(Balance, WeightsAreInverseCountsWithAMeanOfOne) {
  const LevelWeights inverse = balanced_weights(counts(), 1), root = balanced_weights(counts(), 0.5);
  // 7 coded rows, 3 intensities: each intensity gets 7 / 3 rows' worth.
  EXPECT_NEAR(inverse[0][0], 7.0 / 3 / 4, 1e-12);
  EXPECT_NEAR(inverse[0][1], 7.0 / 3 / 2, 1e-12);
  EXPECT_NEAR(inverse[0][5], 7.0 / 3, 1e-12);
  EXPECT_EQ(inverse[0][2], 1);
  EXPECT_NEAR(root[0][0] / root[0][5], 0.5, 1e-12);
  for (const LevelWeights& weights : {inverse, root})
    for (size_t k = 0; k < 2; ++k) {
      double sum = 0, rows = 0;
      for (size_t level = 0; level < kIntensityLevels; ++level) {
        sum += static_cast<double>(counts()[k][level]) * weights[k][level];
        rows += static_cast<double>(counts()[k][level]);
      }
      EXPECT_NEAR(sum / rows, 1, 1e-12);
    }
}

TEST(Balance, LossWeightsAreThoseOfTheConfiguration) {
  EXPECT_TRUE(loss_weights(config({}), counts()).empty());
  const std::vector<float> inverse = loss_weights(config({"loss.balance=inverse"}), counts());
  ASSERT_EQ(inverse.size(), 12u);
  EXPECT_FLOAT_EQ(inverse[0], 7.0f / 12);
  EXPECT_FLOAT_EQ(inverse[6], 4.0f / 7);
  EXPECT_EQ(
      loss_weights(config({"loss.balance=sqrt", "loss.weights={AU12=[0,1,2,3,4,5],all=[6,6,6,6,6,6]}"}), counts()),
      (std::vector<float>{6, 6, 6, 6, 6, 6, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(loss_weights(config({"loss.weights={AU6=[0,1,2,3,4,5]}"}), counts()),
            (std::vector<float>{0, 1, 2, 3, 4, 5, 1, 1, 1, 1, 1, 1}));
  EXPECT_NE(to_text({"AU06", "AU12"}, counts(), inverse).find("AU06  0: 0.583 (4)  1: 1.167 (2)"), std::string::npos);
}

TEST(Balance, RowsWeighAsTheMeanOfTheirCodedActionUnits) {
  EXPECT_TRUE(row_weights(config({}), manifest()).empty());
  const std::vector<double> weights = row_weights(config({"sampling.balance=intensity"}), manifest());
  ASSERT_EQ(weights.size(), 8u);
  EXPECT_NEAR(weights[0], (7.0 / 12 + 4.0 / 7) / 2, 1e-12);
  EXPECT_NEAR(weights[6], (7.0 / 3 + 4.0 / 7) / 2, 1e-12);
  EXPECT_NEAR(weights[7], 4, 1e-12) << "AU06 is not coded there";
  EXPECT_EQ(row_weights(config({"sampling.weights={all=[0,0,0,0,0,8]}"}), manifest()),
            (std::vector<double>{0, 0, 0, 0, 0, 0, 4, 8}));
  EXPECT_NE(error_of([] {
              row_weights(config({"sampling.weights={all=[0,0,0,1,0,0]}"}), manifest());
            }).find("faces.csv: sampling.weights leave no picture to draw"),
            std::string::npos);
}

}  // namespace
}  // namespace sandglass
