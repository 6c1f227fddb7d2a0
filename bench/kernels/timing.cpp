#include "bench/kernels/timing.h"

#include <algorithm>
#include <cmath>

namespace sandglass::bench {
namespace {

// What launching and asking the clock cost is little beside a sample that takes so long.
constexpr double kSampleSeconds = 5e-4;
constexpr int kLeastRuns = 1, kMostRuns = 200, kMostSamples = 10000;

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
  std::vector<Times> times(contenders.size());
  for (size_t i = 0; i < contenders.size(); ++i) {
    samplers.push_back(std::make_unique<Sampler>(device, *contenders[i], sets));
    times[i].runs = samplers[i]->runs();
  }
  double spent = 0;
  const double most = seconds * static_cast<double>(contenders.size());
  for (int sample = 0; sample < least_samples || (spent < most && sample < kMostSamples); ++sample)
    for (size_t turn = 0; turn < samplers.size(); ++turn) {
      const size_t i = sample % 2 ? samplers.size() - 1 - turn : turn;
      times[i].seconds.push_back(samplers[i]->seconds_of_run());
      spent += times[i].seconds.back() * times[i].runs;
    }
  return times;
}

}  // namespace sandglass::bench
