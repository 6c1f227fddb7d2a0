#pragma once

#include <exception>
#include <mutex>

namespace sandglass {

/// What the turns of a parallel loop throw, which would end the program if it left the loop.
class LoopError {
 public:
  /// Does one turn, unless an earlier one failed.
  template <typename Turn>
  void guard(const Turn& turn) noexcept {
    try {
      if (std::scoped_lock lock(mutex_); error_) return;
      turn();
    } catch (...) {
      std::scoped_lock lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  /// After the loop: throws the first error.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace sandglass
