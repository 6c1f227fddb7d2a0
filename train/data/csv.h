// CSV as in RFC 4180, one record at a time: fields may be quoted, lines end in LF or CRLF, a byte order mark is
// skipped, spaces around fields do not count (OpenFace's older versions separate by ", ").
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sandglass {

struct CsvRecord {
  std::vector<std::string_view> fields;  ///< trimmed; valid until the next record is read
  int line = 0;                          ///< where the record begins, from 1
};

class CsvReader {
 public:
  /// `text` must outlive the reader; `source` is its name in errors.
  CsvReader(std::string_view text, std::string source);

  /// Reads the next record; false at the end. Empty lines are skipped. Throws Error naming source and row if a quoted
  /// field is never closed or has text behind it.
  bool next(CsvRecord& record);

  /// Goes back to the line after the one in which the last record, or the one that next() threw at, begins. For records
  /// that make no sense: a stray quote takes lines after it for its own.
  void skip_line();

 private:
  std::string_view field(size_t line_end);
  std::string_view quoted_field();
  void skip_space();
  bool take(char c);

  std::string_view text_;
  std::string source_;
  std::deque<std::string> unescaped_;  // quoted fields with quotes in them
  size_t position_ = 0, record_begin_ = 0;
  int line_ = 1, record_line_ = 1;
};

/// `text` without spaces, tabs and carriage returns at its ends.
std::string_view trimmed(std::string_view text);

/// The number that the whole text spells (decimal, no spaces, finite), or nothing.
std::optional<double> parse_number(std::string_view text);
/// The same if it is a whole number from 0 to 1e9, as frames have.
std::optional<int> parse_count(std::string_view text);

}  // namespace sandglass
