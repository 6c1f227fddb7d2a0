#include "train/training.h"

#include <fmt/chrono.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <ctime>
#include <map>
#include <memory>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "model/inference_network.h"
#include "model/training_network.h"
#include "model/transfer.h"
#include "train/balance.h"
#include "train/checkpoint.h"
#include "train/data/data_set.h"
#include "train/evaluation.h"
#include "train/fingerprint.h"
#include "train/landmarks.h"
#include "train/loader.h"
#include "train/manifest.h"
#include "train/progress.h"
#include "train/run_folder.h"
#include "train/run_reporter.h"
#include "train/schedule.h"

namespace sandglass {
namespace {

constexpr int kStepsPerRecord = 10;
constexpr int kShownFaces = 4;  // at each validation, in the event file

volatile std::sig_atomic_t stop_requested = 0;

// While one of these exists, SIGINT and SIGTERM only ask for a stop; the second of a kind does what it did before.
class StopSignals {
 public:
  StopSignals() {
    stop_requested = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { stop_requested = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigaction(SIGINT, &action, &interrupt_);
    sigaction(SIGTERM, &action, &terminate_);
  }
  ~StopSignals() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGTERM, &terminate_, nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static bool requested() { return stop_requested != 0; }

 private:
  struct sigaction interrupt_ {
  }, terminate_{};
};

// Saves the search for faces to whoever trains on the same pictures again.
void keep_landmarks(Manifest manifest, const std::filesystem::path& path) {
  for (ManifestRow& row : manifest.rows) row.image = std::filesystem::absolute(manifest.image_path(row)).string();
  write_manifest(path, manifest);
}

// What keep_landmarks kept in an earlier session. Rows without a face are not among them, and are searched again.
void take_kept_landmarks(Manifest& manifest, const std::filesystem::path& path) {
  std::map<std::pair<std::string, int>, Landmarks> kept;
  for (const ManifestRow& row : read_manifest(path, false).rows)
    if (row.landmarks) kept.emplace(std::pair(row.image, row.frame), *row.landmarks);
  for (ManifestRow& row : manifest.rows) {
    if (row.landmarks) continue;
    const auto found = kept.find(std::pair(std::filesystem::absolute(manifest.image_path(row)).string(), row.frame));
    if (found != kept.end()) row.landmarks = found->second;
  }
}

// The settings of this session and, where the run goes on, its checkpoint.
struct Start {
  TrainingConfig config;
  std::optional<Checkpoint> checkpoint;
};

Start prepare(const TrainingOptions& options, const RunFolder& folder, Progress& progress) {
  const std::string run = folder.path().string();
  check(!options.resume || folder.holds_run() || std::filesystem::exists(folder.config()),
        "{}: there is no run to resume; leave out --resume to start one", run);
  check(!folder.holds_run() || options.resume,
        "{}: holds a run already; go on with it by --resume, or choose another folder", run);
  Start start;
  if (std::filesystem::exists(folder.checkpoint())) {
    start.checkpoint = read_checkpoint(folder.checkpoint());
    start.config = start.checkpoint->config;
  } else if (options.resume) {
    progress.say(fmt::format("{}: no checkpoint yet, starting from the beginning", run));
    read_config(folder.config(), start.config);
  }
  if (options.config) read_config(*options.config, start.config);
  for (const std::string& setting : options.settings) apply_setting(setting, start.config);
  start.config.check();
  if (!start.checkpoint) return start;
  for (const auto& [key, before, after] : fixed_differences(start.checkpoint->config, start.config)) {
    fail(
        "{}: cannot be resumed with {} = {}, its run has {} = {}; keep that value, or start a new run in another "
        "folder",
        run, key, after, key, before);
  }
  return start;
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// One session of a run: from its beginning or its last checkpoint to its end or a stop.
class Session {
 public:
  Session(const TrainingOptions& options, RunFolder& folder, Start start, Progress& progress, std::ostream& log);
  TrainingResult run();

 private:
  LoaderOptions loading() const;
  void check_data_unchanged(const RunPosition& before) const;
  void start_validation_loader();
  Weights starting_weights();
  TrainingNetworkOptions network_options();
  nlohmann::json description(const TrainingOptions& options) const;
  void prepare_next();
  void step();
  void finish_epoch();
  double validate();
  void evaluate_best();
  void record(nlohmann::json record);
  void save();
  void show_progress();
  int64_t epoch_of(int64_t step) const { return (step + per_epoch_ - 1) / per_epoch_; }

  RunFolder& folder_;
  Progress& progress_;
  std::ostream& log_;
  TrainingConfig config_;
  AuTable table_;
  Manifest train_data_, validation_data_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Loader> loader_, validation_loader_;
  std::unique_ptr<TrainingNetwork> network_;
  std::unique_ptr<InferenceNetwork> validation_network_;
  std::unique_ptr<RecordFile> metrics_;
  std::unique_ptr<RunReporter> reporter_;
  std::vector<float> validation_labels_;
  RunPosition position_;
  int64_t per_epoch_ = 0, total_ = 0;
  std::optional<Metrics> validation_, best_;

  // For speed and time left.
  int64_t first_step_ = 0, recorded_step_ = 0;
  Clock::time_point begin_, recorded_at_, epoch_begin_;
  double speed_ = 0;   // images/s between the last two records
  double waited_ = 0;  // the loader's waited_seconds() at the last record
  double epoch_waited_ = 0;
  double last_loss_ = 0;  // mean of the last record
};

LoaderOptions Session::loading() const {
  LoaderOptions loading;
  loading.aus = config_.aus;
  loading.table = table_;
  loading.input_size = config_.input_size;
  loading.batch = config_.batch;
  loading.workers = config_.workers;
  loading.seed = config_.seed;
  loading.skip_unreadable = !config_.data.is_strict();
  return loading;
}

Session::Session(const TrainingOptions& options, RunFolder& folder, Start start, Progress& progress, std::ostream& log)
    : folder_(folder),
      progress_(progress),
      log_(log),
      config_(std::move(start.config)),
      table_(config_.au_points.empty() ? default_au_table() : read_au_table(config_.au_points)) {
  TrainingFaces faces = read_training_faces(options.train, options.validation, config_, log);
  train_data_ = std::move(faces.train);
  train_data_.columns_of(config_.aus);  // before a search for faces that may take long
  DataLog problems(config_.data.is_strict());
  const bool has_kept = start.checkpoint && std::filesystem::exists(folder_.completed_manifest());
  if (has_kept) take_kept_landmarks(train_data_, folder_.completed_manifest());
  const bool found_landmarks = complete_landmarks(train_data_, config_.workers, log, problems);
  position_.training_data = fingerprint(train_data_, config_.aus, table_);
  LoaderOptions training = loading();
  training.cache_bytes = static_cast<size_t>(config_.cache_mb) << 20;
  training.augmentation = config_.augment;
  training.row_weights = row_weights(config_, train_data_);
  loader_ = std::make_unique<Loader>(train_data_, training);
  if (faces.validation) {
    validation_data_ = std::move(*faces.validation);
    validation_data_.columns_of(config_.aus);  // before a search for faces
    complete_landmarks(validation_data_, config_.workers, log, problems);
    position_.validation_data = fingerprint(validation_data_, config_.aus, table_);
    start_validation_loader();
  }
  problems.print(log);
  if (start.checkpoint) check_data_unchanged(start.checkpoint->position);

  device_ = open_device(options.device);
  if (start.checkpoint && start.checkpoint->device != device_->description()) {
    progress_.say(fmt::format("the run so far was made on: {}; on: {} it may go on with other last bits",
                              start.checkpoint->device, device_->description()));
  }
  const Weights initial = start.checkpoint ? start.checkpoint->state.weights : starting_weights();
  network_ = std::make_unique<TrainingNetwork>(*device_, network_options(), initial);
  if (validation_loader_) {
    validation_network_ =
        std::make_unique<InferenceNetwork>(*device_, initial, config_.batch, validation_loader_->max_pixel_bytes());
  }
  if (start.checkpoint) {
    network_->set_state(start.checkpoint->state);
    position_ = start.checkpoint->position;
  }
  per_epoch_ = loader_->steps_per_epoch();
  total_ = config_.epochs * per_epoch_;
  check(position_.step <= total_, "{}: has trained {:.4g} epochs already, more than epochs = {}; set no fewer",
        folder_.path().string(), static_cast<double>(position_.step) / static_cast<double>(per_epoch_), config_.epochs);

  write_file(folder_.config(), to_toml(config_));
  if (found_landmarks) keep_landmarks(train_data_, folder_.completed_manifest());
  metrics_ = std::make_unique<RecordFile>(folder_.metrics(), position_.metrics_bytes);
  const bool evaluated = !validation_loader_ || std::filesystem::exists(folder_.evaluation());
  if (position_.step < total_ || !evaluated)
    reporter_ = std::make_unique<RunReporter>(folder_, position_.step, description(options), to_toml(config_));
  progress_.say(fmt::format("{} pictures, {} steps an epoch, {} epochs; {}{}", loader_->row_count(), per_epoch_,
                            config_.epochs, device_->description(),
                            position_.step > 0 ? fmt::format("; going on after step {}", position_.step) : ""));
}

void Session::start_validation_loader() {
  validation_loader_ = std::make_unique<Loader>(validation_data_, loading());
  validation_labels_ = validation_data_.labels(config_.aus);
  check(std::any_of(validation_labels_.begin(), validation_labels_.end(), [](float label) { return label >= 0; }),
        "{}: no picture is coded for any of the Action Units to validate", validation_data_.path.string());
}

Weights Session::starting_weights() {
  Weights fresh = initial_weights(config_.network(), config_.aus, config_.seed);
  if (config_.transfer_weights.empty()) return fresh;
  const std::filesystem::path path = config_.transfer_weights;
  const TensorFile file = read_tensor_file(path);
  const HostTensor* stem = file.find("conv1.weight");
  if (stem && !stem->shape.empty()) {
    const int64_t width = 4 * stem->shape[0];
    check(width == config_.width, "{}: is of width {}, the settings have width = {}; transfer needs the same",
          path.string(), width, config_.width);
  }
  TransferReport report;
  fresh = transferred(std::move(fresh), file, path.string(), report);
  const auto list = [](const std::vector<std::string>& names) {
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  };
  progress_.say(fmt::format("{}: {} tensors taken; begun anew: {}; left out: {}", path.string(), report.taken,
                            list(report.anew), list(report.left_out)));
  return fresh;
}

TrainingNetworkOptions Session::network_options() {
  TrainingNetworkOptions options;
  options.network = config_.network();
  options.batch = config_.batch;
  options.heatmap = config_.heatmap(loader_->points_per_map());
  options.optimizer = config_.optimizer_kind();
  options.max_pixel_bytes = loader_->max_pixel_bytes();
  options.loss = config_.loss();
  const LevelCounts counts = count_levels(train_data_, train_data_.columns_of(config_.aus));
  options.loss_weights = loss_weights(config_, counts);
  if (!options.loss_weights.empty())
    progress_.say("weights of the loss (and pictures) by intensity:\n" +
                  to_text(config_.aus, counts, options.loss_weights));
  options.rate_factors =
      rate_factors(ParameterTable(options.network), config_.transfer_freeze.names, config_.transfer_learning_rate);
  return options;
}

void Session::check_data_unchanged(const RunPosition& before) const {
  const auto check_same = [&](const char* what, uint64_t then, uint64_t now) {
    check(then == now, "{}: cannot be resumed, because the {} manifest or the table of points differs from the run's",
          folder_.path().string(), what);
  };
  check_same("training", before.training_data, position_.training_data);
  check_same("validation", before.validation_data, position_.validation_data);
}

// For the report.
nlohmann::json Session::description(const TrainingOptions& options) const {
  nlohmann::json json{{"device", device_->description()},
                      {"training data", utf8_text(train_data_.path.string())},
                      {"training pictures", loader_->row_count()},
                      {"parameters", ParameterTable(config_.network()).parameter_count()},
                      {"session started", fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)))}};
  if (validation_loader_) {
    json["validation data"] = utf8_text(validation_data_.path.string());
    json["validation pictures"] = validation_loader_->row_count();
  }
  for (const auto& [what, version] : options.versions) json["versions"][what] = version;
  return json;
}

TrainingResult Session::run() {
  first_step_ = recorded_step_ = position_.step;
  begin_ = recorded_at_ = epoch_begin_ = Clock::now();
  if (!reporter_) {
    progress_.say(fmt::format("{}: the run is complete ({} steps); to train on, set more epochs",
                              folder_.path().string(), position_.step));
    return {position_.step, true, {}, {}};
  }
  const StopSignals signals;
  bool saved = position_.step >= total_;  // then only the last evaluation was missing
  if (!saved) loader_->start(position_.step, total_ - position_.step);
  while (position_.step < total_ && !StopSignals::requested()) {
    step();
    const bool epoch_done = position_.step % per_epoch_ == 0;
    if (epoch_done) finish_epoch();
    saved = epoch_done || (config_.checkpoint_every > 0 && position_.step % config_.checkpoint_every == 0);
    if (saved) save();
    if (progress_.due()) show_progress();
  }
  const bool finished = position_.step >= total_;
  if (!saved) save();
  if (finished && validation_loader_) evaluate_best();
  reporter_->write_page();
  if (!finished) {
    progress_.say(
        fmt::format("stopped after step {} of {}; everything is saved, go on with --resume", position_.step, total_));
  }
  return {position_.step, finished, validation_, best_, StopSignals::requested()};
}

void Session::prepare_next() {
  const Batch& batch = loader_->next();
  for (const DataProblem& problem : loader_->take_problems()) {
    progress_.say(fmt::format("{}; others take its place", problem.what()));
  }
  network_->prepare({batch.pixels, batch.pictures, batch.intensities, batch.points});
}

void Session::step() {
  if (position_.step == first_step_) prepare_next();
  OptimizerRates rates;
  rates.rate = static_cast<float>(learning_rate(config_, per_epoch_, position_.step));
  rates.decay = static_cast<float>(config_.weight_decay);
  rates.clip = static_cast<float>(config_.clip);
  rates.step = static_cast<int32_t>(position_.step + 1);
  network_->start(rates);
  if (position_.step + 1 < total_) prepare_next();  // while the device works
  const StepResult result = network_->finish();
  if (!result.finite) {
    const std::string layer = network_->first_non_finite_layer();
    fail("step {}: the {} is not finite; the last checkpoint is kept; a smaller lr, a longer warmup or a clip may help",
         position_.step + 1, layer.empty() ? "gradient" : fmt::format("output of layer '{}'", layer));
  }
  ++position_.step;
  position_.epoch_loss += result.loss;
  position_.record_loss += result.loss;
  const bool epoch_done = position_.step % per_epoch_ == 0;
  if (!epoch_done && position_.step % kStepsPerRecord != 0) return;

  // Records end at multiples of ten and at epochs' ends, in whatever session.
  const int64_t in_epoch = (position_.step - 1) % per_epoch_ + 1;
  const int64_t before = std::max(position_.step - in_epoch, (position_.step - 1) / kStepsPerRecord * kStepsPerRecord);
  last_loss_ = position_.record_loss / static_cast<double>(position_.step - before);
  const double seconds = seconds_since(recorded_at_);
  speed_ = static_cast<double>((position_.step - recorded_step_) * config_.batch) / seconds;
  const double waiting = (loader_->waited_seconds() - waited_) / seconds;
  waited_ = loader_->waited_seconds();
  record({{"type", "train"},
          {"step", position_.step},
          {"epoch", static_cast<double>(position_.step) / static_cast<double>(per_epoch_)},
          {"loss", last_loss_},
          {"lr", rates.rate},
          {"gradient_norm", result.gradient_norm},
          {"images_per_s", speed_},
          {"waiting", waiting}});
  position_.record_loss = 0;
  recorded_step_ = position_.step;
  recorded_at_ = Clock::now();
}

void Session::finish_epoch() {
  const int64_t epoch = position_.step / per_epoch_;
  const double loss = position_.epoch_loss / static_cast<double>(per_epoch_);
  position_.epoch_loss = 0;
  record({{"type", "epoch"}, {"step", position_.step}, {"epoch", epoch}, {"loss", loss}});
  const double waiting = (loader_->waited_seconds() - epoch_waited_) / seconds_since(epoch_begin_);
  std::string line = fmt::format("epoch {}/{}: loss {:.5f}, {:.1f} % of the time waiting for pictures", epoch,
                                 config_.epochs, loss, 100 * waiting);
  if (const size_t unreadable = loader_->unreadable_rows().size(); unreadable > 0)
    line += fmt::format(", {} pictures left out", unreadable);

  const bool validates = validation_loader_ && (epoch % config_.validate_every == 0 || epoch == config_.epochs);
  if (validates || !validation_loader_) {
    const double score = validates ? validate() : -loss;
    if (validates) {
      line += fmt::format(", validation ICC {:.3f}, MSE {:.3f}, MAE {:.3f}", validation_->icc.value,
                          validation_->mse.value, validation_->mae.value);
    }
    if (score > position_.best_score) {
      position_.best_score = score;
      line += ", the best so far";
      Weights weights = network_->weights();
      weights.metadata["epoch"] = std::to_string(epoch);
      weights.metadata["step"] = std::to_string(position_.step);
      write_weights(folder_.best(), weights);
    }
  }
  progress_.say(line);
  reporter_->write_page();
  epoch_begin_ = recorded_at_ = Clock::now();  // what an epoch's end takes does not count as training time
  epoch_waited_ = loader_->waited_seconds();
}

double Session::validate() {
  validation_network_->set_weights(network_->weights());
  const Peaks peaks = predict(*validation_loader_, *validation_network_);
  if (!validation_loader_->unreadable_rows().empty()) {  // those of the first validation
    validation_data_ = without_unreadable(validation_data_, *validation_loader_, log_);
    start_validation_loader();
  }
  validation_ = evaluate_predictions(config_.aus, peaks.heights, validation_labels_);
  nlohmann::json json = to_json(*validation_);
  json["type"] = "validation";
  json["step"] = position_.step;
  json["epoch"] = position_.step / per_epoch_;
  record(std::move(json));
  reporter_->faces(position_.step, example_faces(validation_data_, spread_rows(validation_data_, kShownFaces),
                                                 config_.aus, *validation_network_));
  return validation_->icc.aus > 0 ? validation_->icc.value : -validation_->mse.value;
}

void Session::evaluate_best() {
  progress_.say("evaluating the best weights for the report");
  validation_network_->set_weights(read_weights(folder_.best()));
  ScoreOptions options;
  options.bootstrap.seed = config_.seed;
  options.au_points = table_;
  options.workers = config_.workers;
  options.skip_unreadable = !config_.data.is_strict();
  best_ =
      reporter_->evaluate(*validation_network_, config_.aus, validation_data_, options, device_->description(), log_);
}

void Session::record(nlohmann::json record) {
  metrics_->write(record.dump() + "\n");
  reporter_->record(record);
}

void Session::save() {
  position_.metrics_bytes = metrics_->sync();
  Checkpoint checkpoint{network_->state(), position_, config_, device_->description()};
  checkpoint.state.weights.metadata["step"] = std::to_string(position_.step);
  write_weights(folder_.last(), checkpoint.state.weights);
  write_checkpoint(folder_.checkpoint(), checkpoint);
}

void Session::show_progress() {
  const double a_step = seconds_since(begin_) / static_cast<double>(position_.step - first_step_);
  std::string line =
      fmt::format("epoch {}/{}  step {}/{}", epoch_of(position_.step), config_.epochs, position_.step, total_);
  if (recorded_step_ > first_step_) line += fmt::format("  loss {:.5f}  {:.1f} images/s", last_loss_, speed_);
  progress_.show(
      fmt::format("{}  {} left", line, duration_text(a_step * static_cast<double>(total_ - position_.step))));
}

}  // namespace

TrainingResult train(const TrainingOptions& options, std::ostream& log) {
  RunFolder folder(options.run_dir);
  Progress progress(log, options.live);
  Start start = prepare(options, folder, progress);
  Session session(options, folder, std::move(start), progress, log);
  return session.run();
}

}  // namespace sandglass
