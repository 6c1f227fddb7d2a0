// Label files of BP4D and DISFA: a line `frame,code` for each frame, without a header.
#pragma once

#include <filesystem>
#include <vector>

#include "train/data/data_log.h"

namespace sandglass {

struct FrameCode {
  int frame = 0;   ///< as the file numbers it
  float code = 0;  ///< 0 to 5, or kNotCoded
  int line = 0;    ///< of the file, from 1
};

/// Reads the codes of one AU, by rising frame. An empty code, and `not_coded` (9 in BP4D; -1: no such number), are
/// kNotCoded. A line that is no frame number and code, or whose code is not 0 to 5, goes to `log`, and so does a frame
/// that occurs again. Throws Error if the file cannot be read.
std::vector<FrameCode> read_frame_codes(const std::filesystem::path& path, int not_coded, DataLog& log);

/// The codes of several AUs, frame by frame.
struct CodedFrame {
  int frame = 0;
  size_t file = 0;                 ///< the first AU whose file has the frame
  int line = 0;                    ///< of that file
  std::vector<float> intensities;  ///< of the AUs; kNotCoded where an AU's file does not have the frame
};
/// Puts codes[i], which are those of AU number i, side by side; by rising frame.
std::vector<CodedFrame> merge_codes(const std::vector<std::vector<FrameCode>>& codes);

}  // namespace sandglass
