#include "train/config.h"

#include <gtest/gtest.h>

#include "engine/file.h"
#include "tests/temporary_folder.h"
#include "train/experiment.h"

namespace sandglass {
namespace {

TrainingConfig parsed(const std::string& toml) {
  TrainingConfig config;
  parse_config(toml, "run.toml", config);
  return config;
}

std::string parse_error(const std::string& toml) {
  return error_of([&] { parsed(toml); });
}

std::string setting_error(const std::string& setting) {
  TrainingConfig config;
  return error_of([&] { apply_setting(setting, config); });
}

TEST(Config, ReadsEveryTypeAndKeepsTheRest) {
  const TrainingConfig config = parsed(
      "width = 64\nlr = 1\nseed = 9007199254740993\noptimizer = \"adamw\"\naus = [\"AU12\", \"6\"]\n"
      "augment.rotation = 5.5\n[heatmap]\nsigma = \"fixed:2.5\"\n");
  EXPECT_EQ(config.width, 64);
  EXPECT_EQ(config.lr, 1.0);
  EXPECT_EQ(config.seed, 9007199254740993u);
  EXPECT_EQ(config.optimizer_kind(), OptimizerKind::adamw);
  EXPECT_EQ(config.aus, (std::vector<std::string>{"AU12", "AU06"}));
  EXPECT_EQ(config.augment.rotation, 5.5);
  EXPECT_EQ(config.heatmap(3).sigma_rule, SigmaRule::fixed);
  EXPECT_EQ(config.heatmap(3).sigma, 2.5f);
  EXPECT_EQ(config.heatmap(3).points_per_map, 3);
  EXPECT_EQ(config.depth, 4);
  EXPECT_EQ(config.network().heatmaps, 2);
}

TEST(Config, ReadsBackWhatItWrites) {
  TrainingConfig config;
  for (const char* setting :
       {"width=20", "lr=0.1", "seed=123456789012345678", "schedule=step", "heatmap.sigma=fan", "clip=3e-7",
        "aus=AU01,AU45", "augment.mirror=0", "au_points=/tmp/a \"quoted\" \\ name\tü.txt"}) {
    apply_setting(setting, config);
  }
  const std::string text = to_toml(config);
  const TrainingConfig back = parsed(text);
  EXPECT_EQ(to_toml(back), text);
  EXPECT_EQ(back.au_points, config.au_points);
  EXPECT_EQ(back.clip, 3e-7);
  EXPECT_EQ(back.seed, 123456789012345678u);
}

TEST(Config, TablesAreReadFromFilesSectionsAndSettings) {
  TrainingConfig config = parsed(
      "loss.weights = { AU6 = [0, 1, 2, 3, 4, 5.5], all = [1, 1, 1, 1, 1, 1] }\n"
      "[transfer]\nfreeze = [\"stem\"]\n[transfer.learning_rate]\nhourglass = 0.5\n\"m0.b1_4\" = 2\n"
      "[sampling.weights]\nAU12 = [1, 1, 1, 2, 2, 2]\n");
  EXPECT_EQ(config.loss_weights.at("AU06"), (std::vector<double>{0, 1, 2, 3, 4, 5.5}));
  EXPECT_EQ(config.loss_weights.size(), 2u);
  EXPECT_EQ(config.transfer_freeze.names, (std::vector<std::string>{"stem"}));
  EXPECT_EQ(config.transfer_learning_rate, (PartNumbers{{"hourglass", 0.5}, {"m0.b1_4", 2}}));
  EXPECT_EQ(config.sampling_weights.at("AU12")[3], 2);
  const std::string text = to_toml(config);
  EXPECT_NE(text.find("transfer.learning_rate = { \"hourglass\" = 0.5, \"m0.b1_4\" = 2.0 }\n"), std::string::npos);
  EXPECT_EQ(to_toml(parsed(text)), text);

  apply_setting("transfer.learning_rate={head=3}", config);
  apply_setting("transfer.freeze=stem,m0.b1_4", config);
  apply_setting("transfer.weights=w.pth", config);
  EXPECT_EQ(config.transfer_learning_rate, (PartNumbers{{"head", 3}}));
  EXPECT_EQ(config.transfer_freeze.names, (std::vector<std::string>{"stem", "m0.b1_4"}));
  EXPECT_EQ(config.transfer_weights, (std::filesystem::current_path() / "w.pth").string());

  EXPECT_NE(parse_error("\nloss.weights = { AU06 = [1, 2, 3] }").find("run.toml:2: 'loss.weights' is"),
            std::string::npos);
  EXPECT_NE(parse_error("loss.weights = { AU06 = [1, 2, 3, 4, 5, -1] }").find("six numbers from 0 to 1000"),
            std::string::npos);
  EXPECT_NE(parse_error("[loss.weights]\nsmile = [1, 2, 3, 4, 5, 6]").find("six numbers"), std::string::npos);
  EXPECT_NE(parse_error("loss.weights = 3").find("six numbers"), std::string::npos);
  EXPECT_NE(setting_error("transfer.learning_rate={stem=fast}").find("a table of numbers"), std::string::npos);
  EXPECT_NE(parse_error("transfer.learning_rate = { m0.b1_4 = 0.5 }").find("a table of numbers"), std::string::npos);
  EXPECT_NE(parse_error("transfer.freeze = [3]").find("a list of names"), std::string::npos);
  EXPECT_NE(
      parse_error("loss = { function = \"l3\" }").find("run.toml:1: 'loss.function' is 'l3', expected one of: l2"),
      std::string::npos);
}

TEST(Config, HeadAndLossFollowTheirKeys) {
  EXPECT_EQ(TrainingConfig{}.network().head, Head::heatmap);
  EXPECT_EQ(TrainingConfig{}.loss().function, LossFunction::l2);
  const TrainingConfig config = parsed("head = \"regression\"\nloss.function = \"huber\"\nloss.huber_delta = 0.5");
  EXPECT_EQ(config.network().head, Head::regression);
  EXPECT_EQ(config.loss().function, LossFunction::huber);
  EXPECT_EQ(config.loss().delta, 0.5f);
  EXPECT_EQ(parsed("loss.function = \"adaptive_wing\"").loss().function, LossFunction::adaptive_wing);
}

TEST(Config, DefaultsAreWithinTheirOwnRanges) {
  EXPECT_EQ(to_toml(parsed(to_toml({}))), to_toml({}));
  EXPECT_NO_THROW(TrainingConfig{}.check());
}

TEST(Config, UnknownKeyNamesTheNearest) {
  EXPECT_EQ(parse_error("width = 8\nlearning_rat = 3\nbach = 4\n").substr(0, 11),
            "run.toml:3:");  // keys in TOML's order
  EXPECT_NE(parse_error("bach = 4").find("unknown key 'bach'; the nearest is 'batch'"), std::string::npos);
  EXPECT_NE(parse_error("[augment]\nrotatoin = 4")
                .find("run.toml:2: unknown key 'augment.rotatoin'; the nearest is 'augment.rotation'"),
            std::string::npos);
  EXPECT_NE(setting_error("workrs=4").find("--set workrs=4: unknown key 'workrs'; the nearest is 'workers'"),
            std::string::npos);
}

TEST(Config, WrongValuesNamePlaceKeyAndRange) {
  EXPECT_EQ(parse_error("\nwidth = 3"), "run.toml:2: 'width' is 3, expected an integer, 4 to 4096");
  EXPECT_EQ(parse_error("width = 64.0"), "run.toml:1: 'width' is 64.0, expected an integer, 4 to 4096");
  EXPECT_EQ(parse_error("lr = \"fast\""), "run.toml:1: 'lr' is 'fast', expected a number, 0 to 10");
  EXPECT_EQ(parse_error("lr = nan"), "run.toml:1: 'lr' is nan, expected a number, 0 to 10");
  EXPECT_EQ(parse_error("clip = inf"), "run.toml:1: 'clip' is inf, expected a number, 0 or more");
  EXPECT_EQ(parse_error("seed = -1"), "run.toml:1: 'seed' is -1, expected an integer, 0 or more");
  EXPECT_EQ(setting_error("optimizer=sgd"), "--set optimizer=sgd: expected one of: rmsprop, adamw");
  EXPECT_EQ(setting_error("heatmap.sigma=fixed:-1"),
            "--set heatmap.sigma=fixed:-1: expected one of: intensity, fan, fixed:<px>");
  EXPECT_EQ(setting_error("lr=0.1\nseed=3"), "--set lr=0.1\nseed=3: expected a number, 0 to 10");
  EXPECT_EQ(setting_error("batch="), "--set batch=: expected an integer, 1 to 4096");
  EXPECT_EQ(setting_error("batch"), "--set batch: expected key=value");
  EXPECT_NE(setting_error("aus=AU06,smile").find("expected a list of Action Units"), std::string::npos);
  EXPECT_NE(parse_error("aus = [6, 12]").find("expected a list of Action Units"), std::string::npos);
}

TEST(Config, BrokenTomlNamesTheLine) {
  EXPECT_EQ(parse_error("width = 8\nlr = = 2\n").substr(0, 28), "run.toml:2: not valid TOML: ");
  EXPECT_NE(parse_error("lr = 1\nlr = 2\n").find("run.toml:2"), std::string::npos);
  EXPECT_NE(parse_error(std::string("\xff\xfe\0w", 4)).find("not valid TOML"), std::string::npos);
  EXPECT_NE(parse_error(std::string(100000, '[')).find("not valid TOML"), std::string::npos);
}

TEST(Config, ChecksWhatBelongsTogether) {
  EXPECT_NE(error_of([] { parsed("aus = [\"AU6\", \"AU06\"]").check(); }).find("'AU06' occurs twice"),
            std::string::npos);
  EXPECT_NE(error_of([] { parsed("aus = []").check(); }).find("aus is empty"), std::string::npos);
  EXPECT_NE(error_of([] { parsed("transfer.freeze = [\"stem\"]").check(); }).find("without transfer.weights"),
            std::string::npos);
  EXPECT_NO_THROW(parsed("input_size = 4096\nwidth = 4096").check());  // what a network takes
  EXPECT_NE(error_of([] { parsed("input_size = 100").check(); }).find("100"), std::string::npos);
  EXPECT_NE(error_of([] {
              parsed("loss.weights = { AU45 = [1, 1, 1, 1, 1, 1] }").check();
            }).find("loss.weights: 'AU45' is not one of `aus`"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              parsed("head = \"regression\"\nloss.function = \"adaptive_wing\"").check();
            }).find("is for heatmaps"),
            std::string::npos);
}

TEST(Config, RefusesPathsThatItsFilesCannotHold) {
  TrainingConfig config;
  config.au_points = "/table\xff.txt";
  EXPECT_NE(error_of([&] { config.check(); }).find("is not valid UTF-8"), std::string::npos);
  config.au_points = "/tab\xc3\xa9.txt";
  EXPECT_NO_THROW(config.check());
}

TEST(Config, PathsCountFromTheFileOrTheWorkingDirectory) {
  const TemporaryFolder folder;
  write_file(folder / "run.toml", "au_points = \"tables/../points.txt\"\n");
  TrainingConfig config;
  read_config(folder / "run.toml", config);
  EXPECT_EQ(config.au_points, (folder / "points.txt").string());
  write_file(folder / "data.toml", "[data]\npath = \"set\"\nlandmarks = \"detect\"\npictures = \"/videos\"\n");
  read_config(folder / "data.toml", config);
  EXPECT_EQ(config.data.path, (folder / "set").string());
  EXPECT_EQ(config.data.landmarks, "detect");
  EXPECT_EQ(config.data.pictures, "/videos");
  EXPECT_EQ(config.au_points, (folder / "points.txt").string());
  apply_setting("au_points=points.txt", config);
  EXPECT_EQ(config.au_points, (std::filesystem::current_path() / "points.txt").string());
  EXPECT_NE(error_of([&] { read_config(folder / "none.toml", config); }).find("none.toml"), std::string::npos);
}

TEST(Config, OnlyKeysThatMatterForbidAResume) {
  TrainingConfig before, after;
  after.epochs = 99;
  after.workers = 7;
  after.checkpoint_every = 3;
  EXPECT_TRUE(fixed_differences(before, after).empty());
  after.augment.scale = 0.5;
  const auto differences = fixed_differences(before, after);
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].key, "augment.scale");
  EXPECT_EQ(differences[0].before, "0.15");
  EXPECT_EQ(differences[0].after, "0.5");
}

TEST(Config, DocumentationHasTheTable) {
  const std::string page = read_file("docs/training.md");
  EXPECT_NE(page.find(config_markdown()), std::string::npos) << "docs/training.md must contain this table:\n"
                                                             << config_markdown();
  for (const ConfigKey& key : config_keys()) EXPECT_NE(config_help().find(key.name), std::string::npos);
}

TEST(Config, ShippedExperimentsAreValid) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("configs/experiments")) {
    EXPECT_NO_THROW(read_experiment(entry.path())) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3);
}

TEST(Config, ShippedFilesAreValid) {
  for (const char* path : {"configs/paper.toml", "configs/small.toml"}) {
    TrainingConfig config;
    ASSERT_NO_THROW(read_config(path, config)) << path;
    EXPECT_NO_THROW(config.check()) << path;
  }
}

}  // namespace
}  // namespace sandglass
