// Plots as inline SVG, drawn with the classes of the page's style sheet.
#pragma once

#include <string>
#include <vector>

#include "train/bootstrap.h"

namespace sandglass {

struct PlotAxis {
  std::string label;  ///< with the unit
  double low = 0, high = 1;
  std::vector<double> ticks;
  bool logarithmic = false;

  /// 0 at low, 1 at high.
  double position(double value) const;
};
/// Axes with round ticks that hold the range from `low` to `high`.
PlotAxis linear_axis(std::string label, double low, double high);
/// Positive values.
PlotAxis logarithmic_axis(std::string label, double low, double high);
/// The ticks are these.
PlotAxis axis_with_ticks(std::string label, std::vector<double> ticks);

struct PlotPoint {
  double x = 0, y = 0;
};

/// A line of a plot. Points that are not finite are left out.
struct PlotSeries {
  std::string name;   ///< in the legend, with a value if one is wanted; empty: not in it
  std::string style;  ///< classes: colour_class(...), "ink", "strong", "pale"
  std::vector<PlotPoint> points;
  bool dots = false;  ///< mark each point; the mouse over it shows the values
};

class Plot {
 public:
  Plot(std::string title, PlotAxis x, PlotAxis y) : title_(std::move(title)), x_(std::move(x)), y_(std::move(y)) {}

  void line(PlotSeries series);
  /// Separate, half-transparent dots.
  void cloud(const std::string& style, const std::vector<PlotPoint>& points);
  /// The line y = x.
  void diagonal();
  /// Small text below the title.
  void note(std::string text) { note_ = std::move(text); }
  /// A sentence instead of data.
  void nothing(const std::string& why);

  /// The figure with title, picture and legend.
  std::string html() const;

 private:
  PlotPoint at(PlotPoint data) const;
  std::string frame() const;

  std::string title_, note_;
  PlotAxis x_, y_;
  std::string marks_;
  std::vector<PlotSeries> legend_;  // without points
};

/// A short piece of line in a series' style, for legends and tables.
std::string plot_key(const std::string& style);

/// The line of a series' points, smoothed: a centred mean of logarithms over about a fortieth of it.
std::vector<PlotPoint> smoothed(const std::vector<PlotPoint>& points);

}  // namespace sandglass
