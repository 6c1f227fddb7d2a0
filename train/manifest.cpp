#include "train/manifest.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <system_error>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "face/au_points.h"

namespace sandglass {
namespace {

constexpr size_t kLandmarkCount = std::tuple_size_v<Landmarks>;
// Beyond this a landmark is a mistake, and arithmetic on it would lose the pixel.
constexpr double kLargestCoordinate = 1e6;

struct Record {
  std::vector<std::string> fields;
  int line = 0;
};

constexpr std::string_view kSpace = " \t\r";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// Splits CSV text into records, one at a time.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& source) : text_(text), source_(source) {
    if (text_.starts_with("\xEF\xBB\xBF")) position_ = 3;
  }

  // False at the end. Empty lines are skipped.
  bool next(Record& record) {
    while (position_ < text_.size()) {
      record.fields.clear();
      record.line = line_;
      do {
        record.fields.push_back(field());
      } while (take(','));
      end_of_line();
      if (record.fields.size() > 1 || !record.fields[0].empty()) return true;
    }
    return false;
  }

 private:
  bool at(char c) const { return position_ < text_.size() && text_[position_] == c; }
  bool take(char c) {
    if (!at(c)) return false;
    ++position_;
    return true;
  }

  void end_of_line() {
    if (position_ == text_.size()) return;
    check(take('\n'), "{}, row {}: text after a closing quote", source_, line_);
    ++line_;
  }

  // Spaces, and the carriage return of a CRLF.
  void skip_space() { position_ = std::min(text_.find_first_not_of(kSpace, position_), text_.size()); }

  std::string field() {
    skip_space();
    if (take('"')) return quoted_field();
    const size_t begin = position_;
    position_ = std::min(text_.find_first_of(",\n", begin), text_.size());
    return std::string(trimmed(text_.substr(begin, position_ - begin)));
  }

  std::string quoted_field() {
    const int first_line = line_;
    std::string value;
    for (;;) {
      check(position_ < text_.size(), "{}, row {}: a quoted field is never closed", source_, first_line);
      const char c = text_[position_++];
      if (c == '"' && !take('"')) break;
      if (c == '\n') ++line_;
      value += c;
    }
    skip_space();
    return value;
  }

  std::string_view text_;
  const std::string& source_;
  size_t position_ = 0;
  int line_ = 1;
};

// Which column of the file holds what.
struct Columns {
  int image = -1, subject = -1;
  std::vector<std::pair<std::string, int>> aus;
  std::array<int, kLandmarkCount> x, y;
  bool landmarks = false;
};

std::string landmark_column(char axis, size_t i) { return fmt::format("{}_{}", axis, i); }

// "AU6", "au06"; not "AU06_c", "AU00" or "author".
bool is_au_column(const std::string& name) {
  const bool prefix = name.size() >= 3 && name.size() <= 4 && (name[0] | 0x20) == 'a' && (name[1] | 0x20) == 'u';
  return prefix && std::all_of(name.begin() + 2, name.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         parse_number(std::string_view(name).substr(2)) > 0.0;
}

Columns read_header(const Record& header, const std::string& source) {
  std::map<std::string, int> index;
  Columns columns;
  for (size_t i = 0; i < header.fields.size(); ++i) {
    const std::string name(trimmed(header.fields[i]));
    if (name.empty()) continue;
    const int column = static_cast<int>(i);
    check(index.emplace(name, column).second, "{}, row {}: column {} occurs twice", source, header.line,
          in_quotes(name));
    if (!is_au_column(name)) continue;
    const std::string au = normalise_au_name(name);
    for (const auto& [other, at] : columns.aus) {
      check(other != au, "{}, row {}: column '{}' occurs twice", source, header.line, au);
    }
    columns.aus.emplace_back(au, column);
  }
  const auto find = [&](const std::string& name) {
    const auto found = index.find(name);
    return found == index.end() ? -1 : found->second;
  };
  columns.image = find("image");
  columns.subject = find("subject");
  check(columns.image >= 0, "{}, row {}: no column 'image'; a manifest begins with the names of its columns", source,
        header.line);
  std::string missing;
  for (size_t i = 0; i < kLandmarkCount; ++i) {
    for (const auto& [axis, target] : {std::pair{'x', &columns.x[i]}, std::pair{'y', &columns.y[i]}}) {
      *target = find(landmark_column(axis, i));
      if (*target >= 0) {
        columns.landmarks = true;
      } else if (missing.empty()) {
        missing = landmark_column(axis, i);
      }
    }
  }
  check(!columns.landmarks || missing.empty(), "{}, row {}: no column '{}' beside the other landmarks", source,
        header.line, missing);
  return columns;
}

ManifestRow read_row(const Record& record, const Columns& columns, const Record& header, const std::string& source) {
  check(record.fields.size() == header.fields.size(), "{}, row {}: {} fields where the header has {}", source,
        record.line, record.fields.size(), header.fields.size());
  const auto bad_field = [&](const std::string& column, const std::string& value, const char* expected) {
    fail("{}, row {}, column '{}': {} is not {}", source, record.line, column, in_quotes(value), expected);
  };

  ManifestRow row;
  row.line = record.line;
  row.image = record.fields[columns.image];
  check(!row.image.empty(), "{}, row {}, column 'image': no picture is named", source, record.line);
  if (columns.subject >= 0) row.subject = record.fields[columns.subject];

  for (const auto& [au, column] : columns.aus) {
    const std::string& text = record.fields[column];
    const auto value = parse_number(text);
    if (!text.empty() && !(value && *value >= 0 && *value <= 5)) {
      bad_field(au, text, "an intensity from 0 to 5 (leave it empty where the AU is not coded)");
    }
    row.intensities.push_back(value ? static_cast<float>(*value) : kNotCoded);
  }

  if (!columns.landmarks) return row;
  const auto empty = [&](int column) { return record.fields[column].empty(); };
  if (std::all_of(columns.x.begin(), columns.x.end(), empty) &&
      std::all_of(columns.y.begin(), columns.y.end(), empty)) {
    return row;
  }
  const auto coordinate = [&](char axis, size_t i, int column) {
    const std::string& text = record.fields[column];
    const auto value = parse_number(text);
    if (!value || std::abs(*value) > kLargestCoordinate) {
      bad_field(landmark_column(axis, i), text, "a place in pixels (leave all 136 empty where there are no landmarks)");
    }
    return static_cast<float>(*value);
  };
  row.landmarks.emplace();
  for (size_t i = 0; i < kLandmarkCount; ++i) {
    (*row.landmarks)[i] = {coordinate('x', i, columns.x[i]), coordinate('y', i, columns.y[i])};
  }
  return row;
}

void check_images_exist(const Manifest& manifest) {
  size_t missing = 0;
  const ManifestRow* first = nullptr;
  for (const ManifestRow& row : manifest.rows) {
    std::error_code error;
    if (std::filesystem::is_regular_file(manifest.image_path(row), error)) continue;
    if (missing++ == 0) first = &row;
  }
  if (!first) return;
  const std::string path = manifest.image_path(*first).string();
  if (missing == 1) fail("{}: no such picture: {}", manifest.place(*first), path);
  fail("{}: no such picture: {} ({} of {} are missing)", manifest.place(*first), path, missing, manifest.rows.size());
}

std::string csv_field(const std::string& text) {
  const bool plain = text.find_first_of(",\"\r\n") == std::string::npos && trimmed(text).size() == text.size();
  if (plain) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string Manifest::place(const ManifestRow& row) const { return fmt::format("{}, row {}", path.string(), row.line); }

std::vector<int> Manifest::columns_of(const std::vector<std::string>& names) const {
  std::vector<int> columns;
  for (const std::string& name : names) {
    const auto found = std::find(aus.begin(), aus.end(), name);
    check(found != aus.end(), "{}: no column '{}'; its AU columns are: {}", path.string(), name,
          aus.empty() ? "none" : fmt::format("{}", fmt::join(aus, ", ")));
    columns.push_back(static_cast<int>(found - aus.begin()));
  }
  return columns;
}

Manifest parse_manifest(std::string_view csv, const std::filesystem::path& path, bool check_images) {
  const std::string source = path.string();
  CsvReader reader(csv, source);
  Record header, record;
  check(reader.next(header), "{}: is empty, expected a manifest (image,subject,AU06,...,x_0,...,y_67)", source);
  const Columns columns = read_header(header, source);

  Manifest manifest;
  manifest.path = path;
  for (const auto& [au, column] : columns.aus) manifest.aus.push_back(au);
  while (reader.next(record)) manifest.rows.push_back(read_row(record, columns, header, source));
  check(!manifest.rows.empty(), "{}: has a header but no rows", source);
  if (check_images) check_images_exist(manifest);
  return manifest;
}

Manifest read_manifest(const std::filesystem::path& path, bool check_images) {
  return parse_manifest(read_file(path), path, check_images);
}

void write_manifest(const std::filesystem::path& path, const Manifest& manifest) {
  const bool landmarks = std::any_of(manifest.rows.begin(), manifest.rows.end(),
                                     [](const ManifestRow& row) { return row.landmarks.has_value(); });
  std::string out = "image,subject";
  for (const std::string& au : manifest.aus) out += "," + au;
  for (const char axis : landmarks ? std::string_view("xy") : std::string_view()) {
    for (size_t i = 0; i < kLandmarkCount; ++i) out += fmt::format(",{}", landmark_column(axis, i));
  }
  out += "\n";
  for (const ManifestRow& row : manifest.rows) {
    check(row.intensities.size() == manifest.aus.size(), "{}: picture '{}' has {} intensities for {} AUs",
          path.string(), row.image, row.intensities.size(), manifest.aus.size());
    out += fmt::format("{},{}", csv_field(row.image), csv_field(row.subject));
    for (const float intensity : row.intensities) out += intensity < 0 ? "," : fmt::format(",{}", intensity);
    for (float Point::*axis : {&Point::x, &Point::y}) {
      for (size_t i = 0; landmarks && i < kLandmarkCount; ++i) {
        out += row.landmarks ? fmt::format(",{}", (*row.landmarks)[i].*axis) : ",";
      }
    }
    out += "\n";
  }
  write_file(path, out);
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

}  // namespace sandglass
