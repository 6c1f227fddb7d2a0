#include "train/report/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/file.h"
#include "tests/temporary_folder.h"
#include "train/report/html.h"
#include "train/report/plot.h"

namespace sandglass {
namespace {

constexpr const char* kRecords =
    R"({"type":"train","step":10,"epoch":0.5,"loss":0.4,"lr":0.001,"images_per_s":12}
{"type":"train","step":20,"epoch":1,"loss":0.02,"lr":0.001,"images_per_s":14}
{"type":"validation","step":20,"epoch":1,"aus":{"AU06":{"icc":0.25,"mse":2},"AU12":{"icc":null,"mse":1}},"mean":{"icc":0.25,"mse":1.5}}
{"type":"something new"}
{"type":"train","step":30,"epoch":1.5,"loss":0.01,"lr":0.0005,"images_per_s":13}
{"type":"validation","step":40,"epoch":2,"aus":{"AU06":{"icc":0.75},"AU12":{"icc":-0.5}},"mean":{"icc":0.125}}
)";

constexpr const char* kEvaluation = R"({
  "au_names": ["AU12", "AU06"], "threshold": 2, "pictures": 3, "left_out": 1, "data": "val.csv", "weights": "best.safetensors",
  "intervals": {"over": "7 subjects", "replicates": 1000, "level": 0.95, "seed": 1},
  "aus": {"AU06": {"count": 2, "icc": 0.812, "mse": 0.5, "mae": 0.4, "pearson": 0.9, "f1": null,
                   "intervals": {"icc": [0.71, 0.88], "mse": [0.4, 0.6], "mae": [0.3, 0.5], "pearson": [0.8, 0.95], "f1": [null, null]},
                   "localisation": {"count": 2, "mean_map_px": 1.25, "median_map_px": 1.5, "mean_face_px": 5}},
          "AU12": {"count": 3, "icc": -0.125, "mse": 0.7, "mae": 0.6, "pearson": 0.1, "f1": 0.5}},
  "mean": {"icc": 0.344, "mse": 0.6, "mae": 0.5, "pearson": 0.5, "f1": 0.5, "localisation_map_px": 1.25, "localisation_face_px": 5},
  "misalignment": [{"pixels": 0, "pictures": 3, "aus": {"AU06": {"icc": 0.8, "mse": 1}, "AU12": {"icc": 0.1, "mse": 1}}, "mean": {"icc": 0.45, "mse": 1}},
                   {"pixels": 8, "pictures": 3, "aus": {"AU06": {"icc": 0.6, "mse": 2}, "AU12": {"icc": null, "mse": 2}}, "mean": {"icc": 0.6, "mse": 2}}],
  "predictions": [{"image": "a.png", "subject": "s", "labels": [0, 1.5], "predictions": [0.25, 9]},
                  {"image": "b.png", "subject": "s", "labels": [5, null], "predictions": [4, 0]},
                  {"image": "c.png", "subject": "t", "labels": [2, 3], "predictions": [null, 2]}],
  "faces": [{"kind": "best", "image": "<a>.png", "subject": "s", "aus": [{"au": "AU12", "label": null, "prediction": 1.26, "panel": "data:image/png;base64,AA=="}]},
            {"kind": "worst", "image": "c.png", "subject": "", "aus": [{"au": "AU12", "label": 2, "prediction": 0.1, "panel": "data:image/png;base64,AA=="}]}]
})";

std::filesystem::path write_run(const TemporaryFolder& folder, const std::string& name, bool evaluated = true) {
  const std::filesystem::path run = folder / name;
  std::filesystem::create_directories(run);
  write_file(run / "metrics.jsonl", kRecords);
  write_file(run / "config.toml", "# learning rate\nlr = 0.001\n# help\nname = \"" + name + "\"\nepochs = 20\n");
  write_file(run / "run.json", R"json({"device": "a <fast> one", "versions": {"sandglass": "0.1.0 (abc)"}})json");
  if (evaluated) write_file(run / "evaluation.json", kEvaluation);
  return run;
}

std::string page_of(const std::filesystem::path& run) {
  const RunData data = read_run(run);
  return report_page({&data, 1});
}

// That the page is well-formed: every tag is closed, closes itself, or is one that HTML leaves open.
void expect_well_formed(const std::string& html) {
  const std::set<std::string> kOpen{"meta", "img", "br", "!doctype"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = html.substr(at + 1, end - at - 1), name = tag.substr(0, tag.find(' '));
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty()) << tag;
      ASSERT_EQ(tag.substr(1), open.back());
      open.pop_back();
    } else if (tag.back() != '/' && !kOpen.contains(name)) {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
  for (const char* no_number : {">nan", " nan", "\"nan", "inf\"", " inf ", "Lnan", "Mnan", "-nan"})
    EXPECT_EQ(html.find(no_number), std::string::npos) << no_number;
}

TEST(Report, ReadsARun) {
  const TemporaryFolder folder;
  const RunData run = read_run(write_run(folder, "first", false) / "");
  EXPECT_EQ(run.name, "first");
  ASSERT_EQ(run.steps.size(), 3u);
  EXPECT_EQ(run.steps[2].step, 30);
  EXPECT_EQ(run.steps[1].loss, 0.02);
  EXPECT_EQ(run.steps[2].learning_rate, 0.0005);
  EXPECT_EQ(run.steps[1].images_per_s, 14);
  ASSERT_EQ(run.validations.size(), 2u);
  EXPECT_EQ(run.validations[0].mean, (std::map<std::string, double>{{"icc", 0.25}, {"mse", 1.5}}));
  EXPECT_EQ(run.validations[0].aus.at("AU12"), (std::map<std::string, double>{{"mse", 1}}));
  EXPECT_EQ(run.aus, (std::vector<std::string>{"AU06", "AU12"}));
  EXPECT_EQ(run.settings[0], (std::pair<std::string, std::string>{"lr", "0.001"}));
  EXPECT_TRUE(run.evaluation.is_null());
}

TEST(Report, LeavesOutAnUnfinishedLineAndNamesABrokenOne) {
  const TemporaryFolder folder;
  const std::filesystem::path run = write_run(folder, "run");
  const auto error = [&](const std::string& records) {
    write_file(run / "metrics.jsonl", records);
    return error_of([&] { read_run(run); });
  };
  EXPECT_NE(error("{\"type\":\"train\",\"step\":1,\"loss\":2}\nnot JSON\n").find("metrics.jsonl:2: not a record"),
            std::string::npos);
  EXPECT_NE(error("{\"type\":\"train\",\"step\":1}\n").find("metrics.jsonl:1:"), std::string::npos);
  EXPECT_NE(error("[1]\n").find("metrics.jsonl:1:"), std::string::npos);
  write_file(run / "metrics.jsonl", std::string(kRecords) + "{\"type\":\"train\",\"st");
  EXPECT_EQ(read_run(run).steps.size(), 3u);
}

TEST(Report, FoldersThatHoldNoRun) {
  const TemporaryFolder folder;
  EXPECT_NE(error_of([&] { read_run(folder / "absent"); }).find("absent: no such folder"), std::string::npos);
  EXPECT_NE(error_of([&] { read_run(folder.path()); }).find("it has no metrics.jsonl"), std::string::npos);
  const std::filesystem::path run = write_run(folder, "run");
  const auto error = [&](const std::string& evaluation) {
    write_file(run / "evaluation.json", evaluation);
    return error_of([&] { page_of(run); });
  };
  EXPECT_NE(error("{").find("evaluation.json: is not JSON"), std::string::npos);
  EXPECT_NE(error("{}").find("evaluation.json: is not what `sandglass eval --json` writes"), std::string::npos);
  EXPECT_NE(error("[3]").find("is not what"), std::string::npos);
  nlohmann::json evaluation = nlohmann::json::parse(kEvaluation);
  evaluation["predictions"][1]["labels"] = {1};
  EXPECT_NE(error(evaluation.dump()).find("a picture has other than 2 labels"), std::string::npos);
  evaluation = nlohmann::json::parse(kEvaluation);
  evaluation["misalignment"][1].erase("aus");
  EXPECT_NE(error(evaluation.dump()).find("is not what"), std::string::npos);
  evaluation = nlohmann::json::parse(kEvaluation);
  evaluation["predictions"][0]["labels"][0] = "many";
  EXPECT_NE(error(evaluation.dump()).find("is not what"), std::string::npos);
}

TEST(Report, APageHasAllOfItAndAsksNothingOfTheNetwork) {
  const TemporaryFolder folder;
  const std::string html = page_of(write_run(folder, "run <1>"));
  expect_well_formed(html);
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_EQ(html.find("url("), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  for (const char* text : {"run &lt;1&gt;",
                           "Training loss",
                           "ICC(3,1) on the validation set",
                           "epoch",
                           "mean 0.125",
                           "AU06 0.750",
                           "AU12 −0.500",
                           "Learning rate",
                           "pictures per second",  // curves
                           "0.812 <small>[0.71, 0.88]</small>",
                           "95 % confidence interval: 1000 bootstrap samples of 7 subjects",
                           "−0.125",
                           "1.25",
                           "1 left out",
                           "from intensity 2 on",  // scores
                           "Robustness to misalignment",
                           "pixels of the 256 × 256 face",
                           "pixels of the 256 × 256 face) 8: 0.600",
                           "Predicted against coded intensity",
                           "coded intensity",
                           "predicted intensity",  // predictions
                           "&lt;a&gt;.png",
                           "data:image/png;base64,AA==",
                           "</b> 1.3<br>coded –",
                           "</b> 0.1<br>coded 2",  // faces
                           "<b>0.001</b>",
                           "0.1.0 (abc)",
                           "a &lt;fast&gt; one",
                           "prefers-color-scheme: dark",
                           "name=\"viewport\""}) {
    EXPECT_NE(html.find(text), std::string::npos) << text;
  }
}

TEST(Report, OneColourPerActionUnitEverywhere) {
  const TemporaryFolder folder;
  const std::string html = page_of(write_run(folder, "run"));
  // AU06 is the first in order, whatever the order of the maps.
  const auto key = [](int colour) { return fmt::format("class=\"series c{}\" d=\"M1 4H21\"/></svg>", colour); };
  for (const auto& [au, colour] : {std::pair{"AU06", 0}, {"AU12", 1}}) {
    size_t found = 0;
    for (size_t at = html.find(key(colour) + au); at != std::string::npos; at = html.find(key(colour) + au, at + 1))
      ++found;
    EXPECT_GE(found, 4u) << au;  // two validation plots at least, two misalignment plots
    EXPECT_NE(html.find(key(colour) + " " + au), std::string::npos) << au << " in the tables";
    EXPECT_EQ(html.find(key(1 - colour) + au), std::string::npos);
  }
  EXPECT_NE(colour_class(0), colour_class(8));  // dashed
}

TEST(Report, WithoutAnEvaluationItSaysHowToMakeOne) {
  const TemporaryFolder folder;
  const std::string html = page_of(write_run(folder, "run", false));
  expect_well_formed(html);
  EXPECT_NE(html.find("Not evaluated yet"), std::string::npos);
  EXPECT_NE(html.find("run/evaluation.json"), std::string::npos);
  nlohmann::json evaluation = nlohmann::json::parse(kEvaluation);
  evaluation["intervals"] = {{"over", "intervals need at least two subjects, and there is 1 subject"},
                             {"replicates", 0}};
  write_file(folder / "run/evaluation.json", evaluation.dump());
  EXPECT_NE(page_of(folder / "run").find("No intervals: intervals need at least two subjects"), std::string::npos);
}

TEST(Report, ARunThatHasJustBegun) {
  const TemporaryFolder folder;
  write_file(folder / "metrics.jsonl", "");
  write_report(folder.path());
  const std::string html = read_file(folder / "report.html");
  expect_well_formed(html);
  EXPECT_NE(html.find("no step yet"), std::string::npos);
  EXPECT_NE(html.find("no validation"), std::string::npos);
}

TEST(Report, ComparesRuns) {
  const TemporaryFolder folder;
  const std::vector<std::filesystem::path> folders{write_run(folder, "one"), write_run(folder, "two", false)};
  const std::vector<RunData> runs = read_runs(folders);
  EXPECT_EQ(runs[1].name, "two");
  const std::string html = report_page(runs);
  expect_well_formed(html);
  EXPECT_EQ(html.find("http"), std::string::npos);
  for (const char* text : {"2 runs compared", "<td>&quot;two&quot;</td>", "0.344", "last validation",
                           "Training loss, smoothed", "Mean ICC(3,1) on the validation set",
                           "Mean MSE with moved landmarks", "ICC(3,1) per AU", "0.812 <small>[0.71, 0.88]</small>"}) {
    EXPECT_NE(html.find(text), std::string::npos) << text;
  }
  // The run without an evaluation is judged by its last validation and is not in the plots of misalignment.
  EXPECT_NE(html.find("<td>−0.125</td><td>−0.500</td>"), std::string::npos);
  EXPECT_EQ(html.find("two", html.find("Mean ICC(3,1) with moved landmarks")), std::string::npos);
  const size_t settings = html.find("Settings that differ");
  EXPECT_EQ(html.find("epochs", settings), std::string::npos) << "it is the same in both";
}

TEST(Report, RunsThatAreCalledAlike) {
  const TemporaryFolder folder;
  const std::vector<std::filesystem::path> folders{write_run(folder, "a/run"), write_run(folder, "b/run"),
                                                   write_run(folder, "c")};
  const std::vector<RunData> runs = read_runs(folders);
  EXPECT_EQ(runs[0].name, folders[0].string());
  EXPECT_EQ(runs[1].name, folders[1].string());
  EXPECT_EQ(runs[2].name, "c");
}

TEST(Report, PlotsDrawWhateverThereIs) {
  Plot plot("A & B", linear_axis("x", 0, 0), logarithmic_axis("y", 1e-3, 1e-3));
  plot.line({"odd", colour_class(9), {{0, 1}, {1, NAN}, {2, INFINITY}, {3, 0}, {4, -1}, {1e9, 1e-30}}, true});
  plot.cloud("c1", {{NAN, 1}, {0.5, 1}});
  plot.diagonal();
  const std::string html = plot.html();
  expect_well_formed(html);
  EXPECT_NE(html.find("A &amp; B"), std::string::npos);
}

TEST(Report, AxesHaveRoundTicks) {
  const PlotAxis linear = linear_axis("x", -0.13, 0.92);
  EXPECT_NEAR(linear.low, -0.2, 1e-9);
  EXPECT_NEAR(linear.high, 1, 1e-9);
  ASSERT_EQ(linear.ticks.size(), 7u);
  EXPECT_NEAR(linear.position(0.4), 0.5, 1e-9);
  const PlotAxis logarithmic = logarithmic_axis("y", 0.013, 0.4);
  EXPECT_NEAR(logarithmic.low, 0.01, 1e-9);
  EXPECT_NEAR(logarithmic.high, 0.5, 1e-9);
  EXPECT_NEAR(logarithmic.position(std::sqrt(0.01 * 0.5)), 0.5, 1e-9);
  EXPECT_EQ(number_text(-0.0004, 3), "0.000");
  EXPECT_EQ(number_text(-1.25, 1), "−1.2");
  EXPECT_EQ(number_text(NAN, 3), "–");
}

}  // namespace
}  // namespace sandglass
