#include <iostream>

#include "cli/commands.h"
#include "engine/error.h"
#include "train/evaluation_files.h"

namespace sandglass {

Command add_eval(CLI::App& program) {
  CLI::App* app = program.add_subcommand("eval", "Compare a network's intensities with those of a manifest");
  struct Flags {
    EvaluationOptions options;
    std::string json, csv, au_points;
  };
  auto flags = std::make_shared<Flags>();
  EvaluationOptions& options = flags->options;
  ScoreOptions& scores = options.scores;
  app->add_option("--weights", options.weights, "the network: .safetensors, .pth, .pth.tar or .onnx")
      ->type_name("FILE")
      ->required();
  app->add_option("--data", options.manifest,
                  "manifest, pack, or settings with [data] (.toml: its validation subjects)")
      ->type_name("FILE")
      ->required();
  app->add_option("--json", flags->json, "write everything here as JSON; -: to standard output, instead of the tables")
      ->type_name("FILE");
  app->add_option("--csv", flags->csv, "write the figures here as CSV; -: to standard output, instead of the tables")
      ->type_name("FILE");
  app->add_option("--threshold", scores.threshold, "from this intensity on an Action Unit counts as present (F1)")
      ->type_name("I")
      ->check(within(0.001, 5.0))
      ->capture_default_str();
  app->add_option("--bootstrap", scores.bootstrap.replicates, "samples of subjects for the 95 % intervals; 0: none")
      ->type_name("N")
      ->check(within(0, 1000000))
      ->capture_default_str();
  app->add_option("--misalign", scores.misalignments,
                  "again with the registration's landmarks moved by so many pixels of the 256x256 face: 0,2,4,8,16")
      ->type_name("PIXELS,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(within(0.0, kMostMisalignment));
  app->add_flag("--mirror", options.mirror, "average with the mirrored picture's intensities; takes twice the time");
  app->add_option("--seed", scores.bootstrap.seed, "of the intervals' samples and the moves' directions")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--faces", scores.faces, "keep so many best and worst faces in the JSON, with their heatmaps")
      ->type_name("N")
      ->check(within(0, 100))
      ->capture_default_str();
  app->add_option("--au-points", flags->au_points, "table of points per Action Unit, instead of the built-in one")
      ->type_name("FILE");
  add_device(*app, options.device);
  app->add_option("--batch", options.batch, "pictures that go through the network together")
      ->type_name("N")
      ->check(within(1, 1024))
      ->capture_default_str();
  app->add_option("--workers", scores.workers, "threads that load pictures")
      ->type_name("N")
      ->check(within(1, 256))
      ->capture_default_str();
  return {app, [flags] {
            EvaluationOptions& options = flags->options;
            ScoreOptions& scores = options.scores;
            check(flags->json != "-" || flags->csv != "-", "--json - and --csv -: only one can go to standard output");
            if (!flags->au_points.empty()) scores.au_points = read_au_table(flags->au_points);
            const Evaluation evaluation = evaluate(options, std::cerr);
            if (flags->json != "-" && flags->csv != "-") std::cout << to_table(evaluation, scores);
            write_output(flags->csv, to_csv(evaluation));
            if (!flags->json.empty())
              write_output(flags->json,
                           to_text(to_json(evaluation, scores, options.weights.string(), options.manifest.string())));
            return 0;
          }};
}

}  // namespace sandglass
