#include "train/report/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "train/metrics.h"
#include "train/report/html.h"
#include "train/report/sections.h"

namespace sandglass {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

std::string run_cell(std::span<const RunData> runs, size_t index) {
  return plot_key(colour_class(index)) + " " + escaped(runs[index].name);
}

// Whether a run has been evaluated; one that has not is known by its last validation.
bool evaluated(const RunData& run) { return !run.evaluation.is_null(); }

std::string validation_cell(const std::map<std::string, double>& figures, const char* key) {
  const auto found = figures.find(key);
  return number_text(found == figures.end() ? std::nan("") : found->second, 3);
}

std::string mean_cell(const RunData& run, const char* key) {
  if (evaluated(run)) return figure_cell(run.evaluation["mean"], key);
  return run.validations.empty() ? "–" : validation_cell(run.validations.back().mean, key);
}

std::string au_figure_cell(const RunData& run, const std::string& au, const char* key) {
  if (evaluated(run)) return run.evaluation["aus"].contains(au) ? figure_cell(run.evaluation["aus"][au], key) : "–";
  if (run.validations.empty()) return "–";
  const auto found = run.validations.back().aus.find(au);
  return found == run.validations.back().aus.end() ? "–" : validation_cell(found->second, key);
}

std::string means_table(std::span<const RunData> runs) {
  Rows rows{{"run"}};
  for (const Figure& figure : kFigures) rows[0].push_back(figure.title);
  rows[0].push_back("pictures");
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunData& run = runs[i];
    std::vector<std::string>& row = rows.emplace_back(std::vector{run_cell(runs, i)});
    for (const Figure& figure : kFigures) row.push_back(mean_cell(run, figure.key));
    row.push_back(evaluated(run) ? fmt::format("{}", run.evaluation.value("pictures", 0)) : "last validation");
  }
  return table(rows, true);
}

std::string au_table(std::span<const RunData> runs, const Figure& figure) {
  std::set<std::string> aus;
  for (const RunData& run : runs) aus.insert(run.aus.begin(), run.aus.end());
  if (aus.empty()) return "";
  Rows rows{{"AU"}};
  for (size_t i = 0; i < runs.size(); ++i) rows[0].push_back(run_cell(runs, i));
  for (const std::string& au : aus) {
    std::vector<std::string>& row = rows.emplace_back(std::vector{escaped(au)});
    for (const RunData& run : runs) row.push_back(au_figure_cell(run, au, figure.key));
  }
  return fmt::format("<h3>{} per AU</h3>\n", figure.title) + table(rows, true);
}

std::string different_settings(std::span<const RunData> runs) {
  std::vector<std::string> keys;
  std::map<std::string, std::vector<std::string>> values;
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [key, value] : runs[i].settings) {
      const auto [entry, is_new] = values.emplace(key, std::vector<std::string>(runs.size(), "–"));
      if (is_new) keys.push_back(key);
      entry->second[i] = value;
    }
  }
  Rows rows{{"key"}};
  for (size_t i = 0; i < runs.size(); ++i) rows[0].push_back(run_cell(runs, i));
  for (const std::string& key : keys) {
    const std::vector<std::string>& all = values[key];
    if (std::all_of(all.begin(), all.end(), [&](const std::string& value) { return value == all[0]; })) continue;
    std::vector<std::string>& row = rows.emplace_back(std::vector{escaped(key)});
    for (const std::string& value : all) row.push_back(escaped(value));
  }
  return rows.size() == 1 ? "<p>All settings are the same.</p>\n" : table(rows, false);
}

std::string loss_plot(std::span<const RunData> runs) {
  std::vector<PlotPoint> all;
  double last = 1;
  for (const RunData& run : runs) {
    const std::vector<PlotPoint> points = loss_points(run);
    all.insert(all.end(), points.begin(), points.end());
    if (!points.empty()) last = std::max(last, points.back().x);
  }
  const auto [low, high] = range_of(all, 0.1, 1);
  Plot plot("Training loss, smoothed", linear_axis("step", 0, last),
            logarithmic_axis("squared error of a heatmap pixel", low, high));
  if (all.empty()) plot.nothing("no step yet");
  for (size_t i = 0; i < runs.size(); ++i)
    plot.line({runs[i].name, colour_class(i), smoothed(loss_points(runs[i])), false});
  return plot.html();
}

// The mean of a figure of each run over something.
template <typename PointsOf>
std::string mean_plot(std::span<const RunData> runs, const std::string& title, const Figure& figure, PlotAxis x,
                      PointsOf points_of) {
  std::vector<PlotPoint> all;
  for (const RunData& run : runs) {
    for (const PlotPoint& point : points_of(run)) all.push_back(point);
  }
  const auto [low, high] = range_of(all, 0, 1);
  Plot plot(title, std::move(x), figure_axis(figure, low, high));
  if (all.empty()) plot.nothing("nothing to show");
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::vector<PlotPoint> points = points_of(runs[i]);
    if (points.empty()) continue;
    plot.line({runs[i].name, colour_class(i), points, points.size() <= 40});
  }
  return plot.html();
}

std::string validation_plot(std::span<const RunData> runs, const Figure& figure) {
  double last = 1;
  for (const RunData& run : runs) {
    if (!run.validations.empty()) last = std::max(last, run.validations.back().epoch);
  }
  return mean_plot(runs, fmt::format("Mean {} on the validation set", figure.title), figure,
                   linear_axis("epoch", 0, last), [&](const RunData& run) {
                     std::vector<PlotPoint> points;
                     for (const ValidationRecord& validation : run.validations) {
                       const auto found = validation.mean.find(figure.key);
                       if (found != validation.mean.end()) points.push_back({validation.epoch, found->second});
                     }
                     return points;
                   });
}

std::string misalignment_plot(std::span<const RunData> runs, const Figure& figure) {
  std::set<double> pixels;
  const auto points_of = [&](const RunData& run) {
    std::vector<PlotPoint> points;
    for (const json& level : evaluated(run) ? run.evaluation.value("misalignment", json::array()) : json::array()) {
      const double value = json_value(level.at("mean"), figure.key);
      if (!std::isnan(value)) points.push_back({json_value(level, "pixels"), value});
    }
    return points;
  };
  for (const RunData& run : runs) {
    for (const PlotPoint& point : points_of(run)) pixels.insert(point.x);
  }
  if (pixels.empty()) return "";
  return mean_plot(runs, fmt::format("Mean {} with moved landmarks", figure.title), figure,
                   axis_with_ticks("landmarks moved by (pixels of the 256 × 256 face)", {pixels.begin(), pixels.end()}),
                   points_of);
}

}  // namespace

std::string comparison_page(std::span<const RunData> runs) {
  std::string scores = means_table(runs);
  const bool intervals = std::any_of(runs.begin(), runs.end(), [](const RunData& run) {
    return evaluated(run) && run.evaluation["mean"].contains("intervals");
  });
  if (intervals)
    scores +=
        "<p class=\"note\">Below a figure its confidence interval, by bootstrap. Runs judged on the same people may "
        "differ although "
        "their intervals overlap.</p>\n";
  scores += au_table(runs, kFigures[0]) + au_table(runs, kFigures[1]);
  std::string plots = loss_plot(runs);
  for (const Figure& figure : {kFigures[0], kFigures[1]}) plots += validation_plot(runs, figure);
  for (const Figure& figure : {kFigures[0], kFigures[1]}) plots += misalignment_plot(runs, figure);
  std::string folders;
  for (const RunData& run : runs) folders += (folders.empty() ? "" : " · ") + escaped(run.folder.string());
  return page(fmt::format("{} runs compared", runs.size()), folders,
              section("Scores", scores) + section("Settings that differ", different_settings(runs)) +
                  section("Curves", "<div class=\"plots\">\n" + plots + "</div>\n"));
}

}  // namespace sandglass
