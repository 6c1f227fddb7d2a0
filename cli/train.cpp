#include <unistd.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/library_versions.h"
#include "train/evaluation_files.h"
#include "train/training.h"

namespace sandglass {

Command add_train(CLI::App& program) {
  CLI::App* app = program.add_subcommand("train", "Train a network on labelled faces");
  struct Flags {
    TrainingOptions options;
    std::string validation;
    ConfigFlags config;
  };
  auto flags = std::make_shared<Flags>();
  TrainingOptions& options = flags->options;
  app->add_option("--train", options.train, "manifest or pack of the training faces, where no [data] names them")
      ->type_name("FILE");
  app->add_option("--val", flags->validation, "manifest or pack of the faces that choose the best weights")
      ->type_name("FILE");
  app->add_option("--out", options.run_dir, "folder for weights, checkpoint, metrics and report")
      ->type_name("RUN_DIR")
      ->required();
  add_config(*app, flags->config);
  add_device(*app, options.device);
  app->add_flag("--resume", options.resume, "go on with the run in RUN_DIR");
  app->footer("Settings (keys of FILE.toml and of --set) with their defaults:\n" + config_help());
  return {app, [flags] {
            TrainingOptions& options = flags->options;
            if (!flags->validation.empty()) options.validation = flags->validation;
            if (!flags->config.file.empty()) options.config = flags->config.file;
            options.settings = flags->config.settings;
            options.live = isatty(STDOUT_FILENO) != 0;
            options.versions = program_versions();
            const TrainingResult result = train(options, std::cout);
            if (result.best) std::cout << to_table(*result.best);
            std::cout << "report: " << (options.run_dir / "report.html").string() << "\n";
            return 0;
          }};
}

}  // namespace sandglass
