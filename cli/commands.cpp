#include "cli/commands.h"

#include <csignal>
#include <iostream>

#include "engine/error.h"
#include "engine/file.h"

namespace sandglass {

void write_output(const std::string& path, const std::string& content) {
  if (path == "-") {
    std::cout << content;
  } else if (!path.empty()) {
    write_file(path, content);
  }
}

void add_force(CLI::App& app, bool& force) { app.add_flag("--force", force, "replace a file that is there already"); }

CLI::Validator one_of(const std::vector<std::string>& choices) { return CLI::IsMember(choices).description(""); }

void add_device(CLI::App& app, DeviceChoice& device) {
  app.add_option("--device", device.name, "where to run; auto: cuda where there is a GPU, else cpu")
      ->type_name("auto|cpu|cuda|simt")
      ->check(one_of({"auto", "cpu", "cuda", "simt"}))
      ->capture_default_str();
  app.add_option("--precision", device.precision, "arithmetic of the network; auto: bf16 on cuda, fp32 elsewhere")
      ->type_name("auto|fp32|tf32|bf16")
      ->check(one_of({"auto", "fp32", "tf32", "bf16"}))
      ->capture_default_str();
  app.add_option("--conv", device.conv, "who computes convolutions on cuda: the kernels of this program, or a library")
      ->type_name("hand|cudnn|cublas")
      ->check(one_of({"hand", "cudnn", "cublas"}))
      ->capture_default_str();
}

void add_config(CLI::App& app, ConfigFlags& flags) {
  app.add_option("--config", flags.file, "TOML file of settings")->type_name("FILE.toml");
  add_settings(app, flags);
}

void add_settings(CLI::App& app, ConfigFlags& flags) {
  app.add_option("--set", flags.settings, "one setting, instead of the file's; may be given several times")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
}

const std::atomic<bool>& interrupted_by_signal() {
  static std::atomic<bool> interrupted = false;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return interrupted;
}

TrainingConfig ConfigFlags::read() const {
  TrainingConfig config;
  if (!file.empty()) read_config(file, config);
  for (const std::string& setting : settings) apply_setting(setting, config);
  config.check();
  return config;
}

}  // namespace sandglass
