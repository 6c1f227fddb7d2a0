#include "train/schedule.h"

#include <gtest/gtest.h>

namespace sandglass {
namespace {

TrainingConfig schedule(const std::string& name, double warmup) {
  TrainingConfig config;
  config.lr = 0.1;
  config.epochs = 10;
  config.schedule = name;
  config.warmup = warmup;
  return config;
}

TEST(Schedule, WarmUpRisesLinearlyInEverySchedule) {
  for (const char* name : {"constant", "cosine", "step"}) {
    const TrainingConfig config = schedule(name, 0.5);  // 4 of 8 steps
    for (int step = 0; step < 4; ++step)
      EXPECT_NEAR(learning_rate(config, 8, step), 0.1 * (step + 1) / 4, 1e-12) << name;
    EXPECT_NEAR(learning_rate(config, 8, 4), 0.1, 1e-12) << name;
  }
}

TEST(Schedule, Constant) { EXPECT_EQ(learning_rate(schedule("constant", 0), 8, 79), 0.1); }

TEST(Schedule, CosineGoesToAlmostZero) {
  const TrainingConfig config = schedule("cosine", 0);
  EXPECT_NEAR(learning_rate(config, 8, 0), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(config, 8, 20), 0.1 * 0.8535533906, 1e-10);  // (1 + cos 45 degrees) / 2
  EXPECT_NEAR(learning_rate(config, 8, 40), 0.05, 1e-12);
  EXPECT_NEAR(learning_rate(config, 8, 79), 0.1 * 0.000385502, 1e-7);
  EXPECT_GT(learning_rate(config, 8, 79), 0);
  EXPECT_NEAR(learning_rate(schedule("cosine", 2), 8, 48), 0.05, 1e-12);  // halfway between step 16 and step 80
}

TEST(Schedule, Steps) {
  TrainingConfig config = schedule("step", 0);
  config.step_epochs = 3;
  config.step_factor = 0.5;
  EXPECT_NEAR(learning_rate(config, 8, 23), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(config, 8, 24), 0.05, 1e-12);
  EXPECT_NEAR(learning_rate(config, 8, 79), 0.0125, 1e-12);
}

TEST(Schedule, WarmUpLongerThanTheRun) { EXPECT_NEAR(learning_rate(schedule("cosine", 20), 8, 79), 0.05, 1e-12); }

}  // namespace
}  // namespace sandglass
