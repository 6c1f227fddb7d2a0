#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/metrics.h"
#include "train/report/html.h"
#include "train/report/sections.h"

namespace sandglass {
namespace {

using nlohmann::json;

constexpr size_t kMostScatterPoints = 1500;

// The evaluation's AUs with their place among the run's, which gives them their colour.
struct AuEntry {
  std::string name;
  size_t map, colour;
};
std::vector<AuEntry> entries_of(const RunData& run) {
  std::vector<AuEntry> entries;
  const json& names = run.evaluation["au_names"];
  for (size_t k = 0; k < names.size(); ++k) {
    const std::string name = names[k];
    const auto found = std::find(run.aus.begin(), run.aus.end(), name);
    entries.push_back({name, k, static_cast<size_t>(found - run.aus.begin())});
  }
  return entries;
}

std::string au_cell(const AuEntry& au) { return plot_key(colour_class(au.colour)) + " " + escaped(au.name); }

std::string score_table(const RunData& run) {
  const json& evaluation = run.evaluation;
  std::vector<std::vector<std::string>> rows{{"AU", "pictures"}};
  for (const Figure& figure : kFigures) rows[0].push_back(figure.title);
  for (const AuEntry& au : entries_of(run)) {
    const json& figures = evaluation["aus"][au.name];
    std::vector<std::string>& row =
        rows.emplace_back(std::vector{au_cell(au), std::to_string(figures["count"].get<int>())});
    for (const Figure& figure : kFigures) row.push_back(figure_cell(figures, figure.key));
  }
  std::vector<std::string>& mean = rows.emplace_back(std::vector<std::string>{"mean", ""});
  for (const Figure& figure : kFigures) mean.push_back(figure_cell(evaluation["mean"], figure.key));
  return table(rows, true);
}

std::string localisation_table(const RunData& run) {
  std::vector<std::vector<std::string>> rows{{"AU", "pictures", "mean, map px", "median, map px", "mean, face px"}};
  for (const AuEntry& au : entries_of(run)) {
    const json& figures = run.evaluation["aus"][au.name];
    if (!figures.contains("localisation")) continue;
    const json& place = figures["localisation"];
    rows.push_back({au_cell(au), fmt::format("{:.0f}", json_value(place, "count")),
                    number_text(json_value(place, "mean_map_px"), 2),
                    number_text(json_value(place, "median_map_px"), 2),
                    number_text(json_value(place, "mean_face_px"), 1)});
  }
  if (rows.size() == 1) return "";
  rows.push_back({"mean", "", number_text(json_value(run.evaluation["mean"], "localisation_map_px"), 2), "",
                  number_text(json_value(run.evaluation["mean"], "localisation_face_px"), 1)});
  return "<h3>Where the heatmaps peak</h3>\n<p class=\"note\">From the peak to the nearest of the AU's points, in "
         "pictures "
         "coded 1 or more; pixels of the 64 × 64 map and of the 256 × 256 face.</p>\n" +
         table(rows, true);
}

std::string intervals_note(const json& evaluation) {
  const json& intervals = evaluation["intervals"];
  const std::string over = intervals["over"];
  if (intervals.value("replicates", 0) > 0)
    return fmt::format("Below each figure its {:.4g} % confidence interval: {} bootstrap samples of {}.",
                       100 * intervals.value("level", 0.95), intervals["replicates"].get<int>(), escaped(over));
  return over.empty() ? "" : escaped(fmt::format("No intervals: {}.", over));
}

std::string misalignment_plot(const RunData& run, const Figure& figure) {
  const json& levels = run.evaluation["misalignment"];
  std::vector<double> pixels;
  for (const json& level : levels) pixels.push_back(json_value(level, "pixels"));
  std::vector<PlotPoint> all;
  std::vector<PlotSeries> lines;
  const auto add = [&](const std::string& name, const std::string& style, auto figures_of) {
    PlotSeries& line = lines.emplace_back(PlotSeries{name, style, {}, true});
    for (const json& level : levels) {
      const double value = json_value(figures_of(level), figure.key);
      if (std::isnan(value)) continue;
      line.points.push_back({json_value(level, "pixels"), value});
      all.push_back(line.points.back());
    }
  };
  for (const AuEntry& au : entries_of(run))
    add(au.name, colour_class(au.colour), [&](const json& level) { return level.at("aus").at(au.name); });
  add("mean", "ink strong", [](const json& level) { return level.at("mean"); });
  const auto [low, high] = range_of(all, 0, 1);
  Plot plot(figure.title + std::string(" with moved landmarks"),
            axis_with_ticks("landmarks moved by (pixels of the 256 × 256 face)", pixels),
            figure_axis(figure, low, high));
  for (PlotSeries& line : lines) plot.line(std::move(line));
  return plot.html();
}

std::string scatter_plot(const RunData& run, const AuEntry& au) {
  std::vector<PlotPoint> points;
  std::array<std::pair<double, int>, 6> levels{};  // sum and number of predictions by rounded label
  for (const json& picture : run.evaluation["predictions"]) {
    const json &label = picture["labels"][au.map], &prediction = picture["predictions"][au.map];
    if (label.is_null() || prediction.is_null()) continue;
    const double x = label, y = std::clamp(prediction.get<double>(), 0.0, 5.0);
    // Whole labels are spread a little, the same way each time, so that equal ones do not hide each other.
    const double spread = std::fmod(static_cast<double>(points.size()) * 0.6180339887, 1) - 0.5;
    points.push_back({x == std::round(x) ? x + 0.36 * spread : x, y});
    auto& [sum, count] = levels[static_cast<size_t>(std::clamp(std::lround(x), 0L, 5L))];
    sum += y;
    ++count;
  }
  std::vector<PlotPoint> shown;
  const size_t count = std::min(points.size(), kMostScatterPoints);
  for (size_t i = 0; i < count; ++i) shown.push_back(points[i * points.size() / count]);

  PlotAxis x = axis_with_ticks("coded intensity", {0, 1, 2, 3, 4, 5});
  x.low = -0.25, x.high = 5.25;
  Plot plot(au.name, x, axis_with_ticks("predicted intensity", {0, 1, 2, 3, 4, 5}));
  if (count < points.size()) plot.note(fmt::format("{} of {} pictures", count, points.size()));
  if (points.empty()) plot.nothing("not coded");
  plot.diagonal();
  plot.cloud(colour_class(au.colour), shown);
  PlotSeries means{"mean prediction", "ink", {}, true};
  for (size_t level = 0; level < levels.size(); ++level) {
    if (levels[level].second > 0)
      means.points.push_back({static_cast<double>(level), levels[level].first / levels[level].second});
  }
  plot.line(std::move(means));
  return plot.html();
}

std::string face_figure(const json& face) {
  const std::string subject = face.value("subject", "");
  std::string out = fmt::format("<figure>\n<figcaption>{}{}</figcaption>\n<div class=\"panels\">\n",
                                escaped(face.at("image").get<std::string>()),
                                subject.empty() ? "" : fmt::format(" <small>{}</small>", escaped(subject)));
  for (const json& au : face.at("aus")) {
    const std::string name = au.at("au");
    const json& label = au.at("label");
    out += fmt::format(
        "<div><img src=\"{}\" width=\"160\" height=\"160\" alt=\"heatmap of {}\"><b>{}</b> {}<br>coded {}</div>\n",
        escaped(au.at("panel").get<std::string>()), escaped(name), escaped(name),
        number_text(json_value(au, "prediction"), 1),
        label.is_null() ? "–" : fmt::format("{:.3g}", label.get<double>()));
  }
  return out + "</div>\n</figure>\n";
}

}  // namespace

double json_value(const json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && found != json.end() && found->is_number() ? found->get<double>() : std::nan("");
}

std::string figure_cell(const json& figures, const char* key) {
  std::string cell = number_text(json_value(figures, key), 3);
  if (!figures.contains("intervals")) return cell;
  const json& ends = figures["intervals"].at(key);
  if (ends.at(0).is_null() || ends.at(1).is_null()) return cell;
  return cell + fmt::format(" <small>[{}, {}]</small>", number_text(ends[0], 2), number_text(ends[1], 2));
}

std::string scores_section(const RunData& run) {
  if (run.evaluation.is_null()) return "";
  const json& evaluation = run.evaluation;
  std::string note = fmt::format("{} pictures of {}", evaluation.value("pictures", 0),
                                 escaped(evaluation.value("data", "the validation set")));
  if (evaluation.value("left_out", 0) > 0)
    note += fmt::format(", {} left out because no face was found in them or they cannot be read",
                        evaluation["left_out"].get<int>());
  note += fmt::format("; weights {}. ", escaped(evaluation.value("weights", "unknown")));
  note += intervals_note(evaluation);
  note += fmt::format(" F1 takes an AU as present from intensity {:.3g} on.", json_value(evaluation, "threshold"));
  return section("Scores",
                 fmt::format("<p class=\"note\">{}</p>\n", note) + score_table(run) + localisation_table(run));
}

std::string misalignment_section(const RunData& run) {
  if (run.evaluation.is_null() || !run.evaluation.contains("misalignment") || run.evaluation["misalignment"].empty())
    return "";
  std::string plots;
  for (const Figure& figure : {kFigures[0], kFigures[1]}) plots += misalignment_plot(run, figure);
  return section(
      "Robustness to misalignment",
      fmt::format(
          "<p class=\"note\">The three landmarks of the registration are moved, each in a random direction, before the "
          "face is registered; {:.0f} pictures.</p>\n<div class=\"plots\">\n{}</div>\n",
          json_value(run.evaluation["misalignment"][0], "pictures"), plots));
}

std::string scatter_section(const RunData& run) {
  if (run.evaluation.is_null()) return "";
  std::string plots;
  for (const AuEntry& au : entries_of(run)) plots += scatter_plot(run, au);
  return section(
      "Predicted against coded intensity",
      "<p class=\"note\">A dot is a picture; whole codes are spread sideways so that dots do not hide each other. The "
      "dotted line is agreement.</p>\n<div class=\"plots\">\n" +
          plots + "</div>\n");
}

std::string faces_section(const RunData& run) {
  if (run.evaluation.is_null() || !run.evaluation.contains("faces")) return "";
  std::string best, worst;
  for (const json& face : run.evaluation["faces"]) (face.at("kind") == "best" ? best : worst) += face_figure(face);
  if (best.empty() && worst.empty()) return "";
  return section(
      "Faces",
      "<p class=\"note\">Registered faces in grey with each AU's heatmap over them, on one scale from 0 to 5; a cross "
      "marks the peak. Behind an AU's name its predicted intensity. At most one picture a subject.</p>\n"
      "<h3>Smallest errors, with an AU that is present</h3>\n<div class=\"faces\">\n" +
          best + "</div>\n<h3>Largest errors</h3>\n<div class=\"faces\">\n" + worst + "</div>\n");
}

}  // namespace sandglass
