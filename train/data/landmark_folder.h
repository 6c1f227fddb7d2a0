// Landmarks for the faces of a data set from files beside it.
#pragma once

#include <filesystem>

#include "train/config.h"
#include "train/data/data_log.h"
#include "train/manifest.h"

namespace sandglass {

/// Fills in the landmarks of `faces` as data.landmarks says: a folder, an imglab .xml, "detect" (all are removed, to be
/// found later), or, where it is empty, `own_folder`, the data set's own, if there is one. Rows for which there is
/// nothing stay as they are.
///
/// In a folder the landmarks of a picture are those in the .pts or .mat file of the same path relative to `pictures`,
/// or else of the same name; those of a video's frame in the file of its number, which is sought in folders named as
/// the subject or the video (also in `tmp_frame_lm` in them, as DISFA has it) and in the folder itself. Numbers in .pts
/// files count from 1, in .mat files, which are DISFA's, from 0.
///
/// A file that is broken or has another number of points goes to `log`, and its row is left out.
void add_landmarks(Manifest& faces, const DataConfig& data, const std::filesystem::path& pictures,
                   const std::filesystem::path& own_folder, DataLog& log);

}  // namespace sandglass
