#include "train/data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "engine/error.h"

namespace sandglass {
namespace {

constexpr std::string_view kSpace = " \t\r";

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<int> parse_count(std::string_view text) {
  const std::optional<double> value = parse_number(text);
  if (!value || *value < 0 || *value > 1e9 || *value != std::floor(*value)) return std::nullopt;
  return static_cast<int>(*value);
}

CsvReader::CsvReader(std::string_view text, std::string source) : text_(text), source_(std::move(source)) {
  if (text_.starts_with("\xEF\xBB\xBF")) position_ = 3;
}

bool CsvReader::next(CsvRecord& record) {
  while (position_ < text_.size()) {
    record.fields.clear();
    unescaped_.clear();
    record_begin_ = position_;
    record.line = record_line_ = line_;
    const auto end_of_line = [&] { return std::min(text_.find('\n', position_), text_.size()); };
    size_t line_end = end_of_line();
    do {
      if (position_ > line_end) line_end = end_of_line();  // a quoted field went on over several lines
      record.fields.push_back(field(line_end));
    } while (take(','));
    if (position_ < text_.size()) {
      check(take('\n'), "{}, row {}: text after a closing quote", source_, record_line_);
      ++line_;
    }
    if (record.fields.size() > 1 || !record.fields[0].empty()) return true;
  }
  return false;
}

void CsvReader::skip_line() {
  position_ = std::min(text_.find('\n', record_begin_), text_.size() - 1) + 1;
  line_ = record_line_ + 1;
}

bool CsvReader::take(char c) {
  if (position_ >= text_.size() || text_[position_] != c) return false;
  ++position_;
  return true;
}

// Spaces, and the carriage return of a CRLF.
void CsvReader::skip_space() {
  while (position_ < text_.size() && is_space(text_[position_])) ++position_;
}

std::string_view CsvReader::field(size_t line_end) {
  skip_space();
  if (take('"')) return quoted_field();
  const std::string_view line = text_.substr(position_, line_end - position_);
  const std::string_view found = line.substr(0, line.find(','));
  position_ += found.size();
  return trimmed(found);
}

std::string_view CsvReader::quoted_field() {
  const int first_line = line_;
  const size_t begin = position_;
  bool escaped = false;
  for (;;) {
    check(position_ < text_.size(), "{}, row {}: a quoted field is never closed", source_, first_line);
    const char c = text_[position_++];
    if (c == '\n') ++line_;
    if (c != '"') continue;
    if (!take('"')) break;
    escaped = true;
  }
  const std::string_view raw = text_.substr(begin, position_ - 1 - begin);
  skip_space();
  if (!escaped) return raw;
  std::string& value = unescaped_.emplace_back();
  for (size_t i = 0; i < raw.size(); ++i) {
    value += raw[i];
    if (raw[i] == '"') ++i;
  }
  return value;
}

}  // namespace sandglass
