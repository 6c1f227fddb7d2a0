#pragma once

#include <gtest/gtest.h>

#include "tests/error_of.h"

namespace sandglass {

/// error_of, and checks that the message is one line, however damaged the file.
template <typename Action>
std::string one_line_error_of(Action&& action) {
  const std::string error = error_of(action);
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  return error;
}

}  // namespace sandglass
