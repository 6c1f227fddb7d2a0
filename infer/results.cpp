#include "infer/results.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/csv_field.h"
#include "engine/error.h"
#include "engine/tensor_file.h"

namespace sandglass {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json& json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

// The fields of all intensities, then those of all presences, a comma in front of each. An AU is present by the
// intensity as it is written, so that a reader of both finds no contradiction.
std::string reading_fields(const FacePrediction& face, int decimals, double threshold, int presence_decimals = 0) {
  std::string intensities, presences;
  for (const AuPrediction& au : face.aus) {
    const std::string intensity = fmt::format("{:.{}f}", au.intensity(), decimals);
    intensities += ',' + intensity;
    presences += fmt::format(",{:.{}f}", std::stod(intensity) >= threshold ? 1.0 : 0.0, presence_decimals);
  }
  return intensities + presences;
}
std::string reading_header(const std::vector<std::string>& aus) {
  std::string header;
  for (const char* suffix : {"r", "c"})
    for (const std::string& au : aus) header += fmt::format(",{}_{}", au, suffix);
  return header;
}

// The shortest decimal number that reads back as the same float.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

ordered_json to_json(const FacePrediction& face, const std::vector<std::string>& aus) {
  ordered_json json;
  json["face_id"] = face.id;
  json["box"] = {{"left", shortest(face.left)},
                 {"top", shortest(face.top)},
                 {"right", shortest(face.right)},
                 {"bottom", shortest(face.bottom)}};
  json["confidence"] = face.confidence ? ordered_json(shortest(*face.confidence)) : ordered_json();
  json["landmarks"] = ordered_json();
  if (face.landmarks) {
    for (const Point& point : *face.landmarks) json["landmarks"].push_back({shortest(point.x), shortest(point.y)});
  }
  json["registration"] = face.to_registered.m;
  for (size_t k = 0; k < face.aus.size(); ++k) {
    const AuPrediction& au = face.aus[k];
    json["aus"][aus[k]] = {{"intensity", shortest(au.intensity())},
                           {"height", shortest(au.height)},
                           {"x", au.has_place ? ordered_json(shortest(au.in_picture.x)) : ordered_json()},
                           {"y", au.has_place ? ordered_json(shortest(au.in_picture.y)) : ordered_json()}};
  }
  return json;
}

}  // namespace

CsvWriter::CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, double threshold)
    : file_(path, OutputFile::Content::lines), au_count_(aus.size()), threshold_(threshold) {
  std::string header = "input,frame,face_id,timestamp,confidence,success" + reading_header(aus);
  for (const std::string& au : aus) header += fmt::format(",{0}_x,{0}_y", au);
  file_.append(header + '\n');
}

void CsvWriter::add(const PicturePrediction& prediction) {
  if (prediction.is_video_end && prediction.input == input_) return;  // its frames are there
  input_ = prediction.input;
  const std::string name = csv_field(prediction.path.string());
  const auto& frame = prediction.frame;
  const std::string number = frame ? std::to_string(frame->number + 1) : "";
  const std::string seconds = frame ? fmt::format("{:.3f}", frame->seconds) : "";
  if (prediction.faces.empty())
    file_.append(fmt::format("{},{},,{},,0{}\n", name, number, seconds, std::string(4 * au_count_, ',')));
  for (const FacePrediction& face : prediction.faces) {
    std::string row = fmt::format("{},{},{},{},{},1", name, number, face.id, seconds,
                                  face.confidence ? fmt::format("{:.3f}", *face.confidence) : "");
    row += reading_fields(face, 3, threshold_);
    for (const AuPrediction& au : face.aus)
      row += au.has_place ? fmt::format(",{:.2f},{:.2f}", au.in_picture.x, au.in_picture.y) : ",,";
    file_.append(row + '\n');
  }
}

OpenFaceWriter::OpenFaceWriter(std::vector<std::filesystem::path> paths, const std::vector<std::string>& aus,
                               double threshold)
    : paths_(std::move(paths)), aus_(aus), threshold_(threshold) {}

void OpenFaceWriter::add(const PicturePrediction& prediction) {
  if (!prediction.error.empty() && !prediction.frame) return;
  if (file_ && prediction.input != input_) commit();
  if (!file_) {
    input_ = prediction.input;
    file_ = std::make_unique<OutputFile>(paths_.at(input_), OutputFile::Content::lines);
    std::string header = prediction.frame ? "frame,face_id,timestamp,confidence,success" : "face,confidence";
    for (const char axis : {'x', 'y'})
      for (int point = 0; point < 68; ++point) header += fmt::format(",{}_{}", axis, point);
    file_->append(header + reading_header(aus_) + '\n');
  }
  const auto first_fields = [&](int id, float confidence, bool success) {
    if (!prediction.frame) return fmt::format("{},{:.3f}", id, confidence);
    return fmt::format("{},{},{:.3f},{:.2f},{}", prediction.frame->number + 1, id, prediction.frame->seconds,
                       confidence, success ? 1 : 0);
  };
  if (prediction.faces.empty() && prediction.frame) {
    std::string row = first_fields(0, 0, false);
    for (size_t zero = 0; zero < 2 * 68 + 2 * aus_.size(); ++zero) row += ",0";
    file_->append(row + '\n');
  }
  for (const FacePrediction& face : prediction.faces) {
    std::string row = first_fields(face.id, face.confidence.value_or(1), true);
    const Landmarks landmarks = face.landmarks.value_or(Landmarks{});
    for (const Point& point : landmarks) row += fmt::format(",{:.1f}", point.x);
    for (const Point& point : landmarks) row += fmt::format(",{:.1f}", point.y);
    file_->append(row + reading_fields(face, 2, threshold_, 1) + '\n');
  }
}

void OpenFaceWriter::commit() {
  if (file_) file_->commit();
  file_.reset();
}

JsonWriter::JsonWriter(const std::filesystem::path& path, const std::vector<std::string>& aus,
                       const std::string& program, const std::string& weights, Layout layout)
    : file_(path, layout == Layout::lines ? OutputFile::Content::lines : OutputFile::Content::whole),
      aus_(aus),
      layout_(layout) {
  const ordered_json head = {{"program", program}, {"weights", utf8_text(weights)}, {"aus", aus}};
  std::string text = dump(head);
  if (layout == Layout::document) {
    text.pop_back();
    text += ",\"inputs\":[";
  }
  file_.append(text + '\n');
}

void JsonWriter::add(const PicturePrediction& prediction) {
  ordered_json json;
  json["input"] = utf8_text(prediction.path.string());
  if (prediction.frame) {
    json["frame"] = prediction.frame->number + 1;
    json["timestamp"] = prediction.frame->seconds;
    if (prediction.frame->is_damaged) json["damaged"] = true;
  }
  if (!prediction.error.empty()) {
    json["error"] = prediction.error;
  } else {
    json["width"] = prediction.width;
    json["height"] = prediction.height;
    json["faces"] = ordered_json::array();
    for (const FacePrediction& face : prediction.faces) json["faces"].push_back(to_json(face, aus_));
  }
  if (layout_ == Layout::document && !first_) file_.append(",\n");
  file_.append(dump(json));
  if (layout_ == Layout::lines) file_.append("\n");
  first_ = false;
}

void JsonWriter::commit() {
  if (layout_ == Layout::document) file_.append("\n]}\n");
  file_.commit();
}

HeatmapWriter::HeatmapWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, int side)
    : path_(path), data_(path), aus_(aus), side_(side) {
  check(path != "-", "heatmaps cannot be written to standard output; name a file");
}

void HeatmapWriter::add(const PicturePrediction& prediction) {
  if (prediction.faces.empty()) return;
  const std::string name = utf8_text(prediction.path.string());
  if (inputs_.empty() || inputs_.back() != name) inputs_.push_back(name);
  for (const FacePrediction& face : prediction.faces) {
    check(face.heatmaps.size() == aus_.size() * static_cast<size_t>(side_) * static_cast<size_t>(side_),
          "{}: {} heatmap values for a face, expected {} maps of {} x {}", path_.string(), face.heatmaps.size(),
          aus_.size(), side_, side_);
    data_.append({reinterpret_cast<const char*>(face.heatmaps.data()), face.heatmaps.size() * sizeof(float)});
    input_of_face_.push_back(static_cast<int32_t>(inputs_.size() - 1));
    ids_.push_back(face.id);
    frames_.push_back(prediction.frame ? prediction.frame->number + 1 : 0);
    seconds_.push_back(prediction.frame ? static_cast<float>(prediction.frame->seconds) : 0);
  }
}

void HeatmapWriter::commit() {
  ordered_json header;
  header["__metadata__"] = {{"aus", fmt::format("{}", fmt::join(aus_, ","))}, {"inputs", dump(inputs_)}};
  const size_t faces = ids_.size();
  uint64_t offset = 0;
  const auto declare = [&](const char* name, const char* type, const ordered_json& shape, uint64_t bytes) {
    header[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  };
  declare("frame", "I64", {faces}, faces * sizeof(int64_t));  // the widest first, so that all are aligned
  declare("heatmaps", "F32", {faces, aus_.size(), side_, side_}, data_.size());
  declare("timestamp", "F32", {faces}, faces * sizeof(float));
  declare("input", "I32", {faces}, faces * sizeof(int32_t));
  declare("face_id", "I32", {faces}, faces * sizeof(int32_t));
  std::string text = dump(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  constexpr size_t kLongestHeader = 100'000'000;  // the format's
  check(text.size() <= kLongestHeader,
        "{}: cannot be written: the names of {} inputs are more than the format allows; run fewer inputs at once",
        path_.string(), inputs_.size());
  const uint64_t length = text.size();
  OutputFile file(path_);
  file.append({reinterpret_cast<const char*>(&length), sizeof length});
  file.append(text);
  const auto append = [&](const auto& values) {
    file.append({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])});
  };
  append(frames_);
  file.append(data_);
  append(seconds_);
  append(input_of_face_);
  append(ids_);
  file.commit();
}

std::string to_text(const PicturePrediction& prediction, const std::vector<std::string>& aus) {
  std::string name = prediction.path.string();
  if (prediction.frame) name += fmt::format(" {:.3f} s", prediction.frame->seconds);
  if (prediction.faces.empty()) return name + ": no face\n";
  std::string text;
  for (const FacePrediction& face : prediction.faces) {
    text += name;
    if (prediction.faces.size() > 1) text += fmt::format(" face {}", face.id);
    text += ':';
    for (size_t k = 0; k < aus.size(); ++k) text += fmt::format("  {} {:.3f}", aus[k], face.aus[k].intensity());
    text += '\n';
  }
  return text;
}

std::vector<std::filesystem::path> output_paths(const std::filesystem::path& folder, std::span<const Input> inputs,
                                                const std::string& of_picture, const std::string& of_video) {
  std::set<std::string> taken;
  std::vector<std::filesystem::path> paths;
  for (const Input& input : inputs) {
    const std::filesystem::path& path = input.path;
    std::error_code error;
    const bool is_folder = std::filesystem::is_directory(path, error);
    const std::string stem = path == "-" ? "standard_input"
                             : is_folder ? std::filesystem::canonical(path, error).filename().string()
                                         : path.stem().string();
    const std::string& extension = input.kind == InputKind::picture ? of_picture : of_video;
    std::string name = stem;
    for (int number = 2; !taken.insert(name).second; ++number) name = fmt::format("{}_{}", stem, number);
    paths.push_back(folder / (name + extension));
  }
  return paths;
}

}  // namespace sandglass
