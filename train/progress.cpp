#include "train/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sandglass {

std::string duration_text(double seconds) {
  if (!(seconds < 1e9)) return "unknown";
  const long long whole = std::llround(std::max(seconds, 0.0));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

void Progress::say(const std::string& text) {
  clear();
  out_ << text << (text.ends_with('\n') ? "" : "\n") << std::flush;
}

bool Progress::due() const {
  using namespace std::chrono_literals;
  return std::chrono::steady_clock::now() - last_ >= (live_ ? 200ms : 10000ms);
}

void Progress::show(const std::string& line) {
  last_ = std::chrono::steady_clock::now();
  if (!live_) {
    out_ << line << std::endl;
    return;
  }
  out_ << '\r' << line << std::string(shown_ > line.size() ? shown_ - line.size() : 0, ' ') << std::flush;
  shown_ = line.size();
}

void Progress::clear() {
  if (shown_ > 0) out_ << '\r' << std::string(shown_, ' ') << '\r' << std::flush;
  shown_ = 0;
}

}  // namespace sandglass
