// The manual page sandglass(1), in the language of man(7), made from the program's own flags.
#include <iostream>
#include <sstream>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "cli/flag_list.h"

namespace sandglass {
namespace {

// Text in which roff sees nothing but text: hyphens that stay what one types, and no line that begins a request.
std::string roff(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    if ((letter == '.' || letter == '\'') && (escaped.empty() || escaped.back() == '\n')) escaped += "\\&";
    switch (letter) {
      case '\\':
        escaped += "\\e";
        break;
      case '-':
        escaped += "\\-";
        break;
      case '\'':
        escaped += "\\(aq";
        break;
      case '`':
        escaped += "\\(ga";
        break;
      case '^':
        escaped += "\\(ha";
        break;
      case '~':
        escaped += "\\(ti";
        break;
      default:
        escaped += letter;
    }
  }
  return escaped;
}
std::string bold(const std::string& text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + roff(text) + "\\fR"; }

// How a command is called, with its positional arguments.
std::string synopsis(const CommandDescription& command) {
  std::string line = bold(command.name);
  if (!command.subcommands.empty()) line += " " + italic("COMMAND");
  line += " [" + italic("OPTIONS") + "]";
  for (const FlagDescription& flag : command.flags) {
    if (!flag.positional) continue;
    const std::string argument = italic(flag.names[0]) + (flag.repeated ? "..." : "");
    line += flag.required ? " " + argument : " [" + argument + "]";
  }
  return line;
}

// "Default: 8.", "Required." and the like.
std::string remarks(const FlagDescription& flag) {
  std::vector<std::string> remarks;
  if (!flag.default_value.empty()) remarks.push_back("Default: " + bold(flag.default_value) + ".");
  if (flag.required && !flag.positional) remarks.push_back("Required.");
  if (!flag.needs.empty()) remarks.push_back("Only with " + roff(joined(flag.needs, ", ")) + ".");
  if (!flag.excludes.empty()) remarks.push_back("Not with " + roff(joined(flag.excludes, ", ")) + ".");
  return joined(remarks, " ");
}

void write_flag(std::ostream& out, const FlagDescription& flag) {
  std::vector<std::string> names;
  for (const std::string& name : flag.names) names.push_back(flag.positional ? italic(name) : bold(name));
  out << ".TP\n" << joined(names, ", ");
  if (!flag.value.empty() && (!flag.positional || !flag.choices.empty())) out << " " << italic(flag.value);
  out << "\n" << roff(flag.description);
  const std::string more = remarks(flag);
  out << (more.empty() ? "\n" : ".\n" + more + "\n");
}

// A footer's lines: text; below it, indented by two, terms; and indented further, what they mean.
void write_footer(std::ostream& out, const std::string& footer) {
  std::istringstream lines(footer);
  for (std::string line; std::getline(lines, line);) {
    const size_t indent = line.find_first_not_of(' ');
    if (indent == line.npos) continue;
    const std::string text = line.substr(indent);
    if (indent == 0) {
      out << ".PP\n" << roff(text) << "\n";
    } else if (indent == 2) {
      out << ".TP\n" << bold(text) << "\n";
    } else {
      out << roff(text) << "\n";
    }
  }
}

void write_manual(std::ostream& out, const std::vector<CommandDescription>& commands) {
  const CommandDescription& program = commands.front();
  out << ".\\\" Written by `sandglass manual` from the program's own flags.\n"
      << fmt::format(".TH SANDGLASS 1 \"\" \"sandglass {}\" \"User Commands\"\n", roff(kVersion))
      << ".SH NAME\nsandglass \\- intensities and places of facial Action Units\n"
      << ".SH SYNOPSIS\n"
      << synopsis(program) << "\n.SH DESCRIPTION\n"
      << roff(program.description) << "\n";
  for (const FlagDescription& flag : program.flags) write_flag(out, flag);
  write_footer(out, program.footer);
  out << ".SH COMMANDS\n";
  for (const CommandDescription& command : commands) {
    if (&command == &program) continue;
    out << ".SS " << synopsis(command) << "\n" << roff(command.description) << ".\n";
    for (const FlagDescription& flag : command.flags)
      if (flag.names.back() != "--help") write_flag(out, flag);
    write_footer(out, command.footer);
  }
}

}  // namespace

Command add_manual(CLI::App& program) {
  CLI::App* app = program.add_subcommand("manual", "Print the manual page: sandglass manual | man -l -");
  return {app, [&program] {
            write_manual(std::cout, describe_commands(program));
            return 0;
          }};
}

}  // namespace sandglass
