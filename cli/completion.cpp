// What bash, zsh and fish complete after `sandglass`: commands, flags, the choices of flags, and elsewhere files.
#include <iostream>

#include "cli/commands.h"
#include "cli/flag_list.h"

namespace sandglass {
namespace {

using Takes = FlagDescription::Takes;

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) text.replace(at, what.size(), by);
  return text;
}

const FlagDescription* positional_of(const CommandDescription& command) {
  for (const FlagDescription& flag : command.flags)
    if (flag.positional) return &flag;
  return nullptr;
}

const CommandDescription& find_command(const std::vector<CommandDescription>& commands, const std::string& name) {
  return *std::find_if(commands.begin(), commands.end(), [&](const auto& command) { return command.name == name; });
}

// All commands but the program as patterns of a shell's `case`.
std::string patterns_of(const std::vector<CommandDescription>& commands, const std::string& between) {
  std::vector<std::string> patterns;
  for (size_t i = 1; i < commands.size(); ++i) patterns.push_back("'" + commands[i].name + "'");
  return joined(patterns, between);
}

// Where nothing is offered, `-o default` lets readline complete files.
constexpr const char* kBashBegin = R"(# bash completion of sandglass, written by `sandglass completion bash`.
_sandglass() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=sandglass words= i
  if [[ $current == '=' ]]; then  # --flag=value is three words here
    current=
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
)";
constexpr const char* kBashEnd = R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _sandglass sandglass
)";

void write_bash(std::ostream& out, const std::vector<CommandDescription>& commands) {
  out << kBashBegin << "      " << patterns_of(commands, " | ") << ") command+=\" ${COMP_WORDS[i]}\" ;;\n"
      << "      *) break ;;\n    esac\n  done\n  case \"$command:$previous\" in\n";
  for (const CommandDescription& command : commands) {
    for (const FlagDescription& flag : command.flags) {
      if (flag.positional || flag.takes == Takes::nothing) continue;
      out << "    '" << command.name << ":" << joined(flag.names, "' | '" + command.name + ":") << "') words='"
          << joined(flag.choices, " ") << "' ;;\n";
    }
  }
  out << "    *)\n      case \"$command:$current\" in\n";
  for (const CommandDescription& command : commands) {
    std::string flags;
    for (const FlagDescription& flag : command.flags)
      if (!flag.positional) flags += (flags.empty() ? "" : " ") + joined(flag.names, " ");
    out << "        '" << command.name << ":-'*) words='" << flags << "' ;;\n";
    std::vector<std::string> words = command.subcommands;
    if (const FlagDescription* positional = positional_of(command)) words = positional->choices;
    if (!words.empty()) out << "        '" << command.name << ":'*) words='" << joined(words, " ") << "' ;;\n";
  }
  out << "      esac ;;\n" << kBashEnd;
}

// zsh: a function per command, as its _arguments wants it.

std::string zsh_text(const std::string& text) {
  std::string escaped = text;
  for (const char* letter : {"\\", "[", "]", ":"}) escaped = replaced(escaped, letter, std::string("\\") + letter);
  return replaced(escaped, "'", "'\\''");
}

std::string zsh_value(const FlagDescription& flag) {
  const std::string name = zsh_text(flag.positional ? flag.names[0] : flag.value);
  switch (flag.takes) {
    case Takes::nothing:
      return "";
    case Takes::choice:
      return ":" + name + ":(" + joined(flag.choices, " ") + ")";
    case Takes::file:
      return ":" + name + ":_files";
    case Takes::folder:
      return ":" + name + ":_files -/";
    case Takes::text:
      break;
  }
  return ":" + name + ": ";
}

void write_zsh(std::ostream& out, const std::vector<CommandDescription>& commands) {
  out << "#compdef sandglass\n# zsh completion of sandglass, written by `sandglass completion zsh`.\n";
  for (const CommandDescription& command : commands) {
    const std::string function = "_" + replaced(command.name, " ", "_");
    out << "\n" << function << "() {\n";
    const bool parent = !command.subcommands.empty();
    if (parent) out << "  local state line\n";
    out << "  _arguments " << (parent ? "-C " : "") << "-s";
    for (const FlagDescription& flag : command.flags) {
      if (flag.positional) {
        out << " \\\n    '" << (flag.repeated ? "*" : "") << zsh_value(flag) << "'";
        continue;
      }
      const std::string more = flag.takes == Takes::nothing ? "" : "=";
      for (const std::string& name : flag.names)
        out << " \\\n    '" << (flag.repeated ? "*" : "") << name << (name.starts_with("--") ? more : "") << "["
            << zsh_text(flag.description) << "]" << zsh_value(flag) << "'";
    }
    if (parent) {
      out << " \\\n    '1:command:->command' \\\n    '*::argument:->argument'\n"
          << "  case $state in\n    command)\n      local -a commands=(";
      for (const std::string& subcommand : command.subcommands) {
        const CommandDescription& described = find_command(commands, command.name + " " + subcommand);
        out << "\n        '" << subcommand << ":" << zsh_text(described.description) << "'";
      }
      out << ")\n      _describe command commands ;;\n"
          << "    argument)\n      (( $+functions[" << function << "_$words[1]] )) && " << function
          << "_$words[1] ;;\n  esac";
    }
    out << "\n}\n";
  }
  // Sourced, or loaded by zsh as the function of this name at its first use.
  out << "\nif [[ $funcstack[1] == _sandglass ]]; then\n  _sandglass \"$@\"\nelse\n  compdef _sandglass "
         "sandglass\nfi\n";
}

// fish

std::string fish_text(const std::string& text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

constexpr const char* kFishBegin = R"(# fish completion of sandglass, written by `sandglass completion fish`.
function __sandglass_command_is
    set -l command sandglass
    for word in (commandline -opc)[2..-1]
        switch "$command $word"
            case )";
constexpr const char* kFishEnd = R"(
                set command "$command $word"
            case '*'
                break
        end
    end
    test "$command" = "$argv"
end
)";

void write_fish(std::ostream& out, const std::vector<CommandDescription>& commands) {
  out << kFishBegin << patterns_of(commands, " ") << kFishEnd;
  for (const CommandDescription& command : commands) {
    const std::string begin = "complete -c sandglass -n '__sandglass_command_is " + command.name + "'";
    const FlagDescription* positional = positional_of(command);
    if (!positional || positional->takes != Takes::file) out << begin << " -f\n";
    if (positional && positional->takes == Takes::choice)
      out << begin << " -a '" << joined(positional->choices, " ") << "'\n";
    for (const std::string& subcommand : command.subcommands)
      out << begin << " -a " << subcommand << " -d "
          << fish_text(find_command(commands, command.name + " " + subcommand).description) << "\n";
    for (const FlagDescription& flag : command.flags) {
      if (flag.positional) continue;
      out << begin;
      for (const std::string& name : flag.names)
        out << (name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1));
      switch (flag.takes) {
        case Takes::nothing:
          break;
        case Takes::choice:
          out << " -x -a '" << joined(flag.choices, " ") << "'";
          break;
        case Takes::file:
          out << " -r -F";
          break;
        case Takes::folder:
          out << " -x -a '(__fish_complete_directories)'";
          break;
        case Takes::text:
          out << " -x";
          break;
      }
      out << " -d " << fish_text(flag.description) << "\n";
    }
  }
}

}  // namespace

Command add_completion(CLI::App& program) {
  CLI::App* app = program.add_subcommand("completion", "Print what a shell needs to complete commands and flags");
  auto shell = std::make_shared<std::string>();
  app->add_option("SHELL", *shell, "for example: source <(sandglass completion bash)")
      ->type_name("bash|zsh|fish")
      ->check(one_of({"bash", "zsh", "fish"}))
      ->required();
  return {app, [&program, shell] {
            const std::vector<CommandDescription> commands = describe_commands(program);
            if (*shell == "bash") write_bash(std::cout, commands);
            if (*shell == "zsh") write_zsh(std::cout, commands);
            if (*shell == "fish") write_fish(std::cout, commands);
            return 0;
          }};
}

}  // namespace sandglass
