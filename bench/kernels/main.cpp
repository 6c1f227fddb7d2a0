// sandglass_bench: every operation of a network by itself, checked and then timed, beside other libraries on the same
// data. See --help; docs/performance.md has results.
#include <regex>

#include "bench/kernels/options.h"
#include "bench/kernels/report.h"

namespace sandglass::bench {
namespace {

// Of the precisions that some row has.
CeilingsByPrecision ceilings_of(const std::vector<Row*>& rows, const Options& options) {
  CeilingsByPrecision all;
  const bool given = options.gigabytes_per_s > 0 && options.teraflops_per_s > 0;
  for (const Row* row : rows) {
    const Precision precision = row->device->precision();
    if (all.contains(precision)) continue;
    Ceilings ceilings;
    if (!given) ceilings = measure_ceilings(*row->device);
    if (options.gigabytes_per_s > 0) ceilings.bytes_per_s = options.gigabytes_per_s * 1e9;
    if (options.teraflops_per_s > 0) ceilings.operations_per_s = options.teraflops_per_s * 1e12;
    all[precision] = ceilings;
  }
  return all;
}

// The rows whose names match --benchmark_filter; with a - before it, those that do not.
std::vector<Row*> chosen(std::deque<Row>& rows, std::string filter) {
  const bool others = filter.starts_with("-");
  if (others) filter.erase(0, 1);
  const std::regex pattern(filter, std::regex::optimize);
  std::vector<Row*> chosen;
  for (Row& row : rows)
    if (std::regex_search(row.name, pattern) != others) chosen.push_back(&row);
  return chosen;
}

int run(int argc, char** argv) {
  int exit_code = 0;
  const std::optional<Options> parsed = parse_options(argc, argv, &exit_code);
  if (!parsed) return exit_code;
  const Options& options = *parsed;
  std::vector<std::pair<std::string, std::string>> skipped;
  std::deque<Row> rows = make_rows(options, skipped);
  const std::vector<Row*> asked = chosen(rows, options.filter);
  check(!asked.empty(), "no row matches --benchmark_filter {}; --benchmark_list_tests prints their names",
        options.filter);
  if (options.names) {
    for (const Row* row : asked) fmt::print("{}\n", row->name);
    return 0;
  }
  if (options.list) {
    print_least_times(asked, ceilings_of(asked, options));
    return 0;
  }
  Report report(options, asked, ceilings_of(asked, options), skipped);
  for (Row* row : asked) {
    measure(*row, options);
    report.add(*row);
  }
  return report.finish();
}

}  // namespace
}  // namespace sandglass::bench

int main(int argc, char** argv) {
  try {
    return sandglass::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "sandglass_bench: error: {}\n", sandglass::one_line(error.what()));
    return 1;
  }
}
