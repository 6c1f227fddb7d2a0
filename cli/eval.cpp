#include <iostream>

#include "cli/commands.h"
#include "engine/file.h"
#include "train/evaluation.h"

namespace sandglass {

Command add_eval(CLI::App& program) {
  CLI::App* app = program.add_subcommand("eval", "Compare a network's intensities with those of a manifest");
  struct Flags {
    EvaluationOptions options;
    std::string json;
  };
  auto flags = std::make_shared<Flags>();
  EvaluationOptions& options = flags->options;
  app->add_option("--weights", options.weights, "the network: .safetensors, .pth or .pth.tar")
      ->type_name("FILE")
      ->required();
  app->add_option("--data", options.manifest,
                  "manifest, pack, or settings with [data] (.toml: its validation subjects)")
      ->type_name("FILE")
      ->required();
  app->add_option("--json", flags->json, "write the figures here as JSON, too")->type_name("FILE");
  add_device(*app, options.device);
  app->add_option("--batch", options.batch, "pictures that go through the network together")
      ->type_name("N")
      ->check(within(1, 1024))
      ->capture_default_str();
  app->add_option("--workers", options.workers, "threads that load pictures")
      ->type_name("N")
      ->check(within(1, 256))
      ->capture_default_str();
  return {app, [flags] {
            const Evaluation evaluation = evaluate(flags->options, std::cerr);
            std::cout << to_table(evaluation.metrics);
            if (!flags->json.empty()) write_file(flags->json, to_json(evaluation, flags->options).dump(2) + "\n");
            return 0;
          }};
}

}  // namespace sandglass
