#include "bench/kernels/rows.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bench/kernels/devices.h"

namespace sandglass::bench {
namespace {

constexpr int kMostSets = 1 << 15;

std::string name_of_row(const Line& line, Precision precision, const std::string& library) {
  std::string name = fmt::format("{}/{}/{}", line.operation, name_of(precision), line.shape);
  for (const std::string& option : line.options) name += "/" + option;
  return name + (line.options.empty() ? "/plain/" : "/") + library;
}

bool asked_for(const Options& options, const std::string& library) {
  return options.libraries.empty() ||
         std::find(options.libraries.begin(), options.libraries.end(), library) != options.libraries.end();
}

// With `--cold` so many that the data of all together is twice the last cache.
int sets_of_data(const Row& row, const Options& options) {
  if (!options.cold) return 1;
  const double cache = static_cast<double>(last_level_cache_bytes(*row.device));
  return std::clamp(static_cast<int>(std::ceil(2 * cache / row.task->cost.bytes)) + 1, 2, kMostSets);
}

}  // namespace

double Row::part_of_ceiling(const Ceilings& ceilings) const {
  if (!ceilings.known() || seconds.median <= 0) return 0;
  return cost.least_seconds(ceilings.bytes_per_s, ceilings.operations_per_s) / seconds.median;
}

std::deque<Row> make_rows(const Options& options, std::vector<std::pair<std::string, std::string>>& skipped) {
  std::vector<Line> lines = read_lines(options.shapes);
  add_plain_convolutions(lines);
  const Libraries libraries = libraries_of(options.device);
  for (const auto& [library, reason] : libraries.missing)
    if (asked_for(options, library)) skipped.push_back({library, reason});
  for (const std::string& library : options.libraries)
    if (std::find(libraries.there.begin(), libraries.there.end(), library) == libraries.there.end() &&
        std::none_of(libraries.missing.begin(), libraries.missing.end(),
                     [&](const auto& missing) { return missing.first == library; }))
      skipped.push_back({library, fmt::format("it is not on device '{}' of this build", name_of(options.device))});

  std::deque<Row> rows;
  std::set<std::string> names;  // shapes without a batch come once, and so do all that are the same with --small
  const auto add_rows = [&](Device& device, const Line& line, int batch) {
    const auto operation = operations().find(line.operation);
    check(operation != operations().end(), "no such operation is measured here");
    const auto task = std::make_shared<Task>(operation->second(device, options.small ? small(line) : line, batch));
    for (const auto& [library, left_out] : task->libraries) {
      if (!asked_for(options, library)) continue;
      Row row;
      row.line = parse_line(task->text);
      row.line.infer = line.infer;
      row.line.train = line.train;
      row.name = name_of_row(row.line, device.precision(), library);
      if (!names.insert(row.name).second) continue;
      row.library = library;
      row.left_out = left_out;
      row.batch = has_batch(row.line) ? batch : 0;
      row.device = &device;
      row.task = task;
      row.cost = task->cost;
      row.repro = options.repro_of(row.name, device.precision(), batch);
      rows.push_back(row);
    }
  };
  for (const Precision precision : options.precisions) {
    Device* device = nullptr;
    try {
      device = &shared_device(options.device, {precision, ConvLibrary::hand});
    } catch (const Error& error) {
      skipped.push_back({name_of(precision), error.what()});
      continue;
    }
    for (const int batch : options.batches)
      for (const Line& line : lines) try {
          add_rows(*device, line, batch);
        } catch (const Error& error) {
          if (names.insert(line.text()).second) skipped.push_back({line.text(), error.what()});
        }
  }
  check(!rows.empty(), "there is nothing to measure: {}",
        skipped.empty() ? "no operation is asked for" : skipped[0].first + ": " + skipped[0].second);
  return rows;
}

void measure(Row& row, const Options& options) try {
  const int least_samples = options.device == DeviceKind::simt ? 2 : 5;
  row.sets = sets_of_data(row, options);
  std::vector<std::string> libraries{kSandglass};
  if (row.is_peer()) libraries.push_back(row.library);
  const auto contenders = row.task->make(libraries, row.sets);
  Contender& subject = *contenders.back();
  row.implementation = subject.implementation();
  row.cost = subject.cost();
  std::vector<Contender*> all;
  for (size_t i = 0; i < contenders.size(); ++i) {
    if (i == 0 && row.task->sandglass_is_right) {  // data are the same in each of its rows
      all.push_back(contenders[i].get());
      continue;
    }
    const std::string wrong = contenders[i]->wrong();
    if (i == 0 && wrong.empty()) row.task->sandglass_is_right = true;
    if (!wrong.empty()) {
      row.state = Row::State::wrong;
      row.reason = fmt::format("wrong result of {}: {}", libraries[i], wrong);
      return;
    }
    all.push_back(contenders[i].get());
  }
  const std::vector<Times> times = time_by_turns(*row.device, all, row.sets, options.seconds, least_samples);
  row.seconds = spread(times.back().seconds);
  row.samples = times.back().seconds.size();
  row.runs = times.back().runs;
  row.disturbed = times.back().left_out;
  if (row.is_peer()) {
    std::vector<double> ratios;
    for (size_t i = 0; i < row.samples; ++i) ratios.push_back(times[0].seconds[i] / times[1].seconds[i]);
    row.ratio = spread(ratios);
  }
  row.state = Row::State::measured;
} catch (const std::exception& error) {
  row.state = Row::State::skipped;
  row.reason = error.what();
}

}  // namespace sandglass::bench
