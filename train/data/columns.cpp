#include "train/data/columns.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/tensor_file.h"
#include "face/landmark_files.h"
#include "train/data/data_log.h"
#include "train/manifest.h"

namespace sandglass {
namespace {

[[noreturn]] void reject_field(const char* kind, const std::string& source, int line, std::string_view column,
                               std::string_view value, const char* expected) {
  reject(kind, "{}, row {}, column '{}': {} is not {}", source, line, column, in_quotes(std::string(value)), expected);
}

}  // namespace

Columns::Columns(const CsvRecord& header, std::string source)
    : source_(std::move(source)), count_(header.fields.size()) {
  for (size_t i = 0; i < count_; ++i) {
    const std::string name(trimmed(header.fields[i]));
    if (name.empty()) continue;
    check(index_.emplace(name, static_cast<int>(i)).second, "{}, row {}: column {} occurs twice", source_, header.line,
          in_quotes(name));
  }
}

int Columns::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? -1 : found->second;
}

bool Columns::next(CsvReader& reader, CsvRecord& record, DataLog& log) const {
  for (;;) {
    bool found = false;
    const bool good = log.attempt(kBadRow, [&] {
      found = reader.next(record);
      if (!found || record.fields.size() == count_) return;
      reject(kBadRow, "{}, row {}: {} fields where the header has {}", source_, record.line, record.fields.size(),
             count_);
    });
    if (good) return found;
    reader.skip_line();
  }
}

LandmarkColumns::LandmarkColumns(const Columns& columns) {
  std::string missing;
  for (size_t i = 0; i < x_.size(); ++i) {
    for (const auto& [axis, target] : {std::pair{'x', &x_[i]}, std::pair{'y', &y_[i]}}) {
      const std::string name = landmark_column(axis, i);
      *target = columns.find(name);
      if (*target >= 0) {
        present_ = true;
      } else if (missing.empty()) {
        missing = name;
      }
    }
  }
  check(!present_ || missing.empty(), "{}, row 1: no column '{}' beside the other landmarks", columns.source(),
        missing);
}

std::optional<Landmarks> LandmarkColumns::read(const CsvRecord& record, const std::string& source) const {
  const auto empty = [&](int column) { return record.fields[static_cast<size_t>(column)].empty(); };
  if (std::all_of(x_.begin(), x_.end(), empty) && std::all_of(y_.begin(), y_.end(), empty)) return std::nullopt;
  const auto coordinate = [&](char axis, size_t i, int column) {
    const std::string_view text = record.fields[static_cast<size_t>(column)];
    const auto value = parse_number(text);
    if (!value || std::abs(*value) > kLargestCoordinate) {
      reject_field(kBadLandmarks, source, record.line, landmark_column(axis, i), text,
                   "a place in pixels (leave all 136 empty where there are no landmarks)");
    }
    return static_cast<float>(*value);
  };
  Landmarks landmarks;
  for (size_t i = 0; i < landmarks.size(); ++i) {
    landmarks[i] = {coordinate('x', i, x_[i]), coordinate('y', i, y_[i])};
  }
  return landmarks;
}

std::string landmark_column(char axis, size_t i) { return fmt::format("{}_{}", axis, i); }

bool is_au_column(std::string_view name) {
  const bool prefix = name.size() >= 3 && name.size() <= 4 && (name[0] | 0x20) == 'a' && (name[1] | 0x20) == 'u';
  return prefix && std::all_of(name.begin() + 2, name.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         parse_number(name.substr(2)) > 0.0;
}

float read_intensity(std::string_view text, const std::string& source, int line, std::string_view column) {
  if (text.empty()) return kNotCoded;
  const auto value = parse_number(text);
  if (!value || *value < 0 || *value > 5) {
    reject_field(kBadLabel, source, line, column, text,
                 "an intensity from 0 to 5 (leave it empty where the AU is not coded)");
  }
  return static_cast<float>(*value);
}

}  // namespace sandglass
