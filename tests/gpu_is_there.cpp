// In every test program whose cases run on the cuda device: why they do not, where they do not (CTest label gpu).
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/device.h"

namespace sandglass {
namespace {

TEST(Gpu, is_there) {
  if (const std::string reason = why_unavailable(DeviceKind::cuda); !reason.empty()) GTEST_SKIP() << reason;
  if (const char* const library = std::getenv("SANDGLASS_TEST_CONV"))
    if (const std::string reason = why_unavailable(parse_conv_library(library)); !reason.empty())
      GTEST_SKIP() << reason;
}

}  // namespace
}  // namespace sandglass
