// What sandglass_bench prints and writes.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "bench/kernels/rows.h"

namespace sandglass::bench {

using CeilingsByPrecision = std::map<Precision, Ceilings>;

/// The table on stdout, row by row, and the file of --benchmark_out, which is renewed about every second.
class Report {
 public:
  /// `rows`: not empty. `skipped`: what is left out already, with its reason.
  Report(const Options& options, const std::vector<Row*>& rows, CeilingsByPrecision ceilings,
         std::vector<std::pair<std::string, std::string>> skipped);

  /// A row that has been measured.
  void add(const Row& row);
  /// What was measured, what was wrong, what was left out and why. Returns the program's exit code.
  int finish();

 private:
  void print(const Row& row) const;
  void write();

  const Options& options_;
  CeilingsByPrecision ceilings_;
  std::vector<std::pair<std::string, std::string>> skipped_;
  nlohmann::ordered_json context_;
  std::vector<const Row*> done_;
  size_t name_width_ = 0;
  std::chrono::steady_clock::time_point written_;
};

/// Of --list: each row's work and the least time that it takes, and sums for a network.
void print_least_times(const std::vector<Row*>& rows, const CeilingsByPrecision& ceilings);

}  // namespace sandglass::bench
