// A page that compares several runs.
#pragma once

#include <span>
#include <string>

#include "train/report/run_data.h"

namespace sandglass {

/// `runs`: two or more, each with a colour of its own.
std::string comparison_page(std::span<const RunData> runs);

}  // namespace sandglass
