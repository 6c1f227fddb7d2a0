#include <fmt/format.h>

#include "cli/commands.h"
#include "train/synth/dataset.h"

namespace sandglass {

Command add_synth(CLI::App& program) {
  CLI::App* app = program.add_subcommand("synth", "Make synthetic faces: pictures, and manifest.csv with their labels");
  auto options = std::make_shared<SynthOptions>();
  app->add_option("--out", options->out, "folder for the pictures; must not hold a manifest.csv yet")
      ->type_name("DIR")
      ->required();
  app->add_option("--subjects", options->subjects, "how many people")
      ->type_name("N")
      ->check(within(1, 100000))
      ->capture_default_str();
  app->add_option("--images-per-subject", options->images_per_subject, "pictures of each")
      ->type_name("N")
      ->check(within(1, 100000))
      ->capture_default_str();
  app->add_option("--seed", options->seed, "the same seed gives the same pictures")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber.description(""))
      ->capture_default_str();
  app->add_option("--size", options->size, "width and height in pixels")
      ->type_name("PIXELS")
      ->check(within(64, 2048))
      ->capture_default_str();
  app->add_flag("--sequence", options->sequence, "the pictures of each are the frames of a video, 30 a second");
  return {app, [options] {
            options->interrupted = &interrupted_by_signal();
            write_synthetic_dataset(*options);
            fmt::print("{}: {} pictures of {} people\n", (options->out / "manifest.csv").string(),
                       int64_t{options->subjects} * options->images_per_subject, options->subjects);
            return 0;
          }};
}

}  // namespace sandglass
