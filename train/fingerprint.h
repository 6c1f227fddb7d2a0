// Whether labelled faces are still the same: what a run that goes on, or a score that is kept, relies on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "face/au_points.h"
#include "train/manifest.h"

namespace sandglass {

/// A number over the pictures' names, the intensities of `aus`, the landmarks, and where the AUs peak: what decides a
/// training besides its settings and the pictures' contents. Throws Error as Manifest::columns_of and AuTable::find do.
uint64_t fingerprint(const Manifest& manifest, const std::vector<std::string>& aus, const AuTable& table);

}  // namespace sandglass
