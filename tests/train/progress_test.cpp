#include "train/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace sandglass {
namespace {

TEST(Progress, Durations) {
  EXPECT_EQ(duration_text(8.6), "9 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(60), "1:00");
  EXPECT_EQ(duration_text(3599), "59:59");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(-1), "0 s");
  EXPECT_EQ(duration_text(1e300), "unknown");
  EXPECT_EQ(duration_text(0.0 / 0.0), "unknown");
}

TEST(Progress, LiveLineIsRewrittenAndCleared) {
  std::ostringstream out;
  {
    Progress progress(out, true);
    progress.show("longer line");
    progress.show("short");
    progress.say("stays");
    progress.show("end");
  }
  EXPECT_EQ(out.str(), "\rlonger line\rshort      \r     \rstays\n\rend\r   \r");
}

TEST(Progress, InAFileEachStateIsALine) {
  std::ostringstream out;
  {
    Progress progress(out, false);
    progress.show("one");
    progress.say("stays\n");
  }
  EXPECT_EQ(out.str(), "one\nstays\n");
}

}  // namespace
}  // namespace sandglass
