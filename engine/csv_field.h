// Fields of CSV files that are written.
#pragma once

#include <string>

namespace sandglass {

/// `text` as a field of a CSV file (RFC 4180): in quotes if it has a comma, a quote or a line's end, or a space or tab
/// at an end, which readers may take away.
std::string csv_field(const std::string& text);

}  // namespace sandglass
