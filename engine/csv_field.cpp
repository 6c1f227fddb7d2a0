#include "engine/csv_field.h"

namespace sandglass {

std::string csv_field(const std::string& text) {
  const auto is_space = [](char letter) { return letter == ' ' || letter == '\t'; };
  const bool has_space_at_end = !text.empty() && (is_space(text.front()) || is_space(text.back()));
  if (text.find_first_of(",\"\r\n") == text.npos && !has_space_at_end) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted.append(letter == '"' ? 2 : 1, letter);
  return quoted + '"';
}

}  // namespace sandglass
