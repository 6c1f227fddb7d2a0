#include <algorithm>
#include <fstream>
#include <functional>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "face/au_points.h"
#include "train/data/columns.h"
#include "train/data/folders.h"
#include "train/data/readers.h"

namespace sandglass {
namespace {

using std::filesystem::path;

constexpr const char* kTracking = "frames in which the face was not tracked (success 0)";

// Where the frames of one CSV are: a video, or pictures by number from 1.
struct Frames {
  path place;
  bool video = false;
  std::map<int, path> pictures;
};

Frames find_frames(const path& place, bool by_number) {
  Frames frames{place, false, {}};
  std::error_code error;
  if (std::filesystem::is_regular_file(place, error)) {
    frames.video = true;
    return frames;
  }
  if (by_number) {
    frames.pictures = numbered_files(place, picture_extensions());
  } else {
    int number = 0;
    for (const path& file : files_in(place)) {
      if (has_extension(file, picture_extensions())) frames.pictures.emplace(++number, file);
    }
  }
  check(!frames.pictures.empty(), "{}: has no pictures", place.string());
  return frames;
}

// The AU whose intensity a column holds, "AU06" for AU06_r, AU06 and AU6; empty if it holds something else.
std::string au_of_column(std::string_view name) {
  if (name.ends_with("_r")) name.remove_suffix(2);
  return is_au_column(name) ? normalise_au_name(name) : "";
}

struct OpenFaceColumns {
  OpenFaceColumns(const Columns& columns, const std::vector<std::string>& aus)
      : frame(columns.find("frame")),
        success(columns.find("success")),
        subject(columns.find("subject")),
        landmarks(columns) {
    check(frame >= 0, "{}, row 1: no column 'frame'; is it a CSV of OpenFace's form for a video or a sequence?",
          columns.source());
    for (const std::string& au : aus) {
      int found = columns.find(au + "_r");  // rather than another column of the same AU
      for (const auto& [name, column] : columns.all()) {
        if (found < 0 && au_of_column(name) == au) found = column;
      }
      intensities.push_back(found);
    }
  }
  int frame, success, subject;
  LandmarkColumns landmarks;
  std::vector<int> intensities;  // -1: the file does not have this AU
};

// Reads the CSVs of a data set one after the other.
class OpenFaceReader {
 public:
  OpenFaceReader(const DataRequest& request, DataLog& log, Manifest& faces)
      : request_(request), log_(log), faces_(faces) {}

  // `find_frames` is called once it is known that the file is about a subject asked for.
  void read(const path& csv, const std::function<Frames()>& find_frames) {
    const std::string text = read_file(csv), source = csv.string();
    CsvReader reader(text, source);
    CsvRecord record;
    check(reader.next(record), "{}: is empty, expected a CSV of OpenFace's form", source);
    const Columns header(record, source);
    const OpenFaceColumns columns(header, faces_.aus);
    if (columns.subject < 0 && !request_.subjects.has(csv.stem().string())) return;
    const Frames frames = find_frames();
    faces_.sources.push_back(csv);
    while (reader.next(record)) {
      log_.attempt([&] {
        header.check_count(record);
        read_row(record, columns, frames, csv);
      });
    }
  }

 private:
  static std::string_view field(const CsvRecord& record, int column) {
    return record.fields[static_cast<size_t>(column)];
  }

  void read_row(const CsvRecord& record, const OpenFaceColumns& columns, const Frames& frames, const path& csv) {
    ManifestRow row;
    row.line = record.line;
    row.source = static_cast<int>(faces_.sources.size()) - 1;
    row.subject = columns.subject >= 0 ? std::string(field(record, columns.subject)) : csv.stem().string();
    if (!request_.subjects.has(row.subject)) return;
    if (columns.success >= 0 && parse_number(field(record, columns.success)) == 0.0)
      return log_.leave_out(kTracking, 1);
    const std::optional<int> frame = parse_count(field(record, columns.frame));
    if (!frame) {
      reject(kBadRow, "{}, column 'frame': {} is not the number of a frame", faces_.place(row),
             in_quotes(std::string(field(record, columns.frame))));
    }
    for (size_t i = 0; i < faces_.aus.size(); ++i) {
      const int column = columns.intensities[i];
      row.intensities.push_back(
          column < 0 ? kNotCoded : read_intensity(field(record, column), csv.string(), record.line, faces_.aus[i]));
    }
    if (columns.landmarks.present()) row.landmarks = columns.landmarks.read(record, csv.string());
    if (frames.video) {
      if (*frame < 1) reject(kBadRow, "{}: frame {}, but OpenFace numbers frames from 1", faces_.place(row), *frame);
      row.image = frames.place.string();
      row.frame = *frame - 1;
    } else {
      const auto picture = frames.pictures.find(*frame);
      if (picture == frames.pictures.end()) {
        reject(kNoPicture, "{}: frame {} has no picture in {}", faces_.place(row), *frame, frames.place.string());
      }
      row.image = picture->second.string();
    }
    faces_.rows.push_back(std::move(row));
  }

  const DataRequest& request_;
  DataLog& log_;
  Manifest& faces_;
};

// The AUs of which one of the files has a column: the header is all that is read.
std::vector<std::string> aus_in(const std::vector<path>& files, const std::vector<std::string>& wanted, DataLog& log) {
  std::set<std::string> there;
  for (const path& file : files) {
    log.attempt(kBadFile, [&] {
      std::string first;
      std::getline(std::ifstream(file), first);
      CsvReader reader(first, file.string());
      CsvRecord record;
      if (!reader.next(record)) return;  // said when it is read
      for (const std::string_view name : record.fields) {
        if (const std::string au = au_of_column(name); !au.empty()) there.insert(au);
      }
    });
  }
  std::vector<std::string> aus;
  std::copy_if(wanted.begin(), wanted.end(), std::back_inserter(aus),
               [&](const std::string& au) { return there.count(au) > 0; });
  return aus;
}

// The video or folder of pictures of the same name as a CSV.
path frames_of(const path& csv, const path& pictures) {
  std::error_code error;
  if (std::filesystem::is_directory(pictures / csv.stem(), error)) return pictures / csv.stem();
  for (const path& file : files_in(pictures)) {
    if (file.stem() == csv.stem() && has_extension(file, video_extensions())) return file;
  }
  fail("{}: there is neither a folder of pictures nor a video named {} in {}", csv.string(), csv.stem().string(),
       pictures.string());
}

}  // namespace

DataFound read_openface(const DataRequest& request, DataLog& log) {
  const path root = request.data.path, pictures = request.data.pictures;
  check(!pictures.empty(), "data.pictures is empty: name the video or the folder of pictures that {} is about",
        root.string());
  std::error_code error;
  check(std::filesystem::exists(pictures, error), "{}: no such file or folder (data.pictures)", pictures.string());
  const bool many = std::filesystem::is_directory(root, error);
  std::vector<path> files;
  for (const path& file : many ? files_in(root) : std::vector<path>{root}) {
    if (!many || has_extension(file, {".csv"})) files.push_back(file);
  }
  check(!files.empty(), "{}: has no .csv files", root.string());

  DataFound found;
  found.faces.path = root;
  found.faces.aus = aus_in(files, request.aus, log);
  if (std::filesystem::is_directory(pictures, error)) found.pictures = pictures;
  const bool by_number = request.data.frames == "number";
  OpenFaceReader reader(request, log, found.faces);
  for (const path& file : files) {
    const auto frames = [&] { return find_frames(many ? frames_of(file, pictures) : pictures, by_number); };
    const auto read = [&] { reader.read(file, frames); };
    many ? static_cast<void>(log.attempt(kBadFile, read)) : read();
  }
  return found;
}

}  // namespace sandglass
