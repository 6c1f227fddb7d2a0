// How the specs' text() functions write what an operation is made for.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

namespace sandglass {

/// "conv_forward/n1_h64_w64_c128_k128_r3_s3_stride1/transform/statistics": operation, shape and the options that are
/// on.
inline std::string options_text(const char* operation, const std::string& shape,
                                std::initializer_list<std::pair<const char*, bool>> options = {}) {
  std::string text = std::string(operation) + "/" + shape;
  for (const auto& [name, on] : options)
    if (on) text += std::string("/") + name;
  return text;
}

}  // namespace sandglass
