#include "cli/commands.h"

namespace sandglass {

CLI::Validator one_of(const std::vector<std::string>& choices) { return CLI::IsMember(choices).description(""); }

void add_device(CLI::App& app, std::string& device) {
  app.add_option("--device", device, "where to run; auto: cuda where there is a GPU, else cpu")
      ->type_name("auto|cpu|cuda|simt")
      ->check(one_of({"auto", "cpu", "cuda", "simt"}))
      ->capture_default_str();
}

void add_config(CLI::App& app, ConfigFlags& flags) {
  app.add_option("--config", flags.file, "TOML file of settings")->type_name("FILE.toml");
  app.add_option("--set", flags.settings, "one setting, instead of the file's; may be given several times")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
}

TrainingConfig ConfigFlags::read() const {
  TrainingConfig config;
  if (!file.empty()) read_config(file, config);
  for (const std::string& setting : settings) apply_setting(setting, config);
  config.check();
  return config;
}

}  // namespace sandglass
