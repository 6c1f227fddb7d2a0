#include "train/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <sstream>

#include "engine/file.h"
#include "face_pictures.h"
#include "tests/temporary_folder.h"
#include "train/evaluation_files.h"

namespace sandglass {
namespace {

// An untrained network: what is tested is what becomes of its peaks.
class EvaluationTest : public testing::Test {
 protected:
  EvaluationTest() : manifest(write_test_faces(folder.path(), 12)) {
    const NetworkConfig config{.width = 8, .depth = 1, .heatmaps = 2, .input_size = 32};
    const Weights weights = initial_weights(config, {"AU12", "AU06"}, 4);
    write_weights(folder / "net.safetensors", weights);
    options.weights = folder / "net.safetensors";
    options.manifest = manifest.path;
    options.device.name = "cpu";
    options.batch = 5;
    options.scores.bootstrap.replicates = 50;
  }

  void rewrite(const std::function<void(ManifestRow&)>& change) {
    for (ManifestRow& row : manifest.rows) change(row);
    write_manifest(manifest.path, manifest);
  }
  nlohmann::json json(const Evaluation& evaluation) const {
    return nlohmann::json::parse(to_text(to_json(evaluation, options.scores, "net", "data")));
  }

  TemporaryFolder folder;
  Manifest manifest;
  EvaluationOptions options;
  std::ostringstream log;
};

TEST_F(EvaluationTest, MisalignmentIsRepeatableAndNoneIsNone) {
  options.scores.misalignments = {0, 6, 20};
  const Evaluation evaluation = evaluate(options, log);
  ASSERT_EQ(evaluation.misaligned.size(), 3u);
  EXPECT_EQ(evaluation.misaligned_pictures, 12);
  EXPECT_EQ(evaluation.misaligned[0].metrics.mse.value, evaluation.metrics.mse.value);
  EXPECT_EQ(evaluation.misaligned[0].localisation.mean.value, evaluation.localisation.mean.value);
  // How far the peaks are off tells one registration from another; heights of an untrained network need not.
  const auto off = [](const MisalignedScores& scores) { return scores.localisation.mean.value; };
  EXPECT_NE(off(evaluation.misaligned[1]), evaluation.localisation.mean.value);
  EXPECT_EQ(off(evaluate(options, log).misaligned[2]), off(evaluation.misaligned[2]));
  options.scores.bootstrap.seed = 2;
  EXPECT_NE(off(evaluate(options, log).misaligned[2]), off(evaluation.misaligned[2]));
  options.scores.misaligned_pictures = 4;
  EXPECT_EQ(evaluate(options, log).misaligned_pictures, 4);
  options.scores.misalignments = {41};
  EXPECT_NE(error_of([&] { evaluate(options, log); }).find("41 pixels: expected 0 to 40"), std::string::npos);
}

TEST_F(EvaluationTest, IntervalsAreOverSubjectsWherePicturesHaveThem) {
  const Evaluation four = evaluate(options, log);
  ASSERT_TRUE(four.intervals);
  EXPECT_EQ(four.intervals_over, "4 subjects");
  EXPECT_EQ(log.str(), "");
  EXPECT_LE(four.intervals->mean[1].low, four.metrics.mse.value);
  EXPECT_GE(four.intervals->mean[1].high, four.metrics.mse.value);

  rewrite([](ManifestRow& row) { row.subject = row.line == 4 ? "" : row.subject; });
  EXPECT_EQ(evaluate(options, log).intervals_over, "12 pictures");
  EXPECT_NE(log.str().find("row 4 has no subject: the intervals are over pictures"), std::string::npos) << log.str();

  rewrite([](ManifestRow& row) { row.subject = "alone"; });
  log.str("");
  const Evaluation one = evaluate(options, log);
  EXPECT_FALSE(one.intervals);
  EXPECT_NE(log.str().find("intervals need at least two subjects, and there is 1 subject"), std::string::npos);
  EXPECT_EQ(json(one)["intervals"]["replicates"], 0);
  EXPECT_FALSE(json(one)["mean"].contains("intervals"));

  options.scores.bootstrap.replicates = 0;
  log.str("");
  EXPECT_FALSE(evaluate(options, log).intervals);
  EXPECT_EQ(log.str(), "");
  options.scores.bootstrap.replicates = 1;
  EXPECT_THROW(evaluate(options, log), Error);
}

TEST_F(EvaluationTest, FilesHoldEveryFigure) {
  options.scores.misalignments = {0, 8};
  options.scores.faces = 2;
  const Evaluation evaluation = evaluate(options, log);
  const nlohmann::json written = json(evaluation);
  const AuMetrics& au12 = evaluation.metrics.aus[0];
  EXPECT_EQ(written["au_names"], (std::vector<std::string>{"AU12", "AU06"}));
  EXPECT_EQ(written["aus"]["AU12"]["mse"], au12.mse);
  EXPECT_EQ(written["aus"]["AU12"]["intervals"]["mse"][1], evaluation.intervals->aus[0][1].high);
  EXPECT_EQ(written["aus"]["AU06"]["localisation"]["mean_face_px"], 4 * evaluation.localisation.aus[1].mean);
  EXPECT_EQ(written["misalignment"][1]["pixels"], 8);
  EXPECT_EQ(written["misalignment"][1]["aus"]["AU06"]["mae"], evaluation.misaligned[1].metrics.aus[1].mae);
  ASSERT_EQ(written["predictions"].size(), 12u);
  EXPECT_EQ(written["predictions"][5]["image"], "face_5.png");
  EXPECT_EQ(written["predictions"][5]["subject"], "S1");
  EXPECT_EQ(written["predictions"][5]["labels"], (std::vector<float>{manifest.rows[5].intensities[1], 5}));
  EXPECT_NEAR(written["predictions"][5]["predictions"][1].get<double>(), evaluation.peaks.heights[11], 1e-4);
  ASSERT_EQ(written["faces"].size(), 4u);
  EXPECT_EQ(written["faces"][0]["kind"], "best");
  EXPECT_TRUE(written["faces"][0]["aus"][1]["panel"].get<std::string>().starts_with("data:image/"));

  const std::string csv = to_csv(evaluation);
  std::istringstream lines(csv);
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(line);
  ASSERT_EQ(rows.size(), 7u) << csv;  // a header, and AU12, AU06 and the mean for 0 and for 8 pixels
  const auto commas = [](const std::string& row) { return std::count(row.begin(), row.end(), ','); };
  EXPECT_EQ(commas(rows[0]), 21);
  for (const std::string& row : rows) EXPECT_EQ(commas(row), commas(rows[0])) << row;
  EXPECT_TRUE(rows[0].starts_with("au,misalignment_px,count,icc,icc_low,icc_high,mse,"));
  EXPECT_TRUE(rows[1].starts_with(fmt::format("AU12,0,12,{},{},", au12.icc, evaluation.intervals->aus[0][0].low)));
  EXPECT_TRUE(rows[6].starts_with("mean,8,,"));

  const std::string table = to_table(evaluation, options.scores);
  for (const std::string& text :
       {fmt::format("{:.3f} [{:.2f}, {:.2f}]", au12.mse, evaluation.intervals->aus[0][1].low,
                    evaluation.intervals->aus[0][1].high),
        std::string("50 bootstrap samples of 4 subjects, seed 1"), std::string("present from intensity 2 on"),
        fmt::format("{:.2f}", 4 * evaluation.localisation.mean.value), std::string("MSE with landmarks moved")}) {
    EXPECT_NE(table.find(text), std::string::npos) << text << "\n" << table;
  }
}

TEST_F(EvaluationTest, AusWithoutPointsAreNotLocalised) {
  options.scores.au_points = parse_au_table("AU06: 1 2\n", "my table");
  const Evaluation evaluation = evaluate(options, log);
  EXPECT_NE(log.str().find("my table: has no line for AU12, whose peaks are not localised"), std::string::npos);
  EXPECT_EQ(evaluation.localisation.aus[0].count, 0);
  EXPECT_GT(evaluation.localisation.aus[1].count, 0);
  EXPECT_TRUE(json(evaluation)["aus"]["AU12"]["localisation"]["mean_map_px"].is_null());
}

TEST(ExampleFaces, BestAndWorstOfDifferentSubjects) {
  Manifest manifest;
  for (const char* subject : {"a", "a", "b", "c", ""}) manifest.rows.push_back({"x.png", subject, {}, {}, 0});
  const std::vector<float> labels = {0, 0, 3, 1, 4, -1, 2, 5, -1, -1};
  const std::vector<float> predictions = {0, 0, 3.5, 1, 2, 0, 2, 4, 1, 1};  // errors 0, 0.25, 2, 0.5, none coded
  EXPECT_EQ(best_rows(manifest, predictions, labels, 2, 9), (std::vector<int>{1, 3, 2}));
  EXPECT_EQ(best_rows(manifest, predictions, labels, 2, 1), (std::vector<int>{1}));
  EXPECT_EQ(best_rows(manifest, predictions, labels, 6, 2), (std::vector<int>{0, 3}));  // none is so intense: all
  EXPECT_EQ(worst_rows(manifest, predictions, labels, 2), (std::vector<int>{2, 3}));
  EXPECT_EQ(worst_rows(manifest, predictions, labels, 9), (std::vector<int>{2, 3, 1}));
  EXPECT_EQ(spread_rows(manifest, 2), (std::vector<int>{1, 3}));
  EXPECT_EQ(spread_rows(manifest, 9).size(), 5u);
}

}  // namespace
}  // namespace sandglass
