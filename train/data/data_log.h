// What happens while a data set is read: what is wrong with it, what was left out, and remarks.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace sandglass {

/// Something in a data set that cannot be used. The rest can: one row, one sequence, one picture.
class DataProblem : public Error {
 public:
  /// `kind` says what many of these have in common ("frames without a picture"), `message` names file and row.
  DataProblem(std::string kind, const std::string& message) : Error(message), kind(std::move(kind)) {}
  std::string kind;
};

/// Throws DataProblem with a formatted message.
template <typename... Args>
[[noreturn]] void reject(const char* kind, fmt::format_string<Args...> format, Args&&... args) {
  throw DataProblem(kind, fmt::format(format, std::forward<Args>(args)...));
}

class DataLog {
 public:
  /// `strict`: the first problem is thrown. Otherwise they are kept.
  explicit DataLog(bool strict = false) : strict_(strict) {}

  void problem(const DataProblem& problem);
  template <typename... Args>
  void problem(const char* kind, fmt::format_string<Args...> format, Args&&... args) {
    problem(DataProblem(kind, fmt::format(format, std::forward<Args>(args)...)));
  }
  /// Calls `read`, and takes the DataProblem that it may throw. Whether it threw none.
  template <typename Function>
  bool attempt(Function read) {
    try {
      read();
      return true;
    } catch (const DataProblem& found) {
      problem(found);
      return false;
    }
  }
  /// The same, where any Error (a file that cannot be read or is of another kind) is a problem of `kind`.
  template <typename Function>
  bool attempt(const char* kind, Function read) {
    return attempt([&] {
      try {
        read();
      } catch (const DataProblem&) {
        throw;
      } catch (const Error& error) {
        throw DataProblem(kind, error.what());
      }
    });
  }

  /// Counts frames that are left out on purpose: nothing is wrong with them.
  void leave_out(const char* kind, int64_t count);
  void remark(std::string text) { remarks_.push_back(std::move(text)); }

  struct Kind {
    std::string name;
    int64_t count = 0;
    std::vector<std::string> messages;  ///< of problems
  };
  const std::vector<Kind>& problems() const { return problems_; }
  const std::vector<Kind>& left_out() const { return left_out_; }
  const std::vector<std::string>& remarks() const { return remarks_; }
  bool strict() const { return strict_; }

  /// Remarks, what was left out, and the problems: kind, number, the first few, how many more. Nothing where there is
  /// nothing to say.
  void print(std::ostream& out) const;

 private:
  bool strict_;
  std::vector<Kind> problems_, left_out_;
  std::vector<std::string> remarks_;
};

}  // namespace sandglass
