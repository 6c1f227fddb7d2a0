// The subcommands of `sandglass`, one file each: they turn flags into options of the libraries and results into text.
#pragma once

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/device.h"
#include "train/config.h"

namespace sandglass {

/// A subcommand that has been added to the program: its flags, and what runs when it was chosen. `run` returns the exit
/// code (0 good, 1 something failed and has been said) or throws.
struct Command {
  CLI::App* app;
  std::function<int()> run;
};

Command add_info(CLI::App& program);
Command add_synth(CLI::App& program);
Command add_train(CLI::App& program);
Command add_eval(CLI::App& program);
Command add_infer(CLI::App& program);
Command add_report(CLI::App& program);
Command add_convert(CLI::App& program);
Command add_bench(CLI::App& program);
Command add_experiment(CLI::App& program);
Command add_data(CLI::App& program);
Command add_manual(CLI::App& program);
Command add_completion(CLI::App& program);

/// Checks that add nothing to the help's description of a flag, so that type_name alone says what it takes.
template <typename Number>
CLI::Validator within(Number low, Number high) {
  return CLI::Validator(
      [=](std::string& text) {
        Number value{};
        // Written so that NaN, which CLI::Range lets through, is refused.
        const bool good = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return good ? std::string() : fmt::format("{} is not from {} to {}", text, low, high);
      },
      "");
}
/// Writes a file, or to standard output if `path` is "-"; nothing if it is empty.
void write_output(const std::string& path, const std::string& content);

CLI::Validator one_of(const std::vector<std::string>& choices);

/// Flags that several commands share.
void add_force(CLI::App& app, bool& force);
void add_device(CLI::App& app, DeviceChoice& device);
struct ConfigFlags {
  std::string file;                   ///< TOML; empty: none
  std::vector<std::string> settings;  ///< key=value
  TrainingConfig read() const;
};
void add_config(CLI::App& app, ConfigFlags& flags);
/// --set alone.
void add_settings(CLI::App& app, ConfigFlags& flags);

/// Turns true at SIGINT or SIGTERM, from the first call on, so that a run ends as an error ends it and unfinished files
/// are removed; a second signal ends the process at once.
const std::atomic<bool>& interrupted_by_signal();

}  // namespace sandglass
