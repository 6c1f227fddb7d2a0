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

// The only number in a file's name.
std::optional<int> single_number_in(const path& file) {
  const std::string stem = file.stem().string();
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto begin = std::find_if(stem.begin(), stem.end(), is_digit);
  const auto end = std::find_if_not(begin, stem.end(), is_digit);
  return std::any_of(end, stem.end(), is_digit) ? std::nullopt : number_in(file);
}

// Counting goes wrong where pictures are missing; names that all have one number show it.
void compare_with_numbers(const Frames& frames, DataLog& log) {
  int64_t others = 0;
  const std::pair<const int, path>* first = nullptr;
  for (const auto& picture : frames.pictures) {
    const std::optional<int> number = single_number_in(picture.second);
    if (!number) return;
    if (*number == picture.first) continue;
    ++others;
    if (!first) first = &picture;
  }
  if (!first) return;
  log.remark(fmt::format(
      "{}: {} of {} pictures have another number in their name than their place, the first is {} as frame {}; frames "
      "are counted by place, with data.frames = \"number\" by the numbers",
      frames.place.string(), others, frames.pictures.size(), first->second.filename().string(), first->first));
}

Frames find_frames(const path& place, bool by_number, DataLog& log) {
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
    compare_with_numbers(frames, log);
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
        face_id(columns.find("face_id")),
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
  int frame, success, face_id, subject;
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
    seen_.clear();
    const size_t first_row = faces_.rows.size();
    while (header.next(reader, record, log_)) {
      log_.attempt([&] { read_row(record, columns, frames, csv); });
    }
    leave_out_ambiguous(first_row);
  }

 private:
  static std::string_view field(const CsvRecord& record, int column) {
    return record.fields[static_cast<size_t>(column)];
  }

  // Whom a row is about: faces in one picture differ by their number or by who they are.
  using Person = std::pair<std::string, std::string>;  // face_id, subject

  void read_row(const CsvRecord& record, const OpenFaceColumns& columns, const Frames& frames, const path& csv) {
    ManifestRow row;
    row.line = record.line;
    row.source = static_cast<int>(faces_.sources.size()) - 1;
    row.subject = columns.subject >= 0 ? std::string(field(record, columns.subject)) : csv.stem().string();
    const bool wanted = request_.subjects.has(row.subject);
    if (columns.success >= 0 && parse_number(field(record, columns.success)) == 0.0) {
      return log_.leave_out(kTracking, wanted ? 1 : 0);
    }
    const std::optional<int> frame = parse_count(field(record, columns.frame));
    const std::string face_id(columns.face_id >= 0 ? field(record, columns.face_id) : "");
    int* const used_in = frame ? &seen_[*frame].emplace(Person(face_id, row.subject), 0).first->second : nullptr;
    if (!wanted) return;
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
    if (*used_in > 0) {
      reject(kBadRow, "{}: frame {} occurs again (first in row {})", faces_.place(row), *frame, *used_in);
    }
    *used_in = row.line;
    frame_of_row_.push_back(*frame);
    faces_.rows.push_back(std::move(row));
  }

  // Of several faces in a picture, one without landmarks could be any.
  void leave_out_ambiguous(size_t first_row) {
    const bool own_landmarks = request_.data.landmarks.empty();  // others are of pictures, not of faces in them
    std::vector<ManifestRow> kept;
    for (size_t i = first_row; i < faces_.rows.size(); ++i) {
      ManifestRow& row = faces_.rows[i];
      const int frame = frame_of_row_[i - first_row];
      const std::map<Person, int>& people = seen_[frame];
      const bool good = log_.attempt([&] {
        if (people.size() == 1 || (own_landmarks && row.landmarks)) return;
        const bool by_id = people.begin()->first.first != people.rbegin()->first.first;
        std::string ids;
        for (const auto& [person, line] : people) {
          ids += (ids.empty() ? "" : ", ") + (by_id ? person.first : person.second);
        }
        reject(kBadRow,
               "{}: frame {} occurs again ({} {}); without landmarks in the file it is not known which face is "
               "meant",
               faces_.place(row), frame, by_id ? "face_id" : "subject", ids);
      });
      if (good) kept.push_back(std::move(row));
    }
    faces_.rows.resize(first_row);
    std::move(kept.begin(), kept.end(), std::back_inserter(faces_.rows));
    frame_of_row_.clear();
  }

  const DataRequest& request_;
  DataLog& log_;
  Manifest& faces_;
  std::map<int, std::map<Person, int>> seen_;  // of the present file, by frame: who is there, used from which row
  std::vector<int> frame_of_row_;              // of the present file's rows
};

// The AUs of which one of the files has a column: the header is all that is read.
std::vector<std::string> aus_in(const std::vector<path>& files, const std::vector<std::string>& wanted, DataLog& log) {
  std::set<std::string> there;
  for (const path& file : files) {
    log.attempt(kBadFile, [&] {
      std::ifstream stream(file);
      std::string first;
      while (std::getline(stream, first) && trimmed(first).empty()) {
      }
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
    const auto frames = [&] { return find_frames(many ? frames_of(file, pictures) : pictures, by_number, log); };
    const auto read = [&] { reader.read(file, frames); };
    many ? static_cast<void>(log.attempt(kBadFile, read)) : read();
  }
  return found;
}

}  // namespace sandglass
