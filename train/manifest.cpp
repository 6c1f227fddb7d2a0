#include "train/manifest.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

#include "engine/csv_field.h"
#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "face/au_points.h"
#include "train/data/columns.h"
#include "train/data/csv.h"

namespace sandglass {
namespace {

constexpr size_t kLandmarkCount = std::tuple_size_v<Landmarks>;

// Which column of the file holds what.
struct ManifestColumns {
  ManifestColumns(const Columns& columns, const std::vector<std::string>& wanted)
      : image(columns.find("image")),
        subject(columns.find("subject")),
        frame(columns.find("frame")),
        landmarks(columns) {
    check(image >= 0, "{}, row 1: no column 'image'; a manifest begins with the names of its columns",
          columns.source());
    std::vector<std::pair<int, std::string>> found;  // in the file's order
    for (const auto& [name, column] : columns.all()) {
      if (!is_au_column(name)) continue;
      std::string au = normalise_au_name(name);
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), au) != wanted.end()) {
        found.emplace_back(column, std::move(au));
      }
    }
    std::sort(found.begin(), found.end());
    for (const auto& [column, au] : found) {
      for (const auto& [other, at] : aus) {
        check(other != au, "{}, row 1: column '{}' occurs twice", columns.source(), au);
      }
      aus.emplace_back(au, column);
    }
  }

  int image, subject, frame;
  LandmarkColumns landmarks;
  std::vector<std::pair<std::string, int>> aus;
};

ManifestRow read_row(const CsvRecord& record, const ManifestColumns& columns, const std::string& source) {
  const auto field = [&](int column) { return record.fields[static_cast<size_t>(column)]; };
  ManifestRow row;
  row.line = record.line;
  row.image = field(columns.image);
  if (row.image.empty()) reject(kBadRow, "{}, row {}, column 'image': no picture is named", source, record.line);
  if (columns.subject >= 0) row.subject = field(columns.subject);
  if (columns.frame >= 0 && !field(columns.frame).empty()) {
    const std::optional<int> frame = parse_count(field(columns.frame));
    if (!frame || *frame < 1) {
      reject(kBadRow, "{}, row {}, column 'frame': {} is not the number of a frame, from 1", source, record.line,
             in_quotes(std::string(field(columns.frame))));
    }
    row.frame = *frame - 1;
  }
  for (const auto& [au, column] : columns.aus) {
    row.intensities.push_back(read_intensity(field(column), source, record.line, au));
  }
  if (columns.landmarks.present()) row.landmarks = columns.landmarks.read(record, source);
  return row;
}

}  // namespace

std::string Manifest::place(const ManifestRow& row) const {
  return fmt::format("{}, row {}", source_of(row).string(), row.line);
}

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

std::vector<float> Manifest::labels(const std::vector<std::string>& names) const {
  const std::vector<int> columns = columns_of(names);
  std::vector<float> labels;
  for (const ManifestRow& row : rows) {
    for (const int column : columns) labels.push_back(row.intensities[static_cast<size_t>(column)]);
  }
  return labels;
}

Manifest parse_manifest(std::string_view csv, const std::filesystem::path& path, DataLog& log, bool check_images,
                        const std::vector<std::string>& aus) {
  const std::string source = path.string();
  CsvReader reader(csv, source);
  CsvRecord record;
  check(reader.next(record), "{}: is empty, expected a manifest (image,subject,AU06,...,x_0,...,y_67)", source);
  const Columns header(record, source);
  const ManifestColumns columns(header, aus);

  Manifest manifest;
  manifest.path = path;
  for (const auto& [au, column] : columns.aus) manifest.aus.push_back(au);
  while (header.next(reader, record, log)) {
    log.attempt([&] { manifest.rows.push_back(read_row(record, columns, source)); });
  }
  check(!manifest.rows.empty() || !log.problems().empty(), "{}: has a header but no rows", source);
  if (check_images) leave_out_missing_pictures(manifest, log);
  return manifest;
}

Manifest read_manifest(const std::filesystem::path& path, DataLog& log, bool check_images,
                       const std::vector<std::string>& aus) {
  return parse_manifest(read_file(path), path, log, check_images, aus);
}

Manifest read_manifest(const std::filesystem::path& path, bool check_images) {
  DataLog strict(true);
  return read_manifest(path, strict, check_images);
}

void leave_out_missing_pictures(Manifest& manifest, DataLog& log) {
  std::string last;  // the frames of a video follow each other
  bool last_is_there = false;
  std::erase_if(manifest.rows, [&](const ManifestRow& row) {
    if (row.image != last) {
      std::error_code error;
      last = row.image;
      last_is_there = std::filesystem::is_regular_file(manifest.image_path(row), error);
    }
    if (!last_is_there) {
      log.problem(kNoPicture, "{}: no such picture: {}", manifest.place(row), manifest.image_path(row).string());
    }
    return !last_is_there;
  });
}

void write_manifest(const std::filesystem::path& path, const Manifest& manifest) {
  const bool landmarks = std::any_of(manifest.rows.begin(), manifest.rows.end(),
                                     [](const ManifestRow& row) { return row.landmarks.has_value(); });
  const bool frames =
      std::any_of(manifest.rows.begin(), manifest.rows.end(), [](const ManifestRow& row) { return row.frame >= 0; });
  std::string out = frames ? "image,frame,subject" : "image,subject";
  for (const std::string& au : manifest.aus) out += "," + au;
  for (const char axis : landmarks ? std::string_view("xy") : std::string_view()) {
    for (size_t i = 0; i < kLandmarkCount; ++i) out += fmt::format(",{}", landmark_column(axis, i));
  }
  out += "\n";
  for (const ManifestRow& row : manifest.rows) {
    check(row.intensities.size() == manifest.aus.size(), "{}: picture '{}' has {} intensities for {} AUs",
          path.string(), row.image, row.intensities.size(), manifest.aus.size());
    out += csv_field(row.image);
    if (frames) out += row.frame >= 0 ? fmt::format(",{}", row.frame + 1) : ",";
    out += "," + csv_field(row.subject);
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

}  // namespace sandglass
