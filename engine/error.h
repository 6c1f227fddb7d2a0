// Errors: one exception type, one clear line.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace sandglass {

/// What went wrong, where (file, row, tensor, call) and what to do about it, in one line without a final full stop.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A device has not enough memory.
class OutOfMemory : public Error {
 public:
  OutOfMemory(const std::string& message, std::optional<size_t> available) : Error(message), available(available) {}
  std::optional<size_t> available;  ///< bytes that are free, where the device knows
};

/// Throws Error with a formatted message: `fail("{}: row {} has {} columns, expected {}", path, row, got, expected)`.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error with the formatted message unless `condition` holds.
template <typename... Args>
void check(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(format, std::forward<Args>(args)...);
}

/// A message as programs print it: one line, without a full stop.
inline std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '.')) text.pop_back();
  for (char& letter : text) {
    if (letter == '\n' || letter == '\r') letter = ' ';
  }
  return text;
}

}  // namespace sandglass
