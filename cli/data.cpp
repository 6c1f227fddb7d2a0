#include <nlohmann/json.hpp>

#include <iostream>

#include "cli/commands.h"
#include "engine/error.h"
#include "engine/file.h"
#include "engine/output_file.h"
#include "train/data/data_report.h"
#include "train/data/packing.h"

namespace sandglass {
namespace {

struct DataFlags {
  ConfigFlags config;
  std::string json;
  bool strict = false, images = false, force = false;
  PackingOptions packing;

  TrainingConfig read() const {
    TrainingConfig settings = config.read();
    if (strict) settings.data.problems = "stop";
    return settings;
  }
};

void add_common(CLI::App& app, DataFlags& flags) {
  app.add_option("CONFIG", flags.config.file, "TOML file of settings with [data]")->type_name("")->required();
  add_settings(app, flags.config);
  app.add_flag("--strict", flags.strict, "stop at the first thing that cannot be used");
}

int check_data(const DataFlags& flags) {
  const TrainingConfig config = flags.read();
  nlohmann::json parts = nlohmann::json::array();
  std::vector<std::string> names{"train"};
  if (!config.data.validation.empty()) names.emplace_back("validation");
  std::optional<Manifest> training;
  for (const std::string& name : names) {
    DataReport report = check_data(config, name, flags.images);
    if (training) {
      if (const auto note = shared_subject_note(*training, report.set.faces)) report.log.remark(*note);
    }
    if (flags.json != "-") print(std::cout, report);
    parts.push_back(to_json(report));
    training = std::move(report.set.faces);
  }
  write_output(flags.json, nlohmann::json{{"data", parts}}.dump(2) + "\n");
  return 0;
}

int pack(DataFlags& flags) {
  const TrainingConfig config = flags.read();
  check_not_there(flags.packing.out, flags.force);
  std::error_code none;
  check(!std::filesystem::equivalent(flags.packing.out, config.data.path, none),
        "{}: is read, and would be replaced by the pack", flags.packing.out.string());
  DataLog log(config.data.is_strict());
  flags.packing.interrupted = &interrupted_by_signal();
  const PackingResult result = pack_data(config, flags.packing, log, std::cout);
  log.print(std::cout);
  fmt::print("{}: {} faces of {} subjects, {:.1f} MB; train on it by [data] format = \"pack\", path = \"{}\"\n",
             flags.packing.out.string(), result.faces, result.subjects, static_cast<double>(result.bytes) / 1e6,
             flags.packing.out.string());
  return 0;
}

}  // namespace

Command add_data(CLI::App& program) {
  CLI::App* app = program.add_subcommand("data", "Look at a data set before training, or pack it into one file");
  app->require_subcommand(1);
  auto flags = std::make_shared<DataFlags>();
  CLI::App* check = app->add_subcommand("check", "Say what [data] finds: subjects, frames, intensities, problems");
  add_common(*check, *flags);
  check->add_flag("--images", flags->images, "decode all pictures and frames, too");
  check->add_option("--json", flags->json, "write what was found here as JSON, too; -: to standard output instead")
      ->type_name("FILE");
  CLI::App* packing = app->add_subcommand("pack", "Write the registered faces of [data] into one file to train from");
  add_common(*packing, *flags);
  packing->add_option("--out", flags->packing.out, "the file to write")->type_name("FILE")->required();
  packing
      ->add_option("--jpeg", flags->packing.quality, "compress the faces; without, their pixels are kept as they are")
      ->type_name("QUALITY")
      ->check(within(1, 100));
  add_force(*packing, flags->force);
  return {app, [flags, check] { return check->parsed() ? check_data(*flags) : pack(*flags); }};
}

}  // namespace sandglass
