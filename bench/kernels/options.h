// The command line of sandglass_bench.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"

namespace sandglass::bench {

struct Options {
  DeviceKind device = DeviceKind::cpu;
  std::vector<Precision> precisions;
  std::vector<int> batches;
  std::vector<std::string> libraries;  ///< empty: all
  std::filesystem::path shapes = "bench/shapes/hourglass.txt";
  bool small = false, cold = false, list = false, names = false, repro = false;
  double seconds = 0.2;
  double gigabytes_per_s = 0, teraflops_per_s = 0;  ///< 0: measured
  std::string filter = ".";
  std::filesystem::path out;
  std::string command;  ///< all of it, for the report

  /// The command that measures one row again.
  std::string repro_of(const std::string& name, Precision precision, int batch) const;
};

/// Nothing where the program is done already: --help. `*exit_code` is then what it ends with: 0, or 2 after wrong
/// usage, of which one line on stderr tells. Throws Error for a device, precision or file that is not there.
std::optional<Options> parse_options(int argc, char** argv, int* exit_code);

/// Who can be asked for on a device, and why those that this build lacks are not there.
struct Libraries {
  std::vector<std::string> there;
  std::vector<std::pair<std::string, std::string>> missing;
};
Libraries libraries_of(DeviceKind device);

}  // namespace sandglass::bench
