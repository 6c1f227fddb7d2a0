#include <unistd.h>

#include <iostream>

#include "cli/commands.h"
#include "cli/library_versions.h"
#include "train/experiment.h"

namespace sandglass {

Command add_experiment(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("experiment", "Compare settings, each trained with several seeds, in one table");
  auto options = std::make_shared<ExperimentOptions>();
  app->add_option("FILE.toml", options->file, "what to compare; configs/experiments has examples")
      ->type_name("")
      ->required();
  app->add_option("--out", options->out, "folder for runs and tables (default: experiments/ and the file's name)")
      ->type_name("DIR");
  add_device(*app, options->device);
  app->footer("Run it again to go on after a stop: runs that are done are not repeated.");
  return {app, [options] {
            if (options->out.empty()) options->out = std::filesystem::path("experiments") / options->file.stem();
            options->versions = program_versions();
            options->interrupted = &interrupted_by_signal();
            options->live = isatty(STDOUT_FILENO) != 0;
            const ExperimentResult result = run_experiment(*options, std::cout);
            if (!result.table.empty()) std::cout << "\n" << result.table;
            if (!result.finished) std::cout << "stopped; the same command goes on\n";
            return 0;
          }};
}

}  // namespace sandglass
