#include "train/run_reporter.h"

#include "engine/file.h"
#include "face/canvas.h"
#include "train/evaluation_files.h"
#include "train/report/report.h"

namespace sandglass {
namespace {

const std::vector<double> kMisalignments = {0, 2, 4, 8, 16};
constexpr int kMisalignedPictures = 500;  // so that a large validation set does not make a run's end long
constexpr int kFaces = 4;

double value_of(const nlohmann::json& json) { return json.is_number() ? json.get<double>() : std::nan(""); }

// The panels of a face side by side.
EventImage strip_of(const ExampleFace& face, size_t number) {
  const int panels = static_cast<int>(face.panels.size());
  Canvas canvas(kPanelSide, panels * kPanelSide, {0, 0, 0});
  for (int k = 0; k < panels; ++k) canvas.paste(face.panels[static_cast<size_t>(k)], k * kPanelSide, 0);
  return {fmt::format("faces/{}", number), kPanelSide, panels * kPanelSide, encode_for_page(canvas.image())};
}

}  // namespace

RunReporter::RunReporter(const RunFolder& folder, int64_t first_step, const nlohmann::json& description,
                         const std::string& settings)
    : folder_(folder), events_(folder.path(), first_step) {
  write_file(folder_.description(), description.dump(2) + "\n");
  events_.text(first_step, "settings", "```\n" + settings + "```\n");
  std::error_code error;
  std::filesystem::remove(folder_.evaluation(), error);  // it is of weights that this session leaves behind
}

void RunReporter::record(const nlohmann::json& record) {
  std::vector<EventScalar> scalars;
  if (record.at("type") == "train") {
    for (const auto& [key, tag] : {std::pair{"loss", "train/loss"},
                                   {"lr", "train/learning_rate"},
                                   {"gradient_norm", "train/gradient_norm"},
                                   {"images_per_s", "train/images_per_s"}})
      scalars.push_back({tag, value_of(record.at(key))});
  } else if (record.at("type") == "epoch") {
    scalars = {{"train/epoch_loss", value_of(record.at("loss"))}};
  } else {
    for (const Figure& figure : kFigures) {
      scalars.push_back({fmt::format("validation_{}/mean", figure.key), value_of(record.at("mean").at(figure.key))});
      for (const auto& [au, figures] : record.at("aus").items())
        scalars.push_back({fmt::format("validation_{}/{}", figure.key, au), value_of(figures.at(figure.key))});
    }
  }
  events_.scalars(record.at("step").get<int64_t>(), scalars);
}

void RunReporter::faces(int64_t step, const std::vector<ExampleFace>& faces) {
  for (size_t i = 0; i < faces.size(); ++i) events_.image(step, strip_of(faces[i], i));
}

void RunReporter::write_page() { write_report(folder_.path()); }

Metrics RunReporter::evaluate(InferenceNetwork& best, const std::vector<std::string>& aus, const Manifest& validation,
                              ScoreOptions options, const std::string& device, std::ostream& log) {
  options.misalignments = kMisalignments;
  options.misaligned_pictures = kMisalignedPictures;
  options.faces = kFaces;
  Evaluation evaluation = score(best, aus, validation, options, log);
  evaluation.device = device;
  write_file(folder_.evaluation(),
             to_text(to_json(evaluation, options, folder_.best().string(), validation.path.string())));
  return evaluation.metrics;
}

}  // namespace sandglass
