#include "cli/flag_list.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace sandglass {
namespace {

// Choices are what type names call a|b|c in small letters; FILE|DIR are two kinds of a value.
bool names_choices(const std::string& value) {
  return value.find('|') != value.npos &&
         std::none_of(value.begin(), value.end(), [](unsigned char letter) { return std::isupper(letter); });
}

FlagDescription describe(const CLI::Option& option) {
  using Takes = FlagDescription::Takes;
  FlagDescription flag;
  flag.positional = option.get_positional();
  if (flag.positional) {
    flag.names = {option.get_name(true)};
  } else {
    for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  }
  flag.required = option.get_required();
  flag.repeated = option.get_items_expected_max() > 1;
  flag.description = option.get_description();
  for (const CLI::Option* other : option.get_needs()) flag.needs.push_back(other->get_name());
  for (const CLI::Option* other : option.get_excludes()) flag.excludes.push_back(other->get_name());
  std::sort(flag.needs.begin(), flag.needs.end());  // CLI11 sorts them by address
  std::sort(flag.excludes.begin(), flag.excludes.end());
  if (option.get_items_expected_max() == 0) return flag;

  flag.value = option.get_type_name();
  flag.default_value = option.get_default_str();
  const auto says = [&](const char* word) { return flag.value.find(word) != flag.value.npos; };
  if (names_choices(flag.value)) {
    flag.takes = Takes::choice;
    flag.choices = CLI::detail::split(flag.value, '|');
  } else if (flag.positional || says("FILE")) {
    flag.takes = Takes::file;
  } else {
    flag.takes = says("DIR") ? Takes::folder : Takes::text;
  }
  return flag;
}

void add_commands(const CLI::App& app, const std::string& name, std::vector<CommandDescription>& commands) {
  CommandDescription command{name, app.get_description(), {}, {}, app.get_footer()};
  for (const CLI::Option* option : app.get_options()) command.flags.push_back(describe(*option));
  const std::vector<const CLI::App*> below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* subcommand : below) command.subcommands.push_back(subcommand->get_name());
  commands.push_back(std::move(command));
  for (const CLI::App* subcommand : below) add_commands(*subcommand, name + " " + subcommand->get_name(), commands);
}

}  // namespace

std::vector<CommandDescription> describe_commands(const CLI::App& program) {
  std::vector<CommandDescription> commands;
  add_commands(program, program.get_name(), commands);
  return commands;
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  return fmt::format("{}", fmt::join(words, between));
}

}  // namespace sandglass
