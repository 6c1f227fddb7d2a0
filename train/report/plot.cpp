#include "train/report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/report/html.h"

namespace sandglass {
namespace {

// Of the picture, in its own units: a phone shows it at about this width in pixels.
constexpr double kWidth = 400, kHeight = 260, kLeft = 62, kRight = 388, kTop = 12, kBottom = 212;

// 1, 2 or 5 times a power of ten: about `count` steps from low to high.
double round_step(double low, double high, int count) {
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

// Ends a logarithmic axis at the ticks next to the data.
void tighten(PlotAxis& axis, double low, double high) {
  double new_low = axis.low, new_high = axis.high;
  for (const double tick : axis.ticks) {
    if (tick <= low) new_low = std::max(new_low, tick);
    if (tick >= high) new_high = std::min(new_high, tick);
  }
  if (!(new_low < new_high)) return;
  axis.low = new_low;
  axis.high = new_high;
  std::erase_if(axis.ticks, [&](double tick) { return tick < new_low || tick > new_high; });
}

std::string tick_text(double tick) {
  const std::string text = fmt::format("{:.6g}", std::abs(tick) < 1e-12 ? 0 : std::abs(tick));
  return tick < -1e-12 ? "−" + text : text;
}

bool drawable(const PlotPoint& point, const PlotAxis& x, const PlotAxis& y) {
  return std::isfinite(x.position(point.x)) && std::isfinite(y.position(point.y));
}

}  // namespace

double PlotAxis::position(double value) const {
  if (logarithmic) return std::log10(value / low) / std::log10(high / low);
  return (value - low) / (high - low);
}

PlotAxis linear_axis(std::string label, double low, double high) {
  constexpr double kMost = 1e300;  // beyond, ticks would be infinite and never end
  low = std::clamp(low, -kMost, kMost), high = std::clamp(high, -kMost, kMost);
  if (!(high - low > 1 / kMost)) high = low + 1;
  const double step = round_step(low, high, 6);
  PlotAxis axis{
      std::move(label), std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, {}, false};
  for (int i = 0; axis.low + i * step <= axis.high + step / 2; ++i) axis.ticks.push_back(axis.low + i * step);
  return axis;
}

PlotAxis logarithmic_axis(std::string label, double low, double high) {
  low = std::clamp(low, 1e-300, 1e300), high = std::clamp(high, 1e-300, 1e300);
  PlotAxis axis{
      std::move(label), std::pow(10, std::floor(std::log10(low))), std::pow(10, std::ceil(std::log10(high))), {}, true};
  if (!(axis.low < axis.high)) axis.high = 10 * axis.low;
  const bool few_decades = axis.high / axis.low < 1500;
  for (double decade = axis.low; decade <= axis.high * 1.01; decade *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor == 1 || (few_decades && factor * decade < axis.high)) axis.ticks.push_back(factor * decade);
    }
  }
  tighten(axis, low, high);
  return axis;
}

PlotAxis axis_with_ticks(std::string label, std::vector<double> ticks) {
  std::sort(ticks.begin(), ticks.end());
  PlotAxis axis{std::move(label), ticks.front(), ticks.back(), ticks, false};
  if (!(axis.low < axis.high)) axis.high = axis.low + 1;
  return axis;
}

PlotPoint Plot::at(PlotPoint data) const {
  // What lies beyond an axis is drawn at its end.
  const auto within = [](double position) { return std::clamp(position, -0.02, 1.02); };
  return {kLeft + within(x_.position(data.x)) * (kRight - kLeft),
          kBottom - within(y_.position(data.y)) * (kBottom - kTop)};
}

void Plot::line(PlotSeries series) {
  std::string path, dots;
  for (const PlotPoint& point : series.points) {
    if (!drawable(point, x_, y_)) continue;
    const PlotPoint p = at(point);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", p.x, p.y);
    if (!series.dots) continue;
    dots +=
        fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{} {:.6g}: {}</title></circle>",
                    series.style, p.x, p.y, escaped(x_.label), point.x, number_text(point.y, 3));
  }
  if (!path.empty()) marks_ += fmt::format("<path class=\"series {}\" d=\"{}\"/>{}\n", series.style, path, dots);
  if (series.name.empty()) return;
  series.points.clear();
  legend_.push_back(std::move(series));
}

void Plot::cloud(const std::string& style, const std::vector<PlotPoint>& points) {
  std::string path;
  for (const PlotPoint& point : points) {
    if (!drawable(point, x_, y_)) continue;
    const PlotPoint p = at(point);
    path += fmt::format("M{:.1f} {:.1f}h0", p.x, p.y);
  }
  marks_ += fmt::format("<path class=\"cloud {}\" d=\"{}\"/>\n", style, path);
}

void Plot::diagonal() {
  const double low = std::max(x_.low, y_.low), high = std::min(x_.high, y_.high);
  const PlotPoint a = at({low, low}), b = at({high, high});
  marks_ += fmt::format("<path class=\"diagonal\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", a.x, a.y, b.x, b.y);
}

void Plot::nothing(const std::string& why) {
  marks_ += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                        (kLeft + kRight) / 2, (kTop + kBottom) / 2, escaped(why));
}

std::string Plot::frame() const {
  std::string out;
  for (const double tick : y_.ticks) {
    const double y = at({x_.low, tick}).y;
    out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, y, kRight);
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 6, y + 4,
                       tick_text(tick));
  }
  for (const double tick : x_.ticks) {
    const double x = at({tick, y_.low}).x;
    out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}v4\"/>", x, kBottom);
    out += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", x,
                       kBottom + 17, tick_text(tick));
  }
  out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, kBottom, kRight);
  out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", (kLeft + kRight) / 2,
                     kBottom + 37, escaped(x_.label));
  out += fmt::format("<text transform=\"translate(12 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     (kTop + kBottom) / 2, escaped(y_.label));
  return out;
}

std::string Plot::html() const {
  std::string out = fmt::format("<figure>\n<figcaption>{}{}</figcaption>\n", escaped(title_),
                                note_.empty() ? "" : fmt::format(" <small>{}</small>", escaped(note_)));
  out += fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {} against {}\">\n{}{}</svg>\n", kWidth,
                     kHeight, escaped(title_), escaped(y_.label), escaped(x_.label), frame(), marks_);
  if (!legend_.empty()) {
    out += "<ul class=\"legend\">\n";
    for (const PlotSeries& series : legend_)
      out += fmt::format("<li>{}{}</li>\n", plot_key(series.style), escaped(series.name));
    out += "</ul>\n";
  }
  return out + "</figure>\n";
}

std::string plot_key(const std::string& style) {
  return fmt::format(
      "<svg class=\"key\" viewBox=\"0 0 22 8\" aria-hidden=\"true\"><path class=\"series {}\" d=\"M1 4H21\"/></svg>",
      style);
}

std::vector<PlotPoint> smoothed(const std::vector<PlotPoint>& points) {
  const int count = static_cast<int>(points.size()), half = count / 80;
  std::vector<double> sums{0};  // of the logarithms before each point
  for (const PlotPoint& point : points) sums.push_back(sums.back() + std::log(point.y));
  std::vector<PlotPoint> out;
  for (int i = 0; i < count; ++i) {
    const int reach = std::min({half, i, count - 1 - i});
    const double sum = sums[static_cast<size_t>(i + reach + 1)] - sums[static_cast<size_t>(i - reach)];
    out.push_back({points[static_cast<size_t>(i)].x, std::exp(sum / (2 * reach + 1))});
  }
  return out;
}

}  // namespace sandglass
