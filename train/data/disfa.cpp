#include <algorithm>
#include <array>

#include "engine/error.h"
#include "face/au_points.h"
#include "train/data/columns.h"
#include "train/data/folders.h"
#include "train/data/frame_codes.h"
#include "train/data/readers.h"

namespace sandglass {
namespace {

using std::filesystem::path;

constexpr std::array<int, 12> kCoded{1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26};

std::string au_name(int au) { return normalise_au_name(std::to_string(au)); }

std::optional<path> folder_named(const path& root, const std::string& plain) {
  return find_folder(root, 2, [&](const path& folder) { return plain_name(folder.filename().string()) == plain; });
}

// The videos of the left camera, LeftVideoSN001_comp.avi, up to two folders below `root`.
std::vector<path> find_videos(const path& root) {
  std::vector<path> videos;
  find_folder(root, 2, [&](const path& folder) {
    for (const path& file : files_in(folder)) {
      if (has_extension(file, video_extensions()) && file.stem().string().starts_with("LeftVideo"))
        videos.push_back(file);
    }
    return false;  // go on
  });
  return videos;
}

void read_subject(const std::string& subject, const path& labels, const path& video, DataLog& log, Manifest& faces) {
  const path folder = labels / subject;
  std::vector<std::vector<FrameCode>> codes;
  const size_t first_source = faces.sources.size();
  for (const std::string& au : faces.aus) {
    const int number = std::stoi(au.substr(2));
    const path file = folder / fmt::format("{}_au{}.txt", subject, number);
    codes.emplace_back();
    faces.sources.push_back(file);
    std::error_code error;
    if (!std::filesystem::exists(file, error)) {
      log.problem(kNoLabels, "{}: no such file; {} of subject {} is not coded", file.string(), au, subject);
      continue;
    }
    log.attempt(kBadFile, [&] { codes.back() = read_frame_codes(file, -1, log); });
  }
  for (CodedFrame& frame : merge_codes(codes)) {
    ManifestRow row;
    row.line = frame.line;
    row.source = static_cast<int>(first_source + frame.file);
    if (frame.frame < 1) {
      log.problem(kBadRow, "{}: frame {}, but the frames of DISFA are numbered from 1", faces.place(row), frame.frame);
      continue;
    }
    row.image = video.string();
    row.frame = frame.frame - 1;
    row.subject = subject;
    row.intensities = std::move(frame.intensities);
    faces.rows.push_back(std::move(row));
  }
}

}  // namespace

DataFound read_disfa(const DataRequest& request, DataLog& log) {
  const path root = request.data.path;
  const auto labels = folder_named(root, "actionunitlabels");
  check(labels.has_value(), "{}: has no folder 'ActionUnit_Labels'; data.path is the folder that holds it",
        root.string());
  DataFound found;
  found.faces.path = *labels;
  found.landmarks = folder_named(root, "landmarkpoints").value_or("");
  for (const std::string& au : request.aus) {
    const auto is_au = [&](int coded) { return au_name(coded) == au; };
    if (std::any_of(kCoded.begin(), kCoded.end(), is_au)) found.faces.aus.push_back(au);
  }

  std::set<std::string, std::less<>> subjects = request.subjects.names();
  if (request.subjects.all()) {
    for (const path& folder : folders_in(*labels)) subjects.insert(folder.filename().string());
  }
  const path video_root = request.data.pictures.empty() ? root : path(request.data.pictures);
  const std::vector<path> videos = find_videos(video_root);
  for (const std::string& subject : subjects) {
    std::error_code error;
    if (!std::filesystem::is_directory(*labels / subject, error)) {
      log.problem(kNoLabels, "{}: no such folder, so no labels of subject {}", (*labels / subject).string(), subject);
      continue;
    }
    const auto video = std::find_if(videos.begin(), videos.end(), [&](const path& file) {
      return file.stem().string().starts_with("LeftVideo" + subject);
    });
    if (video == videos.end()) {
      log.problem("sequences without pictures", "{}: has no video LeftVideo{}_comp.avi", video_root.string(), subject);
      continue;
    }
    read_subject(subject, *labels, *video, log, found.faces);
  }
  return found;
}

}  // namespace sandglass
