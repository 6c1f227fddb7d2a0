// Where tests find real faces, which are not part of the project: the folder in SANDGLASS_REAL_DIR, else
// ../shared/real.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "face/detector.h"

namespace sandglass {

class RealFacesTest : public testing::Test {
 protected:
  static std::filesystem::path folder() {
    const char* given = std::getenv("SANDGLASS_REAL_DIR");
    return given != nullptr && *given != '\0' ? given : "../shared/real";
  }
  static std::filesystem::path photo(const std::string& name) { return folder() / "photos" / name; }
  static std::filesystem::path video_frame(int number) {
    const std::string digits = std::to_string(number);
    return folder() / "video" / ("frame_" + std::string(4 - digits.size(), '0') + digits + ".png");
  }
  static std::string landmark_model() {
    const char* given = std::getenv("SANDGLASS_LANDMARK_MODEL");
    return given != nullptr && *given != '\0' ? given : "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
  }
  static const FaceDetector& detector() {
    static const FaceDetector shared;
    return shared;
  }
};

#define SKIP_WITHOUT_LANDMARK_MODEL()                                   \
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib"; \
  if (!std::filesystem::exists(landmark_model())) GTEST_SKIP() << "no " << landmark_model() << " (install libdlib-data)"
#define SKIP_WITHOUT_REAL_FACES() \
  SKIP_WITHOUT_LANDMARK_MODEL();  \
  if (!std::filesystem::exists(folder())) GTEST_SKIP() << "no folder " << folder() << " (set SANDGLASS_REAL_DIR)"

}  // namespace sandglass
