#include <algorithm>
#include <map>

#include "engine/error.h"
#include "face/au_points.h"
#include "train/data/columns.h"
#include "train/data/folders.h"
#include "train/data/frame_codes.h"
#include "train/data/readers.h"

namespace sandglass {
namespace {

using std::filesystem::path;

constexpr int kNotCodable = 9;

// "F001", "M018".
bool is_subject(const std::string& name) {
  return name.size() == 4 && (name[0] == 'F' || name[0] == 'M') &&
         std::all_of(name.begin() + 1, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A recording of one subject in one task, with the label file of each AU (empty: there is none).
struct Sequence {
  std::string subject, task;
  std::vector<path> labels;
};

// The folders of AUs, "AU06", in the folder of intensity codes.
std::map<std::string, path> au_folders(const path& codes) {
  std::map<std::string, path> found;
  for (const path& folder : folders_in(codes)) {
    const std::string name = folder.filename().string();
    if (is_au_column(name)) found.emplace(normalise_au_name(name), folder);
  }
  return found;
}

path find_codes(const path& root) {
  const auto codes = find_folder(root, 3, [](const path& folder) {
    const std::string name = plain_name(folder.filename().string());
    return name == "auintensitycodes30" || name == "auintensitycodes" || name == "auint";
  });
  check(codes.has_value(), "{}: has no folder 'AU Intensity Codes3.0'; data.path is the folder that holds it",
        root.string());
  return *codes;
}

// Whether a folder holds SUBJECT/TASK/PICTURE, and not the subjects' 3D features, say.
bool holds_pictures(const path& folder) {
  for (const path& subject : folders_in(folder)) {
    if (!is_subject(subject.filename().string())) continue;
    for (const path& task : folders_in(subject)) {
      const std::vector<path> files = files_in(task);
      const auto is_picture = [](const path& file) { return has_extension(file, picture_extensions()); };
      if (std::any_of(files.begin(), files.end(), is_picture)) return true;
    }
  }
  return false;
}

path find_pictures(const DataConfig& data) {
  if (!data.pictures.empty()) return data.pictures;
  const auto is_documented = [](const path& folder) {
    return plain_name(folder.filename().string()) == "bp4dtraining" && holds_pictures(folder);
  };
  auto pictures = find_folder(data.path, 3, is_documented);
  if (!pictures) pictures = find_folder(data.path, 3, holds_pictures);
  check(pictures.has_value(),
        "{}: has no folder with the pictures of subjects, such as BP4D-training/F001/T1/2440.jpg; set data.pictures",
        data.path);
  return *pictures;
}

// Sequences by the names of their label files: F001_T1_AU06.csv.
std::map<std::string, Sequence> find_sequences(const std::map<std::string, path>& folders,
                                               const std::vector<std::string>& aus, const Subjects& subjects) {
  std::map<std::string, Sequence> sequences;
  for (size_t i = 0; i < aus.size(); ++i) {
    for (const path& file : files_in(folders.at(aus[i]))) {
      const std::string name = file.filename().string();
      const size_t first = name.find('_'), second = name.find_first_of("_.", first + 1);
      if (!has_extension(file, {".csv", ".txt"}) || first == name.npos || !is_subject(name.substr(0, first))) continue;
      Sequence sequence{name.substr(0, first), name.substr(first + 1, second - first - 1), {}};
      if (!subjects.has(sequence.subject)) continue;
      Sequence& found = sequences.emplace(sequence.subject + "_" + sequence.task, sequence).first->second;
      found.labels.resize(aus.size());
      found.labels[i] = file;
    }
  }
  return sequences;
}

void read_sequence(const Sequence& sequence, const path& pictures, DataLog& log, Manifest& faces) {
  std::vector<std::vector<FrameCode>> codes(faces.aus.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    if (sequence.labels[i].empty()) {
      log.problem(kNoLabels, "{} {}: has no file for {} beside those of the other Action Units", sequence.subject,
                  sequence.task, faces.aus[i]);
      continue;
    }
    log.attempt(kBadFile, [&] { codes[i] = read_frame_codes(sequence.labels[i], kNotCodable, log); });
  }
  const std::vector<CodedFrame> frames = merge_codes(codes);
  const size_t first_source = faces.sources.size();
  faces.sources.insert(faces.sources.end(), sequence.labels.begin(), sequence.labels.end());

  const path folder = pictures / sequence.subject / sequence.task;
  std::map<int, path> files;
  const bool found = log.attempt("sequences without pictures", [&] {
    files = numbered_files(folder, picture_extensions());
    check(!files.empty(), "{}: has no numbered pictures; set data.pictures if they lie elsewhere", folder.string());
  });
  if (!found) return;
  for (const CodedFrame& frame : frames) {
    ManifestRow row;
    row.line = frame.line;
    row.source = static_cast<int>(first_source + frame.file);
    const auto file = files.find(frame.frame);
    if (file == files.end()) {
      log.problem(kNoPicture, "{}: frame {} has no picture in {}", faces.place(row), frame.frame, folder.string());
      continue;
    }
    row.image = file->second.string();
    row.subject = sequence.subject;
    row.intensities = frame.intensities;
    faces.rows.push_back(std::move(row));
  }
}

}  // namespace

DataFound read_bp4d(const DataRequest& request, DataLog& log) {
  const path codes = find_codes(request.data.path);
  DataFound found;
  found.pictures = find_pictures(request.data);
  found.faces.path = codes;
  const std::map<std::string, path> folders = au_folders(codes);
  for (const std::string& au : request.aus) {
    if (folders.count(au)) found.faces.aus.push_back(au);
  }
  const std::map<std::string, Sequence> sequences = find_sequences(folders, found.faces.aus, request.subjects);

  // Subjects that are asked for, or of whom there are pictures, should have labels.
  std::set<std::string, std::less<>> unlabelled = request.subjects.names();
  if (request.subjects.all()) {
    for (const path& folder : folders_in(found.pictures)) {
      if (is_subject(folder.filename().string())) unlabelled.insert(folder.filename().string());
    }
  }
  for (const auto& [name, sequence] : sequences) unlabelled.erase(sequence.subject);
  for (const std::string& subject : unlabelled) {
    log.problem(kNoLabels, "{}: has no labels of subject {}", codes.string(), subject);
  }
  for (const auto& [name, sequence] : sequences) read_sequence(sequence, found.pictures, log, found.faces);
  return found;
}

}  // namespace sandglass
