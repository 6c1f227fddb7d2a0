#pragma once

#include <string>

#include "engine/error.h"

namespace sandglass {

/// The message of the Error that `action` throws, or "" if it throws nothing.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace sandglass
