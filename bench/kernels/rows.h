// The rows of the report: each an operation, precision, batch and library with what was measured of it.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "bench/kernels/contest.h"
#include "bench/kernels/machine.h"
#include "bench/kernels/options.h"
#include "bench/kernels/timing.h"

namespace sandglass::bench {

struct Row {
  std::string name;  ///< conv_forward/fp32/SHAPE/OPTIONS/LIBRARY; "plain" where there are no options
  std::string library, left_out;
  Line line;      ///< of this batch
  int batch = 0;  ///< 0 where the shape has none
  Device* device = nullptr;
  std::shared_ptr<Task> task;
  Cost cost;
  std::string repro;

  enum class State { waiting, measured, wrong, skipped };
  State state = State::waiting;
  std::string reason;  ///< of wrong and skipped
  std::string implementation;
  Spread seconds;
  size_t samples = 0, disturbed = 0;  ///< used, and left out
  int runs = 0;                       ///< in a sample
  int sets = 0;
  Spread ratio;  ///< of a peer: Sandglass's time / its

  bool is_peer() const { return library != kSandglass; }
  /// Part of the ceiling that limits it; 0 where the ceilings are not known.
  double part_of_ceiling(const Ceilings& ceilings) const;
};

/// Every row that the options ask for. What cannot be prepared is told in `skipped`: a text and its reason.
std::deque<Row> make_rows(const Options& options, std::vector<std::pair<std::string, std::string>>& skipped);

/// Checks and times a row, or says in its reason why not.
void measure(Row& row, const Options& options);

}  // namespace sandglass::bench
