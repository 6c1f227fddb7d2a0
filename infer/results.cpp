#include "infer/results.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/tensor_file.h"

namespace sandglass {
namespace {

using nlohmann::ordered_json;

// A field of a CSV file as RFC 4180 has it.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos && !text.starts_with(' ') && !text.ends_with(' ')) return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted.append(letter == '"' ? 2 : 1, letter);
  return quoted + '"';
}

std::string dump(const ordered_json& json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

// The shortest decimal number that reads back as the same float.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

ordered_json to_json(const FacePrediction& face, const std::vector<std::string>& aus) {
  ordered_json json;
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

CsvWriter::CsvWriter(const std::filesystem::path& path, const std::vector<std::string>& aus)
    : file_(path), au_count_(aus.size()) {
  std::string header = "input,face,confidence,success";
  for (const std::string& au : aus) header += fmt::format(",{}_r", au);
  for (const std::string& au : aus) header += fmt::format(",{0}_x,{0}_y", au);
  file_.append(header + '\n');
}

void CsvWriter::add(const PicturePrediction& prediction) {
  const std::string name = csv_field(prediction.path.string());
  if (prediction.faces.empty()) {
    file_.append(name + ",,,0" + std::string(3 * au_count_, ',') + '\n');
    return;
  }
  for (size_t i = 0; i < prediction.faces.size(); ++i) {
    const FacePrediction& face = prediction.faces[i];
    std::string row =
        fmt::format("{},{},{},1", name, i, face.confidence ? fmt::format("{:.3f}", *face.confidence) : "");
    for (const AuPrediction& au : face.aus) row += fmt::format(",{:.3f}", au.intensity());
    for (const AuPrediction& au : face.aus)
      row += au.has_place ? fmt::format(",{:.2f},{:.2f}", au.in_picture.x, au.in_picture.y) : ",,";
    file_.append(row + '\n');
  }
}

JsonWriter::JsonWriter(const std::filesystem::path& path, const std::vector<std::string>& aus,
                       const std::string& program, const std::string& weights)
    : file_(path), aus_(aus) {
  file_.append(fmt::format("{{\n\"program\":{},\n\"weights\":{},\n\"aus\":{},\n\"inputs\":[", dump(program),
                           dump(utf8_text(weights)), dump(aus)));
}

void JsonWriter::add(const PicturePrediction& prediction) {
  ordered_json json;
  json["input"] = utf8_text(prediction.path.string());
  if (!prediction.error.empty()) {
    json["error"] = prediction.error;
  } else {
    json["width"] = prediction.width;
    json["height"] = prediction.height;
    json["faces"] = ordered_json::array();
    for (const FacePrediction& face : prediction.faces) json["faces"].push_back(to_json(face, aus_));
  }
  file_.append((first_ ? "\n" : ",\n") + dump(json));
  first_ = false;
}

void JsonWriter::commit() {
  file_.append("\n]\n}\n");
  file_.commit();
}

HeatmapWriter::HeatmapWriter(const std::filesystem::path& path, const std::vector<std::string>& aus, int side)
    : path_(path), data_(path), aus_(aus), side_(side) {}

void HeatmapWriter::add(const PicturePrediction& prediction) {
  const std::string name = utf8_text(prediction.path.string());
  if (!prediction.error.empty()) {
    failed_.push_back(name);
  } else if (prediction.faces.empty()) {
    without_face_.push_back(name);
  }
  for (size_t i = 0; i < prediction.faces.size(); ++i) {
    const std::vector<float>& heatmaps = prediction.faces[i].heatmaps;
    check(heatmaps.size() == aus_.size() * static_cast<size_t>(side_) * static_cast<size_t>(side_),
          "{}: {} heatmap values for a face, expected {} maps of {} x {}", path_.string(), heatmaps.size(), aus_.size(),
          side_, side_);
    data_.append({reinterpret_cast<const char*>(heatmaps.data()), heatmaps.size() * sizeof(float)});
    inputs_.push_back(name);
    faces_.push_back(i);
  }
}

void HeatmapWriter::commit() {
  ordered_json header;
  header["__metadata__"] = {{"aus", fmt::format("{}", fmt::join(aus_, ","))},
                            {"inputs", dump(inputs_)},
                            {"faces", dump(faces_)},
                            {"without_face", dump(without_face_)},
                            {"failed", dump(failed_)}};
  header["heatmaps"] = {
      {"dtype", "F32"}, {"shape", {inputs_.size(), aus_.size(), side_, side_}}, {"data_offsets", {0, data_.size()}}};
  std::string text = dump(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  constexpr size_t kLongestHeader = 100'000'000;  // the format's
  check(text.size() <= kLongestHeader,
        "{}: cannot be written: the names of {} faces' pictures are more than the format allows; "
        "run fewer inputs at once",
        path_.string(), inputs_.size());
  const uint64_t length = text.size();
  OutputFile file(path_);
  file.append({reinterpret_cast<const char*>(&length), sizeof length});
  file.append(text);
  file.append(data_);
  file.commit();
}

std::string to_text(const PicturePrediction& prediction, const std::vector<std::string>& aus) {
  const std::string name = prediction.path.string();
  if (prediction.faces.empty()) return name + ": no face\n";
  std::string text;
  for (size_t i = 0; i < prediction.faces.size(); ++i) {
    text += name;
    if (prediction.faces.size() > 1) text += fmt::format(" face {}", i);
    text += ':';
    for (size_t k = 0; k < aus.size(); ++k)
      text += fmt::format("  {} {:.3f}", aus[k], prediction.faces[i].aus[k].intensity());
    text += '\n';
  }
  return text;
}

}  // namespace sandglass
