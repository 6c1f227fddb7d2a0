#include "train/curve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/error.h"
#include "engine/file.h"

namespace sandglass {
namespace {

constexpr double kWidth = 960, kHeight = 380;
constexpr const char* kInk = "#1f2933";
constexpr const char* kGrey = "#7b8794";
constexpr const char* kGrid = "#e4e7eb";
constexpr const char* kLoss = "#0b69a3";
constexpr const char* kLossPale = "#a9d3ee";
// Okabe and Ito's colours, which people with any colour vision can tell apart, without black and yellow.
constexpr std::array<const char*, 6> kAuColours = {"#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"};

struct Place {
  double x = 0, y = 0;
};
using Line = std::vector<Place>;

struct Legend {
  std::string text, colour;
  double stroke = 1;
};

struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks;
  bool logarithmic = false;
  double position(double value) const {
    if (logarithmic) return std::log10(value / low) / std::log10(high / low);
    return (value - low) / (high - low);
  }
};

// 1, 2 or 5 times a power of ten: about `count` steps from low to high.
double round_step(double low, double high, int count) {
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

Axis linear_axis(double low, double high) {
  if (!(low < high)) high = low + 1;
  const double step = round_step(low, high, 5);
  Axis axis{std::floor(low / step) * step, std::ceil(high / step - 1e-9) * step, {}, false};
  for (int i = 0; axis.low + i * step <= axis.high + step / 2; ++i) axis.ticks.push_back(axis.low + i * step);
  return axis;
}

Axis logarithmic_axis(double low, double high) {
  Axis axis{std::pow(10, std::floor(std::log10(low))), std::pow(10, std::ceil(std::log10(high))), {}, true};
  if (!(axis.low < axis.high)) axis.high = 10 * axis.low;
  const bool few_decades = axis.high / axis.low < 1500;
  for (double decade = axis.low; decade <= axis.high * 1.01; decade *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor == 1 || (few_decades && factor * decade < axis.high)) axis.ticks.push_back(factor * decade);
    }
  }
  return axis;
}

// Ends a logarithmic axis at the ticks next to the data.
void tighten(Axis& axis, double low, double high) {
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

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

class Panel {
 public:
  Panel(double left, double right, Axis x, Axis y) : left_(left), right_(right), x_(std::move(x)), y_(std::move(y)) {}

  void frame(const std::string& title, const std::string& x_label, const std::string& y_label) {
    text({left_, 34}, title, "start", kInk, 15);
    for (const double tick : y_.ticks) {
      const double y = at({x_.low, tick}).y;
      svg_ += fmt::format("<path d='M{:.1f} {:.1f}H{:.1f}' stroke='{}'/>\n", left_, y, right_, kGrid);
      text({left_ - 8, y + 4}, fmt::format("{:.4g}", std::abs(tick) < 1e-12 ? 0 : tick), "end", kGrey, 11);
    }
    for (const double tick : x_.ticks) {
      const double x = at({tick, y_.low}).x;
      svg_ += fmt::format("<path d='M{:.1f} {:.1f}v5' stroke='{}'/>\n", x, kBottom, kGrey);
      text({x, kBottom + 19}, fmt::format("{:.6g}", tick), "middle", kGrey, 11);
    }
    svg_ += fmt::format("<path d='M{:.1f} {:.1f}H{:.1f}' stroke='{}'/>\n", left_, kBottom, right_, kGrey);
    text({(left_ + right_) / 2, kBottom + 40}, x_label, "middle", kInk, 12);
    svg_ += fmt::format(
        "<text transform='translate({:.1f} {:.1f}) rotate(-90)' text-anchor='middle' fill='{}' "
        "font-size='12'>{}</text>\n",
        left_ - 52, (kTop + kBottom) / 2, kInk, escaped(y_label));
  }

  void line(const Line& places, const std::string& colour, double stroke, bool dots) {
    std::string path;
    for (const Place& place : places) {
      const Place p = at(place);
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", p.x, p.y);
      if (!dots) continue;
      svg_ += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='{}' fill='{}'/>\n", p.x, p.y, stroke + 0.5, colour);
    }
    if (places.size() < 2) return;
    svg_ += fmt::format("<path d='{}' fill='none' stroke='{}' stroke-width='{}' stroke-linejoin='round'/>\n", path,
                        colour, stroke);
  }

  void legend(const std::vector<Legend>& entries, double x) {
    double y = kTop + 8;
    for (const auto& [label, colour, stroke] : entries) {
      svg_ += fmt::format("<path d='M{:.1f} {:.1f}h18' stroke='{}' stroke-width='{}'/>\n", x, y, colour, stroke);
      text({x + 24, y + 4}, label, "start", kInk, 11);
      y += 18;
    }
  }

  void note(const std::string& message) {
    text({(left_ + right_) / 2, (kTop + kBottom) / 2}, message, "middle", kGrey, 13);
  }

  const std::string& svg() const { return svg_; }

 private:
  static constexpr double kTop = 58, kBottom = 312;

  Place at(Place data) const {
    return {left_ + x_.position(data.x) * (right_ - left_), kBottom - y_.position(data.y) * (kBottom - kTop)};
  }

  void text(Place place, const std::string& content, const char* anchor, const char* colour, int size) {
    svg_ += fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}' fill='{}' font-size='{}'>{}</text>\n", place.x,
                        place.y, anchor, colour, size, escaped(content));
  }

  double left_, right_;
  Axis x_, y_;
  std::string svg_;
};

// Centred mean of logarithms over about a fortieth of the run.
Line smoothed(const Line& line) {
  const int half = static_cast<int>(line.size()) / 80;
  Line out;
  for (int i = 0; i < static_cast<int>(line.size()); ++i) {
    const int reach = std::min({half, i, static_cast<int>(line.size()) - 1 - i});
    double sum = 0;
    for (int j = i - reach; j <= i + reach; ++j) sum += std::log(line[static_cast<size_t>(j)].y);
    out.push_back({line[static_cast<size_t>(i)].x, std::exp(sum / (2 * reach + 1))});
  }
  return out;
}

std::string loss_panel(const TrainingCurve& curve) {
  Line line;
  for (const auto& [step, loss] : curve.losses) {
    if (loss > 0 && std::isfinite(loss)) line.push_back({step, loss});
  }
  double low = 0.1, high = 1, last_step = 1;
  if (!line.empty()) {
    const auto below = [](const Place& a, const Place& b) { return a.y < b.y; };
    low = std::min_element(line.begin(), line.end(), below)->y;
    high = std::max_element(line.begin(), line.end(), below)->y;
    last_step = line.back().x;
  }
  Axis y = logarithmic_axis(low, high);
  tighten(y, low, high);
  Panel panel(80, 460, linear_axis(0, last_step), y);
  panel.frame("Training loss", "step", "loss (mean squared error of a heatmap pixel)");
  if (line.empty()) {
    panel.note("no step yet");
  } else {
    panel.line(line, kLossPale, 1, false);
    panel.line(smoothed(line), kLoss, 2, false);
    panel.legend({{"as written", kLossPale, 1}, {"smoothed", kLoss, 2}}, 360);
  }
  return panel.svg();
}

std::string icc_panel(const TrainingCurve& curve) {
  Line mean;
  std::set<std::string> aus;
  double low = 0, last_epoch = 1;
  for (const TrainingCurve::Validation& validation : curve.validations) {
    last_epoch = std::max(last_epoch, validation.epoch);
    if (!std::isnan(validation.mean_icc)) mean.push_back({validation.epoch, validation.mean_icc});
    for (const auto& [au, icc] : validation.icc) {
      aus.insert(au);
      low = std::min(low, icc);
    }
  }
  Panel panel(560, 840, linear_axis(0, last_epoch), linear_axis(std::max(low, -1.0), 1));
  panel.frame("Agreement on the validation set", "epoch", "ICC(3,1)");
  if (mean.empty()) {
    panel.note("no validation");
    return panel.svg();
  }
  std::vector<Legend> legend = {{fmt::format("mean {:.3f}", mean.back().y), kInk, 2.5}};
  size_t index = 0;
  for (const std::string& au : aus) {
    const char* colour = kAuColours[index++ % kAuColours.size()];
    Line line;
    for (const TrainingCurve::Validation& validation : curve.validations) {
      const auto found = validation.icc.find(au);
      if (found != validation.icc.end()) line.push_back({validation.epoch, std::max(found->second, -1.0)});
    }
    panel.line(line, colour, 1.2, line.size() < 40);
    legend.push_back({fmt::format("{} {:.3f}", au, line.back().y), colour, 1.2});
  }
  panel.line(mean, kInk, 2.5, mean.size() < 40);
  panel.legend(legend, 852);
  return panel.svg();
}

}  // namespace

TrainingCurve read_curve(const std::filesystem::path& metrics_jsonl) {
  const std::string content = read_file(metrics_jsonl);
  TrainingCurve curve;
  int number = 0;
  for (size_t begin = 0, end; (end = content.find('\n', begin)) != std::string::npos; begin = end + 1) {
    ++number;
    try {
      const nlohmann::json record = nlohmann::json::parse(content.substr(begin, end - begin));
      if (record.at("type") == "train") {
        curve.losses.push_back({record.at("step").get<double>(), record.at("loss").get<double>()});
      } else if (record.at("type") == "validation") {
        TrainingCurve::Validation validation;
        validation.epoch = record.at("epoch").get<double>();
        const nlohmann::json& mean = record.at("mean").at("icc");
        if (!mean.is_null()) validation.mean_icc = mean.get<double>();
        for (const auto& [au, figures] : record.at("aus").items()) {
          if (!figures.at("icc").is_null()) validation.icc[au] = figures.at("icc").get<double>();
        }
        curve.validations.push_back(std::move(validation));
      }
    } catch (const nlohmann::json::exception& error) {
      fail("{}:{}: not a record of a training run ({})", metrics_jsonl.string(), number, error.what());
    }
  }
  return curve;
}

std::string to_svg(const TrainingCurve& curve) {
  return fmt::format(
             "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}' "
             "font-family='Helvetica, Arial, sans-serif'>\n<rect width='100%' height='100%' fill='white'/>\n",
             kWidth, kHeight) +
         loss_panel(curve) + icc_panel(curve) + "</svg>\n";
}

}  // namespace sandglass
