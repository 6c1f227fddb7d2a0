// Reports: what a run learned, as one HTML page without anything from outside.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "train/report/run_data.h"

namespace sandglass {

/// One run: its curves, and where it has an evaluation.json the figures with their intervals, robustness to
/// misalignment, predictions against labels, and the best and worst faces; its settings and what made it.
std::string run_page(const RunData& run);

/// Several runs side by side: figures, settings that differ, curves, robustness. One is run_page.
std::string report_page(std::span<const RunData> runs);

/// Writes a run's page to its folder (report.html).
void write_report(const std::filesystem::path& run_folder);

}  // namespace sandglass
