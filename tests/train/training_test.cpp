#include "train/training.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>
#include <thread>

#include "engine/file.h"
#include "engine/safetensors.h"
#include "face_pictures.h"
#include "model/weights.h"
#include "tests/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/evaluation_files.h"

namespace sandglass {
namespace {

using Settings = std::vector<std::string>;

/// These nets are too small for threads to help; on a busy machine threads that wait for each other cost a hundred
/// times more.
class OneThread : public testing::Environment {
 public:
  void SetUp() override {
    omp_set_num_threads(1);
    setenv("OMP_NUM_THREADS", "1", 1);  // for train_runner
  }
};
const testing::Environment* const kOneThread = testing::AddGlobalTestEnvironment(new OneThread);

const Settings kTiny = {"width=8",  "depth=1", "input_size=32", "aus=AU12,AU06",      "batch=4",         "lr=2e-3",
                        "epochs=4", "seed=5",  "workers=2",     "checkpoint_every=2", "optimizer=adamw", "warmup=0.5"};

Settings with(Settings settings, const Settings& more) {
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}

/// Faces whose dots are as bright as the AUs are intense: red at 48 and 54 for AU12, green at 57 for AU06.
Manifest write_expressive_faces(const std::filesystem::path& folder, int count, uint64_t seed) {
  std::filesystem::create_directories(folder);
  Manifest manifest;
  manifest.path = folder / "manifest.csv";
  manifest.aus = {"AU06", "AU12"};
  Random random(seed);
  for (int i = 0; i < count; ++i) {
    Image image(64, 64);
    ManifestRow row;
    row.image = fmt::format("{}.png", i);
    row.intensities = {static_cast<float>(random.below(6)), static_cast<float>(random.below(6))};
    row.landmarks = test_landmarks(random.uniform(28, 36), random.uniform(20, 26), random.uniform(20, 26), 0);
    const auto dot = [&](const std::vector<Point>& places, int channel, float intensity) {
      Image layer(64, 64);
      for (const Point& place : places) draw_dot(layer, place, channel, 3);
      for (size_t j = static_cast<size_t>(channel); j < layer.rgb.size(); j += 3) {
        image.rgb[j] = static_cast<uint8_t>(static_cast<float>(layer.rgb[j]) * intensity / 5);
      }
    };
    dot(au_points(default_au_table().find("AU06"), *row.landmarks), 1, row.intensities[0]);
    dot(au_points(default_au_table().find("AU12"), *row.landmarks), 0, row.intensities[1]);
    write_image(folder / row.image, image);
    manifest.rows.push_back(row);
  }
  write_manifest(manifest.path, manifest);
  return read_manifest(manifest.path);
}

TrainingOptions options_for(const Manifest& data, const std::filesystem::path& run, const Settings& settings) {
  TrainingOptions options;
  options.train = data.path;
  options.validation = data.path;
  options.run_dir = run;
  options.settings = settings;
  options.device.name = "cpu";
  return options;
}

/// metrics.jsonl without the speeds, which no two runs share.
std::string comparable_metrics(const std::filesystem::path& run) {
  std::istringstream lines(read_file(run / "metrics.jsonl"));
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json record = nlohmann::json::parse(line);
    for (const char* key : {"images_per_s", "waiting"}) record.erase(key);
    out += record.dump() + "\n";
  }
  return out;
}

void expect_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  for (const char* file : {"last.safetensors", "best.safetensors", "config.toml"}) {
    EXPECT_TRUE(read_file(a / file) == read_file(b / file)) << file << " differs";
  }
  EXPECT_EQ(comparable_metrics(a), comparable_metrics(b));
  const Checkpoint first = read_checkpoint(a / "checkpoint.safetensors"),
                   second = read_checkpoint(b / "checkpoint.safetensors");
  EXPECT_EQ(first.state.weights.parameters, second.state.weights.parameters);
  EXPECT_EQ(first.state.weights.statistics, second.state.weights.statistics);
  EXPECT_EQ(first.state.first_moment, second.state.first_moment);
  EXPECT_EQ(first.state.second_moment, second.state.second_moment);
  EXPECT_EQ(first.position.step, second.position.step);
  EXPECT_EQ(first.position.best_score, second.position.best_score);
}

/// train_runner in the background.
class Runner {
 public:
  Runner(const Settings& flags, const std::filesystem::path& train, const std::filesystem::path& run,
         const Settings& settings, const std::filesystem::path& log) {
    std::vector<std::string> words = {TRAIN_RUNNER};
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), {train.string(), train.string(), run.string()});
    words.insert(words.end(), settings.begin(), settings.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    check(posix_spawn(&pid_, TRAIN_RUNNER, &actions, nullptr, arguments.data(), environ) == 0, "cannot start {}",
          TRAIN_RUNNER);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Runner() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      wait();
    }
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Sends a signal once metrics.jsonl has that many lines; false if the run ended before.
  bool signal_after(int lines, const std::filesystem::path& run, int signal) {
    for (;;) {
      if (waitpid(pid_, &status_, WNOHANG) == pid_) {
        pid_ = -1;
        return false;
      }
      std::error_code error;
      if (std::filesystem::exists(run / "metrics.jsonl", error)) {
        const std::string content = read_file(run / "metrics.jsonl");
        if (std::count(content.begin(), content.end(), '\n') >= lines) break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(pid_, signal);
    return true;
  }

  /// Exit status, or 128 + the signal that ended it.
  int wait() {
    if (pid_ > 0) waitpid(pid_, &status_, 0);
    pid_ = -1;
    return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

TEST(Training, LearnsAndWritesWhatItPromises) {
  const TemporaryFolder folder;
  const Manifest train_data = write_expressive_faces(folder / "train", 64, 1);
  const Manifest unseen = write_expressive_faces(folder / "unseen", 32, 2);
  TrainingOptions options = options_for(train_data, folder / "run",
                                        with(kTiny, {"epochs=30", "width=16", "batch=8", "augment.brightness=0",
                                                     "augment.contrast=0", "augment.mirror=0.5", "lr=5e-3"}));
  options.validation = unseen.path;
  std::ostringstream log;
  const TrainingResult result = train(options, log);
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.steps, 240);
  ASSERT_TRUE(result.validation);
  EXPECT_GT(result.validation->icc.value, 0.9) << log.str();

  EvaluationOptions evaluating;
  evaluating.weights = folder / "run/last.safetensors";
  evaluating.manifest = unseen.path;
  evaluating.device.name = "cpu";
  evaluating.batch = 7;
  const Evaluation evaluation = evaluate(evaluating, log);
  EXPECT_EQ(evaluation.pictures, 32);
  EXPECT_NEAR(evaluation.metrics.icc.value, result.validation->icc.value, 1e-6);  // another batch size, the same values

  evaluating.weights = folder / "run/best.safetensors";
  EXPECT_GE(evaluate(evaluating, log).metrics.icc.value, evaluation.metrics.icc.value - 1e-6);
  evaluating.weights = folder / "run/checkpoint.safetensors";  // a checkpoint is a file of weights, too
  EXPECT_NEAR(evaluate(evaluating, log).metrics.icc.value, evaluation.metrics.icc.value, 1e-9);
  EXPECT_EQ(read_weights(folder / "run/last.safetensors").aus, (std::vector<std::string>{"AU12", "AU06"}));
  const std::string page = read_file(folder / "run/report.html");
  for (const char* text :
       {"ICC(3,1) on the validation set", "Robustness to misalignment", "data:image/", "unseen/manifest.csv"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  EXPECT_EQ(page.find("http"), std::string::npos);
  const nlohmann::json best = nlohmann::json::parse(read_file(folder / "run/evaluation.json"));
  EXPECT_NEAR(best["mean"]["icc"].get<double>(), evaluation.metrics.icc.value, 0.2);
  ASSERT_TRUE(result.best);  // not the last epoch's
  EXPECT_NEAR(result.best->icc.value, best["mean"]["icc"].get<double>(), 1e-9);
  evaluating.weights = folder / "run/best.safetensors";
  EXPECT_NEAR(result.best->icc.value, evaluate(evaluating, log).metrics.icc.value, 1e-6);
  const nlohmann::json& prediction = best["predictions"][0]["predictions"][0];
  EXPECT_EQ(prediction.get<float>(), evaluate(evaluating, log).peaks.heights[0]);
  EXPECT_EQ(prediction.dump(), fmt::format("{}", prediction.get<float>()));
  EXPECT_EQ(best["misalignment"].size(), 5u);
  EXPECT_GT(best["misalignment"][0]["mean"]["icc"].get<double>(), best["misalignment"][4]["mean"]["icc"].get<double>());
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "run/run.json"))["training pictures"], 64);
  TrainingConfig config;
  read_config(folder / "run/config.toml", config);
  EXPECT_EQ(config.width, 16);
  EXPECT_NE(log.str().find("epoch 30/30: loss"), std::string::npos) << log.str();
}

TEST(Training, IsTheSameEachTimeWithAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  std::ostringstream log;
  train(options_for(data, folder / "a", kTiny), log);
  train(options_for(data, folder / "b", with(kTiny, {"workers=5", "cache_mb=0"})), log);
  EXPECT_EQ(comparable_metrics(folder / "a"), comparable_metrics(folder / "b"));
  EXPECT_TRUE(read_file(folder / "a/last.safetensors") == read_file(folder / "b/last.safetensors"));
  train(options_for(data, folder / "c", with(kTiny, {"seed=6"})), log);
  EXPECT_FALSE(read_file(folder / "a/last.safetensors") == read_file(folder / "c/last.safetensors"));
}

TEST(Training, GoesOnExactlyAfterKillNine) {
  for (const char* optimizer : {"optimizer=adamw", "optimizer=rmsprop"}) {
    const TemporaryFolder folder;
    const Manifest data = write_expressive_faces(folder / "data", 14, 1);
    const Settings settings = with(kTiny, {"epochs=24", "augment.rotation=20", optimizer});
    std::ostringstream log;
    train(options_for(data, folder / "whole", settings), log);

    int kills = 0;
    for (const int lines : {1, 20, 41}) {
      Runner runner(lines == 1 ? Settings{} : Settings{"--resume"}, data.path, folder / "killed", settings,
                    folder / "log");
      kills += runner.signal_after(lines, folder / "killed", SIGKILL);
      runner.wait();
    }
    EXPECT_EQ(kills, 3) << read_file(folder / "log");
    write_file(folder / "killed/checkpoint.safetensors.1.tmp", "half a check");  // what a kill while writing leaves
    Runner last({"--resume"}, data.path, folder / "killed", settings, folder / "log");
    ASSERT_EQ(last.wait(), 0) << read_file(folder / "log");
    expect_same_run(folder / "whole", folder / "killed");
    EXPECT_FALSE(std::filesystem::exists(folder / "killed/checkpoint.safetensors.1.tmp"));
  }
}

// With all that this file's other runs leave out: weights of pictures and of the loss, another loss, slower parts.
TEST(Training, GoesOnExactlyWithWeightsOfEveryKind) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  const Settings settings =
      with(kTiny, {"epochs=24", "sampling.balance=intensity", "loss.balance=sqrt", "loss.function=huber",
                   "transfer.freeze=[\"stem\"]", "transfer.learning_rate={hourglass=0.5}",
                   "transfer.weights=" + (folder / "source/last.safetensors").string()});
  std::ostringstream log;
  train(options_for(data, folder / "source", with(kTiny, {"epochs=1"})), log);
  train(options_for(data, folder / "whole", settings), log);
  EXPECT_NE(log.str().find("weights of the loss"), std::string::npos) << log.str();
  {
    Runner runner({}, data.path, folder / "killed", settings, folder / "log");
    EXPECT_TRUE(runner.signal_after(20, folder / "killed", SIGKILL));
    runner.wait();
  }
  Runner last({"--resume"}, data.path, folder / "killed", settings, folder / "log");
  ASSERT_EQ(last.wait(), 0) << read_file(folder / "log");
  expect_same_run(folder / "whole", folder / "killed");
}

TEST(Training, TransferStartsFromOtherWeightsAndFrozenPartsKeepTheirBits) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  std::ostringstream log;
  train(options_for(data, folder / "source", kTiny), log);
  const std::string weights = (folder / "source/last.safetensors").string();
  log.str("");
  train(options_for(data, folder / "run",
                    with(kTiny, {"aus=AU06", "weight_decay=0.1", "transfer.weights=" + weights,
                                 "transfer.freeze=stem,m0.b1_1"})),
        log);
  EXPECT_NE(log.str().find("tensors taken; begun anew: l0.weight, l0.bias; left out: l0.weight, l0.bias"),
            std::string::npos)
      << log.str();
  const TensorFile before = read_safetensors(weights), after = read_safetensors(folder / "run/last.safetensors");
  int frozen = 0, moved = 0;
  for (const HostTensor& tensor : after.tensors) {
    if (tensor.name.starts_with("l0") || tensor.name.find("running") != std::string::npos) continue;
    const bool same = tensor.bytes == before.find(tensor.name)->bytes;
    const bool trained = tensor.name.starts_with("m0.b2") || tensor.name.starts_with("m0.b3") ||
                         tensor.name.starts_with("top") || tensor.name.find("_last") != std::string::npos ||
                         tensor.name.starts_with("bn_end");
    EXPECT_EQ(same, !trained) << tensor.name;
    ++(same ? frozen : moved);
  }
  EXPECT_GT(frozen, 20);
  EXPECT_GT(moved, 20);

  TrainingOptions other = options_for(data, folder / "wide", with(kTiny, {"width=12", "transfer.weights=" + weights}));
  EXPECT_NE(error_of([&] { train(other, log); }).find("is of width 8, the settings have width = 12; transfer needs"),
            std::string::npos);
}

TEST(Training, RegressionLearnsAndIsEvaluated) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 64, 1);
  TrainingOptions options =
      options_for(data, folder / "run",
                  with(kTiny, {"epochs=30", "width=16", "batch=8", "lr=5e-3", "head=regression", "augment.brightness=0",
                               "augment.contrast=0", "augment.rotation=5", "augment.scale=0.05"}));
  std::ostringstream log;
  const TrainingResult result = train(options, log);
  ASSERT_TRUE(result.validation);
  EXPECT_GT(result.validation->icc.value, 0.8) << log.str();
  EvaluationOptions evaluating;
  evaluating.weights = folder / "run/last.safetensors";
  evaluating.manifest = data.path;
  evaluating.device.name = "cpu";
  EXPECT_NEAR(evaluate(evaluating, log).metrics.icc.value, result.validation->icc.value, 1e-6);
}

TEST(Training, SignalsEndTheStepSaveAndExit) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  const Settings settings = with(kTiny, {"epochs=24", "checkpoint_every=0"});
  std::ostringstream log;
  train(options_for(data, folder / "whole", settings), log);

  int stops = 0;
  for (const int signal : {SIGINT, SIGTERM}) {
    Runner runner(signal == SIGINT ? Settings{} : Settings{"--resume"}, data.path, folder / "stopped", settings,
                  folder / "log");
    stops += runner.signal_after(signal == SIGINT ? 8 : 30, folder / "stopped", signal);
    EXPECT_EQ(runner.wait(), 3) << read_file(folder / "log");
    EXPECT_NE(read_file(folder / "log").find("everything is saved"), std::string::npos);
  }
  EXPECT_EQ(stops, 2);
  Runner last({"--resume"}, data.path, folder / "stopped", settings, folder / "log");
  ASSERT_EQ(last.wait(), 0) << read_file(folder / "log");
  expect_same_run(folder / "whole", folder / "stopped");
}

TEST(Training, AFullDiskLeavesThePreviousCheckpoint) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  std::ostringstream log;
  train(options_for(data, folder / "whole", kTiny), log);
  {
    Runner runner({}, data.path, folder / "full", with(kTiny, {"epochs=2"}), folder / "log");
    ASSERT_EQ(runner.wait(), 0) << read_file(folder / "log");
  }
  const std::string before = read_file(folder / "full/checkpoint.safetensors");
  {
    Runner runner({"--file-limit", "20000", "--resume"}, data.path, folder / "full", kTiny, folder / "log");
    EXPECT_EQ(runner.wait(), 1);
    EXPECT_NE(read_file(folder / "log").find("cannot be written"), std::string::npos) << read_file(folder / "log");
  }
  EXPECT_TRUE(before == read_file(folder / "full/checkpoint.safetensors"));
  for (const auto& entry : std::filesystem::directory_iterator(folder / "full")) {
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
  Runner last({"--resume"}, data.path, folder / "full", kTiny, folder / "log");
  ASSERT_EQ(last.wait(), 0) << read_file(folder / "log");
  // epochs=2 was another cosine, so only the files' soundness is compared here.
  EXPECT_EQ(read_checkpoint(folder / "full/checkpoint.safetensors").position.step, 12);
  EXPECT_NO_THROW(read_weights(folder / "full/best.safetensors"));
}

TEST(Training, FoldersAndResumesThatDoNotFit) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  std::ostringstream log;
  const auto error = [&](TrainingOptions options) { return error_of([&] { train(options, log); }); };
  TrainingOptions options = options_for(data, folder / "run", kTiny);
  options.resume = true;
  EXPECT_NE(error(options).find("run: there is no run to resume"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  std::filesystem::create_directory(folder / "run");
  write_file(folder / "run/config.toml", "lr = 0.5\n");  // what a start that failed leaves
  write_file(folder / "run/metrics.jsonl", "");
  train(options, log);
  EXPECT_NE(log.str().find("no checkpoint yet, starting from the beginning"), std::string::npos) << log.str();
  std::filesystem::rename(folder / "run/config.toml", folder / "config.toml");
  std::filesystem::remove_all(folder / "run");
  std::filesystem::create_directory(folder / "run");
  std::filesystem::rename(folder / "config.toml", folder / "run/config.toml");
  options.resume = false;
  EXPECT_TRUE(train(options, log).finished);
  EXPECT_NE(error(options).find("holds a run already; go on with it by --resume"), std::string::npos);

  options.resume = true;
  log.str("");
  EXPECT_TRUE(train(options, log).finished);
  EXPECT_NE(log.str().find("the run is complete (12 steps)"), std::string::npos) << log.str();

  options.settings = {"lr=0.5"};  // the rest is the checkpoint's
  EXPECT_NE(error(options).find("cannot be resumed with lr = 0.5, its run has lr = 0.002"), std::string::npos)
      << error(options);
  options.settings = {"epochs=2"};
  EXPECT_NE(error(options).find("run: has trained 4 epochs already, more than epochs = 2; set no fewer"),
            std::string::npos)
      << error(options);
  EXPECT_NE(read_file(folder / "run/config.toml").find("epochs = 4"), std::string::npos);
  options.settings = {"epochs=5", "workers=1"};
  EXPECT_EQ(train(options, log).steps, 15);

  options.train = write_expressive_faces(folder / "other", 14, 3).path;
  EXPECT_NE(error(options).find("the training manifest or the table of points differs"), std::string::npos)
      << error(options);
  options.train = data.path;
  options.validation.reset();
  EXPECT_NE(error(options).find("the validation manifest"), std::string::npos) << error(options);

  options = options_for(data, folder / "run", {"epochs=6"});
  options.resume = true;
  const std::string checkpoint = read_file(folder / "run/checkpoint.safetensors");
  write_file(folder / "run/checkpoint.safetensors", checkpoint.substr(0, checkpoint.size() / 2));
  EXPECT_NE(error(options).find("checkpoint.safetensors"), std::string::npos);
  std::filesystem::copy_file(folder / "run/last.safetensors", folder / "run/checkpoint.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(error(options).find("expected a checkpoint, not a file of weights"), std::string::npos) << error(options);

  write_file(folder / "file", "");
  EXPECT_NE(error(options_for(data, folder / "file", kTiny)).find("cannot be used as a run's folder"),
            std::string::npos);
  EXPECT_NE(error(options_for(data, folder / "new", {"aus=AU17"})).find("no column 'AU17'"), std::string::npos);
  EXPECT_NE(error(options_for(data, folder / "new", with(kTiny, {"batch=100"}))).find("too few for a batch"),
            std::string::npos);
}

TEST(Training, OneProcessAFolder) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  Runner runner({}, data.path, folder / "run", with(kTiny, {"epochs=100000"}), folder / "log");
  while (!std::filesystem::exists(folder / "run/metrics.jsonl"))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  TrainingOptions options = options_for(data, folder / "run", kTiny);
  options.resume = true;
  std::ostringstream log;
  EXPECT_NE(error_of([&] { train(options, log); }).find("another process is training in this folder"),
            std::string::npos);
}

TEST(Training, WithoutValidationTheSmallestLossIsBest) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  TrainingOptions options = options_for(data, folder / "run", kTiny);
  options.validation.reset();
  std::ostringstream log;
  EXPECT_FALSE(train(options, log).validation);
  double least = 1e9;
  int best_epoch = 0;
  std::istringstream lines(read_file(folder / "run/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record["type"] != "epoch" || record["loss"].get<double>() >= least) continue;
    least = record["loss"];
    best_epoch = record["epoch"];
  }
  EXPECT_EQ(read_weights(folder / "run/best.safetensors").metadata.at("epoch"), std::to_string(best_epoch));
}

TEST(Training, RecordsAreMeansOverTheirSteps) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 92, 1);  // 23 steps: records of 10, 10 and 3
  TrainingOptions options = options_for(data, folder / "run", with(kTiny, {"epochs=1"}));
  std::ostringstream log;
  train(options, log);
  double sum = 0, epoch_loss = 0;
  std::vector<int> steps;
  std::istringstream lines(read_file(folder / "run/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record["type"] == "train") {
      const int before = steps.empty() ? 0 : steps.back();
      steps.push_back(record["step"]);
      sum += record["loss"].get<double>() * (steps.back() - before);
    } else if (record["type"] == "epoch") {
      epoch_loss = record["loss"];
    }
  }
  EXPECT_EQ(steps, (std::vector<int>{10, 20, 23}));
  EXPECT_NEAR(sum / 23, epoch_loss, 1e-9);
}

TEST(Training, ProgressStatesNoLossBeforeTheFirstRecord) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 72, 1);
  // Nine steps, slow enough for a line in between.
  TrainingOptions options =
      options_for(data, folder / "run", with(kTiny, {"epochs=1", "batch=8", "width=64", "input_size=128"}));
  options.live = true;
  std::ostringstream log;
  train(options, log);
  EXPECT_NE(log.str().find("  step "), std::string::npos) << log.str();
  EXPECT_EQ(log.str().find("loss 0.00000"), std::string::npos) << log.str();
}

TEST(Training, StopsWhereNumbersAreNotFinite) {
  const TemporaryFolder folder;
  const Manifest data = write_expressive_faces(folder / "data", 14, 1);
  std::ostringstream log;
  TrainingOptions options = options_for(data, folder / "run", kTiny);
  train(options, log);
  const std::filesystem::path path = folder / "run/checkpoint.safetensors";
  Checkpoint broken = read_checkpoint(path);
  const ParameterInfo& gamma = ParameterTable(broken.config.network()).find("m0.b1_1.bn2.weight");
  broken.state.weights.parameters[gamma.offset] = 1e38f * 10;
  write_checkpoint(path, broken);
  const std::string before = read_file(path);
  options.resume = true;
  options.settings = {"epochs=5"};
  const std::string error = error_of([&] { train(options, log); });
  EXPECT_NE(error.find("step 13: the output of layer 'm0.b1_1"), std::string::npos) << error;
  EXPECT_NE(error.find("is not finite"), std::string::npos) << error;
  EXPECT_TRUE(read_file(path) == before);
}

TEST(Evaluation, LeavesOutWhatIsNotThere) {
  const TemporaryFolder folder;
  Manifest data = write_expressive_faces(folder / "data", 14, 1);
  std::ostringstream log;
  train(options_for(data, folder / "run", with(kTiny, {"epochs=1"})), log);
  data.aus = {"AU12", "AU45"};
  data.path = folder / "data/other.csv";
  write_manifest(data.path, data);
  EvaluationOptions options;
  options.weights = folder / "run/last.safetensors";
  options.manifest = data.path;
  options.device.name = "cpu";
  log.str("");
  const Evaluation evaluation = evaluate(options, log);
  ASSERT_EQ(evaluation.metrics.aus.size(), 2u);
  EXPECT_EQ(evaluation.metrics.aus[0].count, 14);
  EXPECT_EQ(evaluation.metrics.aus[1].count, 0);
  EXPECT_NE(log.str().find("has no column for AU06, which is not evaluated"), std::string::npos) << log.str();
  const nlohmann::json json = to_json(evaluation, options.scores, "net", "data");
  EXPECT_EQ(json["pictures"], 14);
  EXPECT_TRUE(json["aus"]["AU06"]["icc"].is_null());

  data.aus = {"AU01", "AU45"};
  write_manifest(data.path, data);
  EXPECT_NE(error_of([&] { evaluate(options, log); }).find("has none of the network's Action Units (AU12, AU06)"),
            std::string::npos);
}

}  // namespace
}  // namespace sandglass
