#include <fmt/format.h>

#include <cmath>

#include "train/metrics.h"
#include "train/report/html.h"
#include "train/report/sections.h"

namespace sandglass {
namespace {

constexpr size_t kMostDots = 40;       // more would hide the line
constexpr size_t kLeastSmoothed = 80;  // fewer are as good as smooth

std::string loss_plot(const RunData& run) {
  const std::vector<PlotPoint> losses = loss_points(run);
  const auto [low, high] = range_of(losses, 0.1, 1);
  Plot plot("Training loss", linear_axis("step", 0, losses.empty() ? 1 : losses.back().x),
            logarithmic_axis("squared error of a heatmap pixel", low, high));
  if (losses.empty()) {
    plot.nothing("no step yet");
    return plot.html();
  }
  if (losses.size() < kLeastSmoothed) {
    plot.line({"", "c0", losses, false});
    return plot.html();
  }
  plot.line({"as recorded", "c0 pale", losses, false});
  plot.line({"smoothed", "c0", smoothed(losses), false});
  return plot.html();
}

// A figure of each AU and their mean over the epochs.
std::string validation_plot(const RunData& run, const Figure& figure) {
  std::vector<PlotSeries> lines;
  PlotSeries mean{"", "ink strong", {}, run.validations.size() <= kMostDots};
  std::vector<PlotPoint> all;
  for (size_t k = 0; k < run.aus.size(); ++k)
    lines.push_back({run.aus[k], colour_class(k), {}, run.validations.size() <= kMostDots});
  double last_epoch = 1;
  for (const ValidationRecord& validation : run.validations) {
    last_epoch = std::max(last_epoch, validation.epoch);
    const auto add = [&](PlotSeries& line, const std::map<std::string, double>& figures) {
      const auto found = figures.find(figure.key);
      if (found == figures.end()) return;
      line.points.push_back({validation.epoch, found->second});
      all.push_back(line.points.back());
    };
    add(mean, validation.mean);
    for (size_t k = 0; k < run.aus.size(); ++k) {
      const auto au = validation.aus.find(run.aus[k]);
      if (au != validation.aus.end()) add(lines[k], au->second);
    }
  }
  const auto [low, high] = range_of(all, 0, 1);
  Plot plot(figure.title + std::string(" on the validation set"), linear_axis("epoch", 0, last_epoch),
            figure_axis(figure, low, high));
  if (all.empty()) plot.nothing(run.validations.empty() ? "no validation" : "not defined");
  lines.push_back(mean);
  lines.back().name = "mean";
  for (PlotSeries& line : lines) {
    if (line.points.empty()) continue;
    line.name += " " + number_text(line.points.back().y, 3);
    plot.line(std::move(line));
  }
  return plot.html();
}

std::string over_steps(const RunData& run, const char* title, const char* label, double StepRecord::*value) {
  std::vector<PlotPoint> points;
  for (const StepRecord& record : run.steps) points.push_back({record.step, record.*value});
  const auto [low, high] = range_of(points, 0, 1);
  Plot plot(title, linear_axis("step", 0, points.empty() ? 1 : points.back().x), linear_axis(label, 0, high));
  if (points.empty()) plot.nothing("no step yet");
  plot.line({"", "c0", points, false});
  return plot.html();
}

}  // namespace

std::vector<PlotPoint> loss_points(const RunData& run) {
  std::vector<PlotPoint> points;
  for (const StepRecord& record : run.steps) {
    if (record.loss > 0 && std::isfinite(record.loss)) points.push_back({record.step, record.loss});
  }
  return points;
}

std::pair<double, double> range_of(const std::vector<PlotPoint>& points, double low, double high) {
  bool first = true;
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.y)) continue;
    low = first ? point.y : std::min(low, point.y);
    high = first ? point.y : std::max(high, point.y);
    first = false;
  }
  return {low, high};
}

PlotAxis figure_axis(const Figure& figure, double low, double high) {
  const bool squared = figure.of_au == &AuMetrics::mse, error = squared || figure.of_au == &AuMetrics::mae;
  return linear_axis(figure.title + std::string(squared ? " (intensity squared)"
                                                : error ? " (intensity)"
                                                        : ""),
                     error ? 0 : std::max(std::min(low, 0.0), -1.0), error ? high : 1);
}

std::string training_section(const RunData& run) {
  std::string plots = loss_plot(run);
  for (const Figure& figure : {kFigures[0], kFigures[1], kFigures[2]}) plots += validation_plot(run, figure);
  plots += over_steps(run, "Learning rate", "learning rate", &StepRecord::learning_rate);
  plots += over_steps(run, "Speed", "pictures per second", &StepRecord::images_per_s);
  return section("Training", fmt::format("<div class=\"plots\">\n{}</div>\n", plots));
}

}  // namespace sandglass
