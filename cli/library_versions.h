// Versions of the libraries that compute, for reports.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sandglass {

/// "2.6.3"; empty if this build leaves the library out.
std::string onednn_version();
std::string cudnn_version_or_none();
std::string cublas_version_or_none();

/// The program and all of these that it has, name and version.
std::vector<std::pair<std::string, std::string>> program_versions();

}  // namespace sandglass
