#include <omp.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/build_info.h"
#include "cli/library_versions.h"
#include "cli/network_flags.h"
#include "engine/error.h"
#include "engine/file.h"
#include "engine/random.h"
#include "model/inference_network.h"

namespace sandglass {
namespace {

struct BenchFlags {
  NetworkFlags network;
  int iterations = 20;
  std::filesystem::path json;
  bool explain = false;
  // Of --explain: measured on an H100.
  double gigabytes_per_s = 3000, teraflops_per_s = 798;
};

// A batch of random faces, each picture just as large as the network's input, with a label for every heatmap.
struct RandomBatch {
  std::vector<uint8_t> pixels;
  std::vector<WarpPicture> pictures;
  std::vector<float> intensities, points;
};

RandomBatch random_batch(const TrainingConfig& config, int batch, int points_per_map) {
  Random random(1);
  const int side = config.input_size, map = config.network().map_size();
  const size_t picture_bytes = size_t{3} * static_cast<size_t>(side) * static_cast<size_t>(side);
  RandomBatch made;
  made.pixels.resize(static_cast<size_t>(batch) * picture_bytes);
  for (uint8_t& value : made.pixels) value = static_cast<uint8_t>(random.next() >> 24);
  for (int n = 0; n < batch; ++n)
    made.pictures.push_back({static_cast<int64_t>(static_cast<size_t>(n) * picture_bytes), side, side});
  const size_t maps = static_cast<size_t>(batch) * config.aus.size();
  for (size_t i = 0; i < maps; ++i) made.intensities.push_back(random.uniform(0, 5));
  for (size_t i = 0; i < maps * static_cast<size_t>(points_per_map) * 2; ++i)
    made.points.push_back(random.uniform(0, static_cast<float>(map)));
  return made;
}

constexpr int kWarmUp = 3;

// Milliseconds of each run after some that do not count.
std::vector<double> time_runs(int iterations, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < kWarmUp; ++i) run();
  std::vector<double> times;
  for (int i = 0; i < iterations; ++i) {
    const auto begin = Clock::now();
    run();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  return times;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// What each step must do and takes, in milliseconds; the largest gap between both first.
struct ExplainedStep {
  StepTime step;
  double least_ms, measured_ms;
  double gap() const { return measured_ms - least_ms; }
};

std::vector<ExplainedStep> explain(const std::vector<StepTime>& steps, const BenchFlags& flags) {
  std::vector<ExplainedStep> explained;
  for (const StepTime& step : steps)
    explained.push_back({step, 1e3 * step.cost.least_seconds(flags.gigabytes_per_s * 1e9, flags.teraflops_per_s * 1e12),
                         1e3 * step.seconds});
  std::stable_sort(explained.begin(), explained.end(), [](const auto& a, const auto& b) { return a.gap() > b.gap(); });
  return explained;
}

void print_explained(const std::vector<ExplainedStep>& steps, const BenchFlags& flags) {
  fmt::print("\nEach step by itself; the least time is that of {:g} GB/s and {:g} TFLOP/s. Milliseconds.\n",
             flags.gigabytes_per_s, flags.teraflops_per_s);
  constexpr const char* kRow = "{:>10} {:>10} {:>9} {:>9} {:>9}  {}\n";
  fmt::print(kRow, "MB", "GFLOP", "least", "measured", "gap", "step");
  ExplainedStep sum{};
  const auto print = [&](const ExplainedStep& s) {
    const auto number = [](double value, int digits) { return fmt::format("{:.{}f}", value, digits); };
    fmt::print(kRow, number(s.step.cost.bytes / 1e6, 3), number(s.step.cost.operations / 1e9, 3), number(s.least_ms, 4),
               number(s.measured_ms, 4), number(s.gap(), 4), s.step.name);
  };
  for (const ExplainedStep& s : steps) {
    print(s);
    sum.step.cost += s.step.cost;
    sum.least_ms += s.least_ms;
    sum.measured_ms += s.measured_ms;
  }
  sum.step.name = fmt::format("all {} steps", steps.size());
  print(sum);
}

double peak_resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int bench(const BenchFlags& flags) {
  const NetworkFlags& network_flags = flags.network;
  const TrainingConfig config = network_flags.config.read();
  const int batch = network_flags.batch_size(config);
  const auto device = open_device(network_flags.device);
  const Weights weights = initial_weights(config.network(), config.aus, config.seed);

  std::vector<double> times;
  std::vector<StepTime> steps;
  const int runs_of_step = device->kind() == DeviceKind::cuda ? 10 : 1;
  size_t device_bytes = 0;
  if (network_flags.training()) {
    const TrainingNetworkOptions options = training_options(config, batch);
    TrainingNetwork network(*device, options, weights);
    const RandomBatch input = random_batch(config, batch, options.heatmap.points_per_map);
    OptimizerRates rates;
    rates.rate = static_cast<float>(config.lr);
    rates.decay = static_cast<float>(config.weight_decay);
    rates.clip = static_cast<float>(config.clip);
    times = time_runs(flags.iterations, [&] {
      const StepResult result = network.step({input.pixels, input.pictures, input.intensities, input.points}, rates);
      check(result.finite, "training step {}: the loss or the gradient is not finite", rates.step);
      ++rates.step;
    });
    if (flags.explain) steps = network.time_steps(runs_of_step);
    device_bytes = network.device_bytes();
  } else {
    InferenceNetwork network(*device, weights, batch, pixel_bytes(config, batch));
    const RandomBatch input = random_batch(config, batch, 1);
    times = time_runs(flags.iterations, [&] { network.run(input.pixels, input.pictures); });
    if (flags.explain) steps = network.time_steps(runs_of_step);
    device_bytes = network.device_bytes();
  }

  const double median_ms = median(times), min_ms = *std::min_element(times.begin(), times.end());
  fmt::print("{} of {} on {} ({})\n", network_flags.mode, batch == 1 ? "1 picture" : fmt::format("{} pictures", batch),
             name_of(device->kind()), device->description());
  fmt::print("median {:.2f} ms, min {:.2f} ms of {} runs; {:.2f} images/s\n", median_ms, min_ms, times.size(),
             1e3 * batch / median_ms);
  const std::vector<ExplainedStep> explained = explain(steps, flags);
  if (flags.explain) print_explained(explained, flags);
  if (flags.json.empty()) return 0;

  nlohmann::ordered_json json;
  json["mode"] = network_flags.mode;
  json["device"] = name_of(device->kind());
  json["batch"] = batch;
  json["median_ms"] = median_ms;
  json["min_ms"] = min_ms;
  json["images_per_s"] = 1e3 * batch / median_ms;
  json["iterations"] = flags.iterations;
  json["warm_up"] = kWarmUp;
  json["times_ms"] = times;
  json["width"] = config.width;
  json["depth"] = config.depth;
  json["input_size"] = config.input_size;
  json["heatmaps"] = config.aus.size();
  json["device_mib"] = static_cast<double>(device_bytes) / (1 << 20);
  json["peak_resident_mib"] = peak_resident_mib();
  json["processor"] = device->description();
  json["threads"] = omp_get_max_threads();
  json["version"] = kVersion;
  json["commit"] = *kCommit ? nlohmann::ordered_json(kCommit) : nlohmann::ordered_json();
  json["compiler"] = kCompiler;
  json["build"] = kBuildType;
  json["precision"] = name_of(device->precision());
  json["conv"] = name_of(device->conv_library());
  const auto version = [&](const char* library, const std::string& text) {
    json[library] = text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  version("onednn", onednn_version());
  version("cudnn", cudnn_version_or_none());
  version("cublas", cublas_version_or_none());
  if (flags.explain) {
    json["gigabytes_per_s"] = flags.gigabytes_per_s;
    json["teraflops_per_s"] = flags.teraflops_per_s;
    for (const ExplainedStep& s : explained)
      json["steps"].push_back({{"name", s.step.name},
                               {"bytes", s.step.cost.bytes},
                               {"operations", s.step.cost.operations},
                               {"least_ms", s.least_ms},
                               {"measured_ms", s.measured_ms}});
  }
  write_file(flags.json, json.dump(2) + "\n");
  return 0;
}

}  // namespace

Command add_bench(CLI::App& program) {
  CLI::App* app = program.add_subcommand("bench", "Time the whole network on random pictures");
  auto flags = std::make_shared<BenchFlags>();
  app->add_option("--mode", flags->network.mode, "infer or train")
      ->type_name("infer|train")
      ->check(one_of({"infer", "train"}))
      ->required();
  add_network(*app, flags->network);
  app->add_option("--iterations", flags->iterations, "runs that count, after 3 that do not")
      ->type_name("N")
      ->check(within(1, 1000000))
      ->capture_default_str();
  app->add_option("--json", flags->json, "write the figures here as JSON, too")->type_name("FILE");
  CLI::Option* explain =
      app->add_flag("--explain", flags->explain,
                    "then time each step by itself beside the least time that its bytes and operations take");
  app->add_option("--bandwidth", flags->gigabytes_per_s, "of --explain: what memory moves")
      ->type_name("GB/s")
      ->check(within(1e-3, 1e9))
      ->needs(explain)
      ->capture_default_str();
  app->add_option("--rate", flags->teraflops_per_s, "of --explain: what the device computes")
      ->type_name("TFLOP/s")
      ->check(within(1e-3, 1e9))
      ->needs(explain)
      ->capture_default_str();
  return {app, [flags] { return bench(*flags); }};
}

}  // namespace sandglass
