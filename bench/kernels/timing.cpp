#include "bench/kernels/timing.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sandglass::bench {
namespace {

// What launching and asking the clock cost is little beside a sample that takes so long.
constexpr double kSampleSeconds = 5e-4;
constexpr int kLeastRuns = 1, kMostRuns = 200, kMostSamples = 10000;
// So many times as long as asked for, and as many samples, it looks for undisturbed ones.
constexpr int kPatience = 4;

using Round = std::vector<double>;  // seconds of a run of each contender

// How often the system has taken a processor from this program, so far. Of no matter where a GPU keeps the time.
long preemptions(const Device& device) {
  if (device.kind() == DeviceKind::cuda) return 0;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// A value between those of a sorted list.
double quantile(const std::vector<double>& sorted, double part) {
  const double at = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

class Sampler {
 public:
  Sampler(Device& device, Contender& contender, int sets)
      : device_(device), stream_(device), begin_(device.create_event()), end_(device.create_event()) {
    capture(contender, 1, 1);
    launch();
    const double estimate = std::max(launch(), 1e-9);
    int runs =
        static_cast<int>(std::clamp(std::ceil(kSampleSeconds / estimate), double{kLeastRuns}, double{kMostRuns}));
    runs = (runs + sets - 1) / sets * sets;  // every set as often
    capture(contender, runs, sets);
    launch();
  }
  int runs() const { return runs_; }
  double seconds_of_run() { return launch() / runs_; }

 private:
  void capture(Contender& contender, int runs, int sets) {
    runs_ = runs;
    graph_ = device_.capture([&contender, runs, sets](Stream stream) {
      for (int i = 0; i < runs; ++i) contender.run(i % sets, stream);
    });
  }
  double launch() {
    begin_->record(stream_);
    graph_->launch(stream_);
    end_->record(stream_);
    end_->synchronize();
    return end_->milliseconds_since(*begin_) / 1e3;
  }

  Device& device_;
  StreamOwner stream_;
  std::unique_ptr<Event> begin_, end_;
  std::unique_ptr<Graph> graph_;
  int runs_ = 0;
};

}  // namespace

Spread spread(std::vector<double> values) {
  check(!values.empty(), "the spread of no values");
  std::sort(values.begin(), values.end());
  return {values.front(), quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75), values.back()};
}

std::vector<Times> time_by_turns(Device& device, const std::vector<Contender*>& contenders, int sets, double seconds,
                                 int least_samples) {
  std::vector<std::unique_ptr<Sampler>> samplers;
  for (Contender* const contender : contenders) samplers.push_back(std::make_unique<Sampler>(device, *contender, sets));
  std::vector<Round> undisturbed, all;
  double spent = 0, spent_undisturbed = 0;
  const double enough = seconds * static_cast<double>(contenders.size());
  const auto more = [&] {
    const auto count = static_cast<int>(undisturbed.size());
    if (count >= kMostSamples || (count >= least_samples && spent_undisturbed >= enough)) return false;
    const bool patient = spent < kPatience * enough && all.size() < size_t{kMostSamples};
    return patient || static_cast<int>(all.size()) < kPatience * least_samples;
  };
  while (more()) {
    Round round(samplers.size());
    const long preempted = preemptions(device);
    double took = 0;
    for (size_t turn = 0; turn < samplers.size(); ++turn) {
      const size_t i = all.size() % 2 ? samplers.size() - 1 - turn : turn;
      round[i] = samplers[i]->seconds_of_run();
      took += round[i] * samplers[i]->runs();
    }
    spent += took;
    all.push_back(round);
    if (preemptions(device) != preempted) continue;
    spent_undisturbed += took;
    undisturbed.push_back(round);
  }
  // Where there is no peace to be had, the fastest rounds are those disturbed the least.
  if (static_cast<int>(undisturbed.size()) < least_samples) {
    undisturbed = all;
    std::sort(undisturbed.begin(), undisturbed.end(), [](const Round& a, const Round& b) {
      return std::accumulate(a.begin(), a.end(), 0.0) < std::accumulate(b.begin(), b.end(), 0.0);
    });
    undisturbed.resize(static_cast<size_t>(least_samples));
  }
  std::vector<Times> times(samplers.size());
  for (size_t i = 0; i < samplers.size(); ++i) {
    for (const Round& round : undisturbed) times[i].seconds.push_back(round[i]);
    times[i].runs = samplers[i]->runs();
    times[i].left_out = all.size() - undisturbed.size();
  }
  return times;
}

}  // namespace sandglass::bench
