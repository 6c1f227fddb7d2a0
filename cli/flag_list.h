// The program's commands and flags as plain data, read from CLI11: what the manual page and the shells' completions are
// written from, so that they cannot differ from what the program takes.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace sandglass {

/// A flag or a positional argument of a command.
struct FlagDescription {
  enum class Takes { nothing, choice, file, folder, text };

  std::vector<std::string> names;  ///< "-h", "--help"; of a positional its one name, in capitals
  bool positional = false;
  Takes takes = Takes::nothing;      ///< what the value is
  std::string value;                 ///< what the help calls the value: "FILE", "auto|cpu|cuda|simt"
  std::vector<std::string> choices;  ///< all that the value may be, where takes is `choice`
  bool required = false, repeated = false;
  std::string description, default_value;
  std::vector<std::string> needs, excludes;  ///< names of other flags
};

struct CommandDescription {
  std::string name;  ///< with those of the commands above it: "sandglass data check"
  std::string description;
  std::vector<FlagDescription> flags;    ///< positionals included
  std::vector<std::string> subcommands;  ///< their last words
  std::string footer;
};

/// The program itself, then all its commands, each before its subcommands.
std::vector<CommandDescription> describe_commands(const CLI::App& program);

std::string joined(const std::vector<std::string>& words, const std::string& between);

}  // namespace sandglass
