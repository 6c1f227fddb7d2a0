#include "bench/kernels/report.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "engine/file.h"

namespace sandglass::bench {
namespace {

using nlohmann::ordered_json;

constexpr double kMicro = 1e6;

std::string rate_text(double rate, double unit, const char* name) {
  const double value = rate / unit;
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, name);
}
std::string flops_text(double rate) {
  return rate < 1e12 ? rate_text(rate, 1e9, "GFLOP/s") : rate_text(rate, 1e12, "TFLOP/s");
}
std::string microseconds(double seconds) {
  const double us = seconds * kMicro;
  return fmt::format("{:.{}f}", us, us < 10 ? 2 : us < 1000 ? 1 : 0);
}

ordered_json microseconds_json(const Spread& s) {
  const auto rounded = [](double seconds) { return std::stod(fmt::format("{:.5g}", seconds * kMicro)); };
  return {{"median", rounded(s.median)},
          {"first_quartile", rounded(s.first_quartile)},
          {"third_quartile", rounded(s.third_quartile)},
          {"least", rounded(s.least)},
          {"largest", rounded(s.largest)}};
}
ordered_json ratio_json(const Spread& s) {
  const auto rounded = [](double value) { return std::stod(fmt::format("{:.4g}", value)); };
  return {{"median", rounded(s.median)},
          {"first_quartile", rounded(s.first_quartile)},
          {"third_quartile", rounded(s.third_quartile)}};
}

const char* limit_text(const Cost& cost, const Ceilings& ceilings) {
  return !ceilings.known() ? "-" : ceilings.limited_by_memory(cost) ? "memory" : "arithmetic";
}

// The fields of Google Benchmark's JSON, with ours beside them.
ordered_json row_json(const Row& row, const Ceilings& ceilings) {
  std::string variant;
  for (const std::string& option : row.line.options) variant += (variant.empty() ? "" : "/") + option;
  ordered_json json{{"name", row.name},
                    {"run_type", "iteration"},
                    {"operation", row.line.operation},
                    {"precision", name_of(row.device->precision())},
                    {"batch", row.batch ? ordered_json(row.batch) : ordered_json()},
                    {"shape", row.line.shape},
                    {"variant", variant.empty() ? "plain" : variant},
                    {"library", row.library},
                    {"times_in_inference", row.line.infer},
                    {"times_in_training_step", row.line.train},
                    {"repro", row.repro}};
  if (row.is_peer() && !row.left_out.empty()) json["left_out"] = row.left_out;
  if (!row.implementation.empty()) json["label"] = row.implementation;
  if (row.state != Row::State::measured) {
    json["error_occurred"] = true;
    json["wrong"] = row.state == Row::State::wrong;
    json["error_message"] = row.reason;
    return json;
  }
  const ordered_json time = microseconds_json(row.seconds);
  json["real_time"] = time["median"];
  json["time_unit"] = "us";
  json["iterations"] = row.samples * static_cast<size_t>(row.runs);
  json["samples"] = row.samples;
  json["disturbed_samples_left_out"] = row.disturbed;
  json["sets_of_data"] = row.sets;
  json["microseconds"] = time;
  json["bytes"] = row.cost.bytes;
  json["operations"] = row.cost.operations;
  if (ceilings.known()) {
    json["limit"] = limit_text(row.cost, ceilings);
    json["part_of_ceiling"] = std::stod(fmt::format("{:.4g}", row.part_of_ceiling(ceilings)));
  }
  if (row.is_peer()) json["sandglass_to_peer"] = ratio_json(row.ratio);
  return json;
}

std::string work_rate(const Row& row, const Ceilings& ceilings) {
  const bool memory =
      ceilings.known() ? ceilings.limited_by_memory(row.cost) : row.cost.operations < 10 * row.cost.bytes;
  const double seconds = row.seconds.median;
  return memory ? rate_text(row.cost.bytes / seconds, 1e9, "GB/s") : flops_text(row.cost.operations / seconds);
}

size_t width_of_names(const std::vector<Row*>& rows) {
  size_t width = 0;
  for (const Row* row : rows) width = std::max(width, row->name.size());
  return width;
}

}  // namespace

Report::Report(const Options& options, const std::vector<Row*>& rows, CeilingsByPrecision ceilings,
               std::vector<std::pair<std::string, std::string>> skipped)
    : options_(options),
      ceilings_(std::move(ceilings)),
      skipped_(std::move(skipped)),
      context_(describe_machine(*rows.front()->device)),
      name_width_(width_of_names(rows)) {
  context_["command"] = options_.command;
  context_["cache"] = options_.cold ? "cold: buffers of at least twice the last cache take turns"
                                    : "warm: the same buffers in each run";
  const bool given = options_.gigabytes_per_s > 0 || options_.teraflops_per_s > 0;
  context_["ceilings_are"] = given ? "given" : "measured";
  for (const auto& [precision, c] : ceilings_) {
    if (!c.known()) continue;
    context_["ceilings"][name_of(precision)] = {
        {"gigabytes_per_s", std::stod(fmt::format("{:.4g}", c.bytes_per_s / 1e9))},
        {"teraflops_per_s", std::stod(fmt::format("{:.4g}", c.operations_per_s / 1e12))}};
    fmt::print("ceilings, {}: {} moved, {} of a matrix product\n", name_of(precision),
               rate_text(c.bytes_per_s, 1e9, "GB/s"), flops_text(c.operations_per_s));
  }
  write();  // so that a file that cannot be written is told of at once
  fmt::print("{}; caches {}\n", rows.front()->device->description(), options_.cold ? "cold" : "warm");
  fmt::print("{:<{}} {:>10} {:>19} {:>13} {:>8} {:<10} {:>6}  {}\n", "", name_width_, "median us", "least..largest",
             "rate", "ceiling", "limit", "ratio", "computed by");
}

void Report::print(const Row& row) const {
  if (row.state != Row::State::measured) {
    fmt::print("{:<{}} {}\n", row.name, name_width_, row.reason);
    return;
  }
  const Ceilings& ceilings = ceilings_.at(row.device->precision());
  const std::string ceiling =
      ceilings.known() ? fmt::format("{:.0f} %", 100 * row.part_of_ceiling(ceilings)) : std::string("-");
  const std::string by = row.implementation + (row.left_out.empty() ? "" : ", " + row.left_out);
  fmt::print("{:<{}} {:>10} {:>19} {:>13} {:>8} {:<10} {:>6}  {}\n", row.name, name_width_,
             microseconds(row.seconds.median),
             microseconds(row.seconds.least) + ".." + microseconds(row.seconds.largest), work_rate(row, ceilings),
             ceiling, limit_text(row.cost, ceilings), row.is_peer() ? fmt::format("{:.2f}", row.ratio.median) : "", by);
}

void Report::add(const Row& row) {
  done_.push_back(&row);
  print(row);
  if (options_.repro) fmt::print("  {}\n", row.repro);
  std::fflush(stdout);
  constexpr std::chrono::seconds kBetweenWrites(1);
  if (std::chrono::steady_clock::now() - written_ > kBetweenWrites) write();
}

void Report::write() {
  if (options_.out.empty()) return;
  written_ = std::chrono::steady_clock::now();
  ordered_json json{{"context", context_}, {"benchmarks", ordered_json::array()}};
  for (const Row* row : done_) json["benchmarks"].push_back(row_json(*row, ceilings_.at(row->device->precision())));
  json["left_out"] = ordered_json::object();
  for (const auto& [what, why] : skipped_) json["left_out"][what] = why;
  // A row a line: the file is read by people, too, and kept in the repository.
  std::string text = "{\n\"context\": " + json["context"].dump(1) + ",\n\"left_out\": " + json["left_out"].dump(1) +
                     ",\n\"benchmarks\": [\n";
  for (size_t i = 0; i < json["benchmarks"].size(); ++i)
    text += json["benchmarks"][i].dump() + (i + 1 < json["benchmarks"].size() ? ",\n" : "\n");
  write_file(options_.out, text + "]\n}\n");
}

int Report::finish() {
  write();
  size_t measured = 0, wrong = 0;
  for (const Row* row : done_) {
    measured += row->state == Row::State::measured;
    wrong += row->state == Row::State::wrong;
  }
  fmt::print("\n{} rows measured", measured);
  if (wrong) fmt::print(", {} with wrong results", wrong);
  fmt::print("\n");
  for (const Row* row : done_)
    if (row->state == Row::State::wrong) fmt::print("wrong: {}: {}\n", row->name, row->reason);
  for (const auto& [what, why] : skipped_) fmt::print("left out: {}: {}\n", what, why);
  for (const Row* row : done_)
    if (row->state == Row::State::skipped) fmt::print("left out: {}: {}\n", row->name, row->reason);
  return wrong || !measured ? 1 : 0;
}

void print_least_times(const std::vector<Row*>& rows, const CeilingsByPrecision& ceilings) {
  const auto least = [&ceilings](const Row& row) {
    const Ceilings& c = ceilings.at(row.device->precision());
    return c.known() ? row.cost.least_seconds(c.bytes_per_s, c.operations_per_s) : 0;
  };
  const size_t width = width_of_names(rows);
  fmt::print("{:<{}} {:>6} {:>6} {:>11} {:>11} {:>11} {}\n", "", width, "infer", "train", "MB", "GFLOP", "least us",
             "limit");
  for (const Row* row : rows) {
    const Ceilings& c = ceilings.at(row->device->precision());
    fmt::print("{:<{}} {:>6} {:>6} {:>11.3f} {:>11.4f} {:>11.2f} {}\n", row->name, width, row->line.infer,
               row->line.train, row->cost.bytes / 1e6, row->cost.operations / 1e9, least(*row) * kMicro,
               limit_text(row->cost, c));
  }
  struct Sum {
    int times = 0;
    Cost cost;
    double seconds = 0;
  };
  const auto print_sums = [&](const char* title, int Line::*times) {
    std::map<std::tuple<Precision, int, std::string>, Sum> sums;  // of an operation, and of all: ""
    std::set<int> batches;
    for (const Row* row : rows)
      if (row->batch) batches.insert(row->batch);
    for (const Row* row : rows)
      for (const int batch : batches) {
        const int n = row->line.*times;
        if (row->is_peer() || (row->batch && row->batch != batch)) continue;
        for (const std::string& operation : {row->line.operation, std::string()}) {
          Sum& sum = sums[{row->device->precision(), batch, operation}];
          sum.times += n;
          sum.cost += {row->cost.bytes * n, row->cost.operations * n};
          sum.seconds += least(*row) * n;
        }
      }
    for (const auto& [key, sum] : sums) {
      const auto& [precision, batch, operation] = key;
      if (sum.times == 0) continue;
      if (operation.empty())
        fmt::print("\n{}, batch {}, {}:\n{:<30} {:>6} {:>11} {:>11} {:>11}\n", title, batch, name_of(precision), "",
                   "times", "MB", "GFLOP", "least us");
      fmt::print("{:<30} {:>6} {:>11.1f} {:>11.2f} {:>11.1f}\n", operation.empty() ? "all" : operation, sum.times,
                 sum.cost.bytes / 1e6, sum.cost.operations / 1e9, sum.seconds * kMicro);
    }
  };
  print_sums("Inference", &Line::infer);
  print_sums("Training step", &Line::train);
}

}  // namespace sandglass::bench
