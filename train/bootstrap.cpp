#include "train/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/error.h"
#include "engine/random.h"

namespace sandglass {
namespace {

// The value below which a share `p` of the sorted values lies, linear between neighbours (numpy's default).
double percentile(const std::vector<double>& sorted, double p) {
  const double place = p * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval interval_of(std::vector<double> values, double level) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (values.empty()) return {kNone, kNone};
  std::sort(values.begin(), values.end());
  return {percentile(values, (1 - level) / 2), percentile(values, (1 + level) / 2)};
}

}  // namespace

std::string SampleGroups::text() const {
  return fmt::format("{} {}{}", count, by_subject ? "subject" : "picture", count == 1 ? "" : "s");
}

SampleGroups sample_groups(const Manifest& manifest) {
  SampleGroups groups;
  const auto unnamed = [](const ManifestRow& row) { return row.subject.empty(); };
  const auto first = std::find_if(manifest.rows.begin(), manifest.rows.end(), unnamed);
  groups.by_subject = first == manifest.rows.end();
  std::map<std::string, int> numbers;
  for (const ManifestRow& row : manifest.rows) {
    const int next = groups.count;
    const int number = groups.by_subject ? numbers.emplace(row.subject, next).first->second : next;
    groups.of_picture.push_back(number);
    groups.count += number == next;
  }
  if (!groups.by_subject) {
    groups.remark =
        fmt::format("{} has no subject: the intervals are over pictures, and too narrow where a person is in several",
                    manifest.place(*first));
  }
  return groups;
}

Intervals bootstrap(const std::vector<std::string>& names, std::span<const float> predictions,
                    std::span<const float> labels, double threshold, const SampleGroups& groups,
                    const BootstrapOptions& options) {
  check(groups.count >= 2, "intervals need at least two {}, there is only {}",
        groups.by_subject ? "subjects" : "pictures", groups.text());
  check(options.replicates >= 2, "intervals from {} replicates: expected at least 2", options.replicates);
  check(options.level > 0 && options.level < 1, "intervals of level {}: expected between 0 and 1", options.level);
  const size_t k_count = names.size();
  const std::vector<Agreement> sums =
      sum_agreement(names, predictions, labels, threshold, groups.of_picture, groups.count);

  std::vector<Metrics> replicates;
  std::vector<int> drawn(static_cast<size_t>(groups.count));
  for (int r = 0; r < options.replicates; ++r) {
    Random random(options.seed, static_cast<uint64_t>(r));
    std::fill(drawn.begin(), drawn.end(), 0);
    for (int i = 0; i < groups.count; ++i) ++drawn[random.below(static_cast<uint32_t>(groups.count))];
    std::vector<Agreement> total(k_count);
    for (size_t group = 0; group < drawn.size(); ++group) {
      for (size_t k = 0; k < k_count; ++k) total[k].add(sums[group * k_count + k], drawn[group]);
    }
    replicates.push_back(metrics_of(names, total));
  }

  const auto interval = [&](auto value) {
    std::vector<double> values;
    for (const Metrics& replicate : replicates) values.push_back(value(replicate));
    return interval_of(std::move(values), options.level);
  };
  Intervals intervals;
  intervals.aus.resize(k_count);
  for (size_t f = 0; f < kFigures.size(); ++f) {
    const Figure& figure = kFigures[f];
    for (size_t k = 0; k < k_count; ++k)
      intervals.aus[k][f] = interval([&](const Metrics& replicate) { return replicate.aus[k].*figure.of_au; });
    intervals.mean[f] = interval([&](const Metrics& replicate) { return (replicate.*figure.of_mean).value; });
  }
  return intervals;
}

}  // namespace sandglass
