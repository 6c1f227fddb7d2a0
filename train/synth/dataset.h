// Data sets of synthetic faces on disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

namespace sandglass {

/// What to make. The pictures are a function of (seed, subject, image, size) alone, whatever the number of threads.
struct SynthOptions {
  std::filesystem::path out;    ///< folder, made if missing
  int subjects = 20;            ///< people, 1 to 100000
  int images_per_subject = 50;  ///< pictures of each, 1 to 100000
  uint64_t seed = 1;
  int size = 256;         ///< pixels in height and width, 64 to 2048
  bool sequence = false;  ///< the pictures of each person are the frames of a video, 30 a second
  /// Set by whoever wants it to end early, which it does with an Error; pictures are complete. May be null.
  const std::atomic<bool>* interrupted = nullptr;
};

/// Writes subjects * images_per_subject JPEG pictures `s<subject>_<image>.jpg` and last, at once, `manifest.csv` with
/// the columns `image,subject,AU06,AU10,AU12,AU14,AU17,x_0..x_67,y_0..y_67`: intensities 0 to 5, landmarks in pixels
/// (300-W markup, pixel centres at integers). Works on all threads that OpenMP offers. Throws Error if a value is out
/// of range, the folder already holds a manifest, or a file cannot be written.
void write_synthetic_dataset(const SynthOptions& options);

}  // namespace sandglass
