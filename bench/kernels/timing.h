// How long operations take, by the device's clock, several by turns.
#pragma once

#include <memory>
#include <vector>

#include "bench/kernels/contest.h"

namespace sandglass::bench {

/// Least, quartiles and largest of some values; not empty.
struct Spread {
  double least = 0, first_quartile = 0, median = 0, third_quartile = 0, largest = 0;
};
Spread spread(std::vector<double> values);

struct Times {
  std::vector<double> seconds;  ///< of one run, in each sample
  int runs = 0;                 ///< in each sample
  size_t left_out = 0;          ///< samples that other programs have disturbed
};

/// Samples of each contender by turns, the order changing, until each has been measured for about `seconds` and
/// `least_samples` times. A sample is several runs in a captured graph, that takes the `sets` of data in turn.
///
/// On a processor, rounds in which the system took it from this program are left out; if too few others are
/// found in a few times the time, the fastest rounds are taken.
std::vector<Times> time_by_turns(Device& device, const std::vector<Contender*>& contenders, int sets, double seconds,
                                 int least_samples);

}  // namespace sandglass::bench
