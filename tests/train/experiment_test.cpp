#include "train/experiment.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <sstream>

#include "engine/file.h"
#include "tests/temporary_folder.h"
#include "train/manifest.h"

namespace sandglass {
namespace {

using nlohmann::json;

const char* const kFile =
    "settings = [\"width=8\", \"depth=1\", \"input_size=32\", \"aus=AU06,AU12\", \"batch=4\", \"epochs=1\", "
    "\"workers=1\"]\n"
    "seeds = [3, 4]\n"
    "[synthetic]\ntrain = 4\nvalidation = 2\ntest = 2\nimages_per_subject = 3\nsize = 64\n"
    "[[variant]]\nname = \"fixed size, 2 px\"\nsettings = [\"heatmap.sigma=fixed:2\"]\n"
    "[[variant]]\nname = \"regression\"\nsettings = [\"head=regression\"]\n";

std::string read_error(const TemporaryFolder& folder, const std::string& text) {
  write_file(folder / "e.toml", text);
  const std::string error = error_of([&] { read_experiment(folder / "e.toml"); });
  const std::string name = (folder / "e.toml").string();
  return error.starts_with(name) ? error.substr(name.size()) : error;
}

TEST(Experiment, FilesAreChecked) {
  const TemporaryFolder folder;
  write_file(folder / "e.toml", kFile);
  const Experiment experiment = read_experiment(folder / "e.toml");
  EXPECT_EQ(experiment.seeds, (std::vector<int>{3, 4}));
  EXPECT_EQ(experiment.synthetic.test, 2);
  ASSERT_EQ(experiment.variants.size(), 2u);
  EXPECT_EQ(experiment.variants[1].settings, (std::vector<std::string>{"head=regression"}));

  const std::string data = "[data]\ntrain = \"a.csv\"\nvalidation = \"b.csv\"\ntest = \"c.csv\"\n";
  write_file(folder / "e.toml", "seeds = [1]\n" + data + "[[variant]]\nname = \"a\"\n");
  EXPECT_EQ(read_experiment(folder / "e.toml").test, folder / "c.csv");
  EXPECT_EQ(read_error(folder, "seeds = 1"), ":1: seeds is no list of integers");
  EXPECT_EQ(read_error(folder, "sead = [1]\nseeds = [1]\n" + data + "[[variant]]\nname = \"a\"\n").substr(0, 24),
            ":1: unknown key 'sead'; ");
  EXPECT_EQ(read_error(folder, data), ": seeds are missing: expected a list such as [1, 2, 3]");
  EXPECT_EQ(read_error(folder, "seeds = [1]\n"), ": expected either [data] or [synthetic]");
  EXPECT_EQ(read_error(folder, "seeds = [1]\n[data]\ntrain = \"a\"\n"),
            ": data.validation is missing: name a manifest");
  EXPECT_EQ(read_error(folder, "seeds = [1]\n[synthetic]\ntest = 0\n"),
            ":3: synthetic.test is 0, expected 1 to 100000");
  EXPECT_NE(read_error(folder, "seeds = [1]\n" + data).find("has no [[variant]]"), std::string::npos);
  const std::string twice = "[[variant]]\nname = \"a b\"\n[[variant]]\nname = \"a, b\"\n";
  EXPECT_EQ(read_error(folder, "seeds = [1]\n" + data + twice), ":8: two variants would share the folder 'a_b'");
  EXPECT_EQ(read_error(folder, "seeds = [1]\n" + data + "[[variant]]\nname = \"a\"\nsettings = [\"lr=fast\"]\n"),
            ":6: variant 'a': --set lr=fast: expected a number, 0 to 10");
}

json test_of(double mean, const json& au06, double moved) {
  return {{"mean", {{"icc", mean}, {"mse", 2 * mean}, {"mae", mean / 2}}},
          {"aus", {{"AU06", {{"icc", au06}, {"mse", 1}, {"mae", 1}}}}},
          {"misaligned", json::array({{{"pixels", 4.0}, {"mean", {{"icc", moved}, {"mse", 1}, {"mae", 1}}}}})}};
}

TEST(Experiment, GathersMeansAndDeviations) {
  const json results = gather({{"a \"b\"", {"lr=1"}}, {"c", {}}},
                              {{test_of(0.5, 0.2, 0.1), test_of(0.7, nullptr, 0.3)}, {test_of(0.25, 0.5, 0)}});
  const json& a = results["variants"][0];
  EXPECT_NEAR(a["test"]["mean"]["icc"]["mean"], 0.6, 1e-12);
  EXPECT_NEAR(a["test"]["mean"]["icc"]["deviation"], std::sqrt(0.02), 1e-12);
  EXPECT_NEAR(a["test"]["mean"]["mse"]["mean"], 1.2, 1e-12);
  EXPECT_EQ(a["test"]["aus"]["AU06"]["icc"]["runs"], 1) << "the ICC of the other is not defined";
  EXPECT_NEAR(a["misaligned"][0]["mean"]["icc"]["mean"], 0.2, 1e-12);
  EXPECT_TRUE(results["variants"][1]["test"]["mean"]["icc"]["deviation"].is_null());

  const std::string text = results_text(results);
  EXPECT_NE(text.find("a \"b\"              2  0.600 +-0.141  1.200 +-0.283  0.300 +-0.071\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("ICC, landmarks moved by"), std::string::npos);
  const std::string csv = results_csv(results);
  EXPECT_EQ(csv.substr(0, csv.find('\n')),
            "variant,misalignment_px,au,seeds,icc,icc_deviation,mse,mse_deviation,mae,mae_deviation");
  EXPECT_NE(csv.find("\"a \"\"b\"\"\",0,mean,2,0.600000,0.141421,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\"c\",4,mean,1,0.000000,,"), std::string::npos) << csv;
}

TEST(Experiment, StopsWhileFacesAreMade) {
  const TemporaryFolder folder;
  write_file(folder / "e.toml", kFile);
  const std::atomic<bool> interrupted = true;
  ExperimentOptions options;
  options.file = folder / "e.toml";
  options.out = folder / "out";
  options.interrupted = &interrupted;
  std::ostringstream log;
  EXPECT_NE(error_of([&] { run_experiment(options, log); }).find("interrupted; "), std::string::npos);
}

// Two variants, two seeds; then again: nothing is trained; then with one test missing and one run cut short.
TEST(Experiment, TrainsTestsAndGoesOn) {
  omp_set_num_threads(1);
  const TemporaryFolder folder;
  write_file(folder / "e.toml", kFile);
  ExperimentOptions options;
  options.file = folder / "e.toml";
  options.out = folder / "out";
  options.device.name = "cpu";
  std::ostringstream log;
  const ExperimentResult first = run_experiment(options, log);
  EXPECT_TRUE(first.finished);
  EXPECT_EQ(read_file(folder / "out/results.txt"), first.table);
  const std::string results = read_file(folder / "out/results.json"), run = (folder / "out/regression/seed_3").string();
  EXPECT_EQ(json::parse(results)["variants"][1]["test"]["mean"]["mse"]["runs"], 2);
  EXPECT_NE(read_file(run + "/config.toml").find("head = \"regression\""), std::string::npos);
  EXPECT_NE(read_file(folder / "out/fixed_size_2_px/seed_4/config.toml").find("seed = 4"), std::string::npos);

  log.str("");
  EXPECT_EQ(run_experiment(options, log).table, first.table);
  EXPECT_EQ(log.str(), "");

  // As if it had been killed before the test of one run, and in the middle of another.
  std::filesystem::remove(run + "/test.json");
  for (const auto& entry : std::filesystem::directory_iterator(folder / "out/fixed_size_2_px/seed_4"))
    if (entry.path().filename() != "config.toml") std::filesystem::remove(entry.path());
  const std::atomic<bool> interrupted = true;
  options.interrupted = &interrupted;
  EXPECT_FALSE(run_experiment(options, log).finished);
  EXPECT_FALSE(std::filesystem::exists(run + "/test.json"));
  options.interrupted = nullptr;
  EXPECT_EQ(run_experiment(options, log).table, first.table);
  EXPECT_EQ(read_file(folder / "out/results.json"), results);
  EXPECT_NE(log.str().find("the run is complete"), std::string::npos) << log.str();

  // Other labels of the test faces: the networks are the same, their scores are not.
  const auto manifest = [&](const char* set) {
    for (const auto& entry : std::filesystem::directory_iterator(folder / "out/faces"))
      if (entry.path().filename().string().starts_with(set)) return entry.path() / "manifest.csv";
    return std::filesystem::path();
  };
  Manifest test = read_manifest(manifest("test"));
  for (ManifestRow& row : test.rows)
    for (float& intensity : row.intensities) intensity = 5 - intensity;
  write_manifest(test.path, test);
  EXPECT_NE(run_experiment(options, log).table, first.table);
  EXPECT_NE(read_file(folder / "out/results.json"), results);
  Manifest validation = read_manifest(manifest("validation"));
  validation.rows[0].intensities[0] = 5 - validation.rows[0].intensities[0];
  write_manifest(validation.path, validation);
  EXPECT_NE(error_of([&] { run_experiment(options, log); }).find("the validation manifest or the table of points"),
            std::string::npos);

  std::string changed = kFile;
  changed.replace(changed.find("epochs=1"), 8, "epochs=2");
  write_file(folder / "e.toml", changed);
  EXPECT_NE(error_of([&] {
              run_experiment(options, log);
            }).find("seed_3: its run has epochs = 1, the experiment has 2; take another folder by --out"),
            std::string::npos);
  changed = kFile;
  changed.replace(changed.find("fixed:2"), 7, "fixed:3");
  write_file(folder / "e.toml", changed);
  EXPECT_NE(error_of([&] {
              run_experiment(options, log);
            }).find("seed_3: its run has heatmap.sigma = \"fixed:2\", the experiment has \"fixed:3\"; take another"),
            std::string::npos);
}

}  // namespace
}  // namespace sandglass
