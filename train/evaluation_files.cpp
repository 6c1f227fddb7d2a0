#include "train/evaluation_files.h"

#include <cmath>

#include "engine/error.h"
#include "engine/tensor_file.h"
#include "face/stage.h"

namespace sandglass {
namespace {

constexpr double kFacePixels = kHeatmapStride;  // of the 256 x 256 face, per pixel of the 64 x 64 map

std::string number_or(double value, int decimals, const char* otherwise) {
  return std::isnan(value) ? otherwise : fmt::format("{:.{}f}", value, decimals);
}

// "0.812 [0.75, 0.86]"
std::string with_interval(double value, const Interval* interval) {
  std::string out = number_or(value, 3, "-");
  if (interval && !std::isnan(interval->low)) out += fmt::format(" [{:.2f}, {:.2f}]", interval->low, interval->high);
  return out;
}

// Says which means leave AUs out.
std::string mean_remarks(const Metrics& metrics) {
  std::string out;
  const int all = static_cast<int>(metrics.aus.size());
  for (const Figure& figure : kFigures) {
    const int defined = (metrics.*figure.of_mean).aus;
    if (defined < all)
      out += fmt::format("{}: not defined for {} of {} AUs, which its mean leaves out\n", figure.title, all - defined,
                         all);
  }
  return out;
}

std::string localisation_table(const Localisation& localisation) {
  std::string out = fmt::format(
      "\nFrom the peak to the nearest of the AU's points, where the AU is coded {} or more\n"
      "{:<6}{:>9}{:>16}{:>16}{:>18}\n",
      kLeastLocalisedIntensity, "AU", "pictures", "mean, map px", "median, map px", "mean, face px");
  const auto row = [&](const std::string& name, const std::string& count, double mean, double median) {
    out += fmt::format("{:<6}{:>9}{:>16}{:>16}{:>18}\n", name, count, number_or(mean, 2, "-"),
                       number_or(median, 2, "-"), number_or(kFacePixels * mean, 2, "-"));
  };
  for (const AuLocalisation& au : localisation.aus) row(au.au, std::to_string(au.count), au.mean, au.median);
  row("mean", "", localisation.mean.value, std::nan(""));
  return out;
}

std::string misalignment_table(const Evaluation& evaluation, const Figure& figure) {
  std::string out =
      fmt::format("\n{} with landmarks moved by so many pixels of the 256 x 256 face ({} pictures)\n{:<8}",
                  figure.title, evaluation.misaligned_pictures, "pixels");
  for (const std::string& au : evaluation.aus) out += fmt::format("{:>9}", au);
  out += fmt::format("{:>9}\n", "mean");
  for (const MisalignedScores& scores : evaluation.misaligned) {
    out += fmt::format("{:<8}", scores.pixels);
    for (const AuMetrics& au : scores.metrics.aus) out += fmt::format("{:>9}", number_or(au.*figure.of_au, 3, "-"));
    out += fmt::format("{:>9}\n", number_or((scores.metrics.*figure.of_mean).value, 3, "-"));
  }
  return out;
}

std::string csv_number(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

void append_csv(std::string& out, double pixels, const Metrics& metrics, const Intervals* intervals,
                const Localisation& localisation) {
  const auto row = [&](const std::string& name, const std::string& count, auto value, const FigureIntervals* ends,
                       const std::string& localised, double mean, double median) {
    out += fmt::format("{},{},{}", name, pixels, count);
    for (size_t f = 0; f < kFigures.size(); ++f) {
      out += fmt::format(",{},{},{}", csv_number(value(kFigures[f])), ends ? csv_number((*ends)[f].low) : "",
                         ends ? csv_number((*ends)[f].high) : "");
    }
    out +=
        fmt::format(",{},{},{},{}\n", localised, csv_number(mean), csv_number(median), csv_number(kFacePixels * mean));
  };
  for (size_t k = 0; k < metrics.aus.size(); ++k) {
    const AuMetrics& au = metrics.aus[k];
    const AuLocalisation& place = localisation.aus[k];
    row(
        au.au, std::to_string(au.count), [&](const Figure& figure) { return au.*figure.of_au; },
        intervals ? &intervals->aus[k] : nullptr, std::to_string(place.count), place.mean, place.median);
  }
  row(
      "mean", "", [&](const Figure& figure) { return (metrics.*figure.of_mean).value; },
      intervals ? &intervals->mean : nullptr, "", localisation.mean.value, std::nan(""));
}

nlohmann::json intervals_json(const FigureIntervals& intervals) {
  nlohmann::json json;
  for (size_t f = 0; f < kFigures.size(); ++f)
    json[kFigures[f].key] = {json_number(intervals[f].low), json_number(intervals[f].high)};
  return json;
}

void add_localisation(nlohmann::json& json, const Localisation& localisation) {
  for (const AuLocalisation& au : localisation.aus) {
    json["aus"][au.au]["localisation"] = {{"count", au.count},
                                          {"mean_map_px", json_number(au.mean)},
                                          {"median_map_px", json_number(au.median)},
                                          {"mean_face_px", json_number(kFacePixels * au.mean)}};
  }
  json["mean"]["localisation_map_px"] = json_number(localisation.mean.value);
  json["mean"]["localisation_face_px"] = json_number(kFacePixels * localisation.mean.value);
}

nlohmann::json label_json(float label) { return label < 0 ? nlohmann::json() : nlohmann::json(label); }

nlohmann::json face_json(const Evaluation& evaluation, const ExampleFace& face, const char* kind) {
  const size_t row = static_cast<size_t>(face.row), k_count = evaluation.aus.size();
  nlohmann::json json{{"kind", kind},
                      {"image", utf8_text(evaluation.samples[row].image)},
                      {"subject", utf8_text(evaluation.samples[row].subject)}};
  for (size_t k = 0; k < k_count; ++k) {
    json["aus"].push_back({{"au", evaluation.aus[k]},
                           {"label", label_json(evaluation.labels[row * k_count + k])},
                           {"prediction", face.intensities[k]},
                           {"panel", data_uri(face.panels[k])}});
  }
  return json;
}

// As a float is written; JSON's numbers are doubles, which take more digits for the same.
nlohmann::json short_number(float value) { return json_number(std::stod(fmt::format("{}", value))); }

nlohmann::json pictures_json(const Evaluation& evaluation) {
  const size_t k_count = evaluation.aus.size();
  nlohmann::json pictures = nlohmann::json::array();
  for (size_t n = 0; n < evaluation.samples.size(); ++n) {
    nlohmann::json labels, predictions;
    for (size_t i = n * k_count; i < (n + 1) * k_count; ++i) {
      labels.push_back(label_json(evaluation.labels[i]));
      predictions.push_back(short_number(evaluation.peaks.heights[i]));
    }
    pictures.push_back({{"image", utf8_text(evaluation.samples[n].image)},
                        {"subject", utf8_text(evaluation.samples[n].subject)},
                        {"labels", std::move(labels)},
                        {"predictions", std::move(predictions)}});
  }
  return pictures;
}

}  // namespace

std::string to_table(const Metrics& metrics, const Intervals* intervals) {
  const int width = intervals ? 22 : 9;
  std::string out = fmt::format("{:<6}{:>9}", "AU", "pictures");
  for (const Figure& figure : kFigures) out += fmt::format("{:>{}}", figure.title, width);
  out += "\n";
  const auto row = [&](const std::string& name, const std::string& count, auto value, const FigureIntervals* ends) {
    out += fmt::format("{:<6}{:>9}", name, count);
    for (size_t f = 0; f < kFigures.size(); ++f)
      out += fmt::format("{:>{}}", with_interval(value(kFigures[f]), ends ? &(*ends)[f] : nullptr), width);
    out += "\n";
  };
  for (size_t k = 0; k < metrics.aus.size(); ++k) {
    const AuMetrics& au = metrics.aus[k];
    row(
        au.au, std::to_string(au.count), [&](const Figure& figure) { return au.*figure.of_au; },
        intervals ? &intervals->aus[k] : nullptr);
  }
  row(
      "mean", "", [&](const Figure& figure) { return (metrics.*figure.of_mean).value; },
      intervals ? &intervals->mean : nullptr);
  return out + mean_remarks(metrics);
}

std::string to_table(const Evaluation& evaluation, const ScoreOptions& options) {
  std::string out = to_table(evaluation.metrics, evaluation.intervals ? &*evaluation.intervals : nullptr);
  out += fmt::format("F1: an Action Unit is present from intensity {} on\n", options.threshold);
  if (evaluation.intervals)
    out +=
        fmt::format("[ , ]: {:.4g} % confidence, {} bootstrap samples of {}, seed {}\n", 100 * options.bootstrap.level,
                    options.bootstrap.replicates, evaluation.intervals_over, options.bootstrap.seed);
  out += localisation_table(evaluation.localisation);
  if (!evaluation.misaligned.empty()) {
    for (const Figure& figure : {kFigures[0], kFigures[1]}) out += misalignment_table(evaluation, figure);
  }
  return out;
}

std::string to_csv(const Evaluation& evaluation) {
  std::string out = "au,misalignment_px,count";
  for (const Figure& figure : kFigures) out += fmt::format(",{0},{0}_low,{0}_high", figure.key);
  out += ",localisation_count,localisation_map_px,localisation_map_px_median,localisation_face_px\n";
  append_csv(out, 0, evaluation.metrics, evaluation.intervals ? &*evaluation.intervals : nullptr,
             evaluation.localisation);
  for (const MisalignedScores& scores : evaluation.misaligned) {
    if (scores.pixels == 0 && evaluation.misaligned_pictures == evaluation.pictures) continue;  // is there already
    append_csv(out, scores.pixels, scores.metrics, nullptr, scores.localisation);
  }
  return out;
}

nlohmann::json to_json(const Evaluation& evaluation, const ScoreOptions& options, const std::string& weights,
                       const std::string& data) {
  nlohmann::json json = to_json(evaluation.metrics);
  json["au_names"] = evaluation.aus;  // in the order of the maps
  add_localisation(json, evaluation.localisation);
  json["threshold"] = options.threshold;
  json["intervals"] = {{"over", evaluation.intervals_over},
                       {"replicates", evaluation.intervals ? options.bootstrap.replicates : 0},
                       {"level", options.bootstrap.level},
                       {"seed", options.bootstrap.seed}};
  if (evaluation.intervals) {
    for (size_t k = 0; k < evaluation.aus.size(); ++k)
      json["aus"][evaluation.aus[k]]["intervals"] = intervals_json(evaluation.intervals->aus[k]);
    json["mean"]["intervals"] = intervals_json(evaluation.intervals->mean);
  }
  json["misalignment"] = nlohmann::json::array();
  for (const MisalignedScores& scores : evaluation.misaligned) {
    nlohmann::json entry = to_json(scores.metrics);
    add_localisation(entry, scores.localisation);
    entry["pixels"] = scores.pixels;
    entry["pictures"] = evaluation.misaligned_pictures;
    json["misalignment"].push_back(std::move(entry));
  }
  json["weights"] = utf8_text(weights);
  json["data"] = utf8_text(data);
  json["device"] = evaluation.device;
  json["pictures"] = evaluation.pictures;
  json["left_out"] = evaluation.left_out;
  json["images_per_s"] = evaluation.pictures / evaluation.seconds;
  json["predictions"] = pictures_json(evaluation);
  json["faces"] = nlohmann::json::array();
  for (const ExampleFace& face : evaluation.best) json["faces"].push_back(face_json(evaluation, face, "best"));
  for (const ExampleFace& face : evaluation.worst) json["faces"].push_back(face_json(evaluation, face, "worst"));
  return json;
}

std::string to_text(const nlohmann::json& evaluation) {
  nlohmann::json figures = evaluation;
  std::string lists;
  for (const char* name : {"predictions", "faces"}) {
    figures.erase(name);
    lists += fmt::format(",\n  \"{}\": [", name);
    const char* separator = "\n    ";
    for (const nlohmann::json& entry : evaluation.at(name)) {
      lists += separator + entry.dump();
      separator = ",\n    ";
    }
    lists += "\n  ]";
  }
  std::string out = figures.dump(2);
  out.resize(out.size() - 2);  // "\n}"
  return out + lists + "\n}\n";
}

}  // namespace sandglass
