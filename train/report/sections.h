// The parts of a page about one run. Each returns HTML; empty where the run has nothing for it.
#pragma once

#include <string>

#include "train/metrics.h"
#include "train/report/plot.h"
#include "train/report/run_data.h"

namespace sandglass {

/// Loss, agreement on the validation set, learning rate and speed.
std::string training_section(const RunData& run);

/// Figures per AU with intervals, and how far peaks are from the AUs' points.
std::string scores_section(const RunData& run);
/// Agreement over misalignment.
std::string misalignment_section(const RunData& run);
/// Predicted against coded intensity.
std::string scatter_section(const RunData& run);
/// Best and worst faces with their heatmaps.
std::string faces_section(const RunData& run);

/// Settings and what made the run.
std::string settings_section(const RunData& run);

/// A JSON number, NaN where it is null or missing.
double json_value(const nlohmann::json& json, const char* key);
/// "0.812" and below it its interval, if `figures` (of one AU, or the means) has one.
std::string figure_cell(const nlohmann::json& figures, const char* key);
/// The positive losses of a run.
std::vector<PlotPoint> loss_points(const RunData& run);
/// Lowest and highest y of points, `low` and `high` where there are none.
std::pair<double, double> range_of(const std::vector<PlotPoint>& points, double low, double high);
/// The axis of a figure in plots: ICC, Pearson and F1 up to 1, errors from 0.
PlotAxis figure_axis(const Figure& figure, double low, double high);

}  // namespace sandglass
