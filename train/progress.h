// What a long run says while it runs: lasting lines, and one line about the present state.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

namespace sandglass {

/// "9 s", "12:34", "1:02:03".
std::string duration_text(double seconds);

class Progress {
 public:
  /// `live`: `out` is a terminal, so the line about the present is rewritten in place (at most five times a second);
  /// otherwise it is written anew at most every ten seconds.
  Progress(std::ostream& out, bool live) : out_(out), live_(live) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Writes text that stays; it may have several lines and ends with one.
  void say(const std::string& text);
  /// Whether it is time for a new line about the present.
  bool due() const;
  /// Writes the line about the present.
  void show(const std::string& line);

 private:
  void clear();

  std::ostream& out_;
  bool live_;
  size_t shown_ = 0;  // characters of the line that is there
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace sandglass
