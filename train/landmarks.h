// Landmarks for the rows of a manifest that come without.
#pragma once

#include <atomic>
#include <ostream>

#include "train/manifest.h"

namespace sandglass {

/// Finds the face in each picture whose row has no landmarks (the largest, where there are several) and fills them in,
/// with `workers` threads. Rows in whose picture no face is found are taken out; those whose picture cannot be read go
/// to `problems`. Says on `log` what it does; nothing to do is silent and false. Throws Error if no row is left, or
/// this build cannot find faces, or once `interrupted`, if given, has turned true.
bool complete_landmarks(Manifest& manifest, int workers, std::ostream& log, DataLog& problems,
                        const std::atomic<bool>* interrupted = nullptr);
/// Strictly: a picture that cannot be read is an Error.
bool complete_landmarks(Manifest& manifest, int workers, std::ostream& log);

}  // namespace sandglass
