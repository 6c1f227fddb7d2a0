// sandglass: the program. Exit codes: 0 good; 1 an error, said in one line on stderr; 2 wrong usage.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "engine/error.h"

namespace sandglass {
namespace {

constexpr int kGood = 0, kError = 1, kWrongUsage = 2;

// Threads that wait for the others of a parallel loop spin for a while, and sleep then. OpenMP's usual milliseconds of
// spinning take processors from the threads that load pictures and find faces, and from other programs; without any, to
// wake a thread takes longer than a loop of a small network. Some fifty microseconds serve both (measured:
// bench/spin_count.sh). The OpenMP library reads this setting before main.
void restart_with_short_spins(char** arguments) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  setenv("GOMP_SPINCOUNT", "2000", 0);
  execv("/proc/self/exe", arguments);  // does not return; without /proc it does, and the threads spin for longer
}

// Without a throw if nobody reads it: there is nobody else to tell.
void print_error(const std::string& line) { std::fputs(("sandglass: error: " + line + "\n").c_str(), stderr); }

int report(const std::string& what) {
  std::cout.flush();
  print_error(one_line(what));
  return kError;
}

// CLI11's messages, in our words where its own are hard to read.
std::string message_of(const CLI::ParseError& error) {
  const std::string what = error.what();
  const std::string name = what.substr(0, what.find(':')), rest = what.substr(std::min(name.size() + 2, what.size()));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) return fmt::format("{} needs a value", name);
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) return fmt::format("unexpected argument {}", rest);
  return what;
}

int report_usage(const std::string& what, const std::string& command) {
  print_error(fmt::format("{} (see 'sandglass {}--help')", one_line(what), command.empty() ? "" : command + " "));
  return kWrongUsage;
}

int run(int count, char** arguments) {
  CLI::App program(
      "Sandglass trains and runs heatmap networks that read the intensity of facial Action Units, and where in the "
      "face they show.",
      "sandglass");
  program.set_version_flag("--version", fmt::format("sandglass {}", kVersion));
  program.get_formatter()->column_width(36);
  const std::vector<Command> commands{add_info(program),       add_synth(program),   add_data(program),
                                      add_train(program),      add_eval(program),    add_infer(program),
                                      add_report(program),     add_convert(program), add_bench(program),
                                      add_experiment(program), add_manual(program),  add_completion(program)};
  program.footer("'sandglass COMMAND --help' lists a command's flags. Exit codes: 0 good, 1 error, 2 wrong usage.");

  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.app->get_name());
  const std::string first = count > 1 ? arguments[1] : "";
  const bool named = std::find(names.begin(), names.end(), first) != names.end();
  if (first.empty())
    return report_usage(fmt::format("no command given; the commands are {}", fmt::join(names, ", ")), "");
  if (!named && first[0] != '-')
    return report_usage(fmt::format("unknown command '{}'; the commands are {}", first, fmt::join(names, ", ")), "");
  try {
    program.parse(count, arguments);
    for (const Command& command : commands) {
      if (!command.app->parsed()) continue;
      const int code = command.run();
      std::cout.flush();
      check(std::cout.good(), "the output could not be written to standard output");
      return code;
    }
  } catch (const CLI::Success& asked) {  // --help, --version
    return program.exit(asked);
  } catch (const CLI::ParseError& error) {
    return report_usage(message_of(error), named ? first : "");
  }
  return report_usage("no command given", "");
}

}  // namespace
}  // namespace sandglass

int main(int count, char** arguments) {
  sandglass::restart_with_short_spins(arguments);
  std::signal(SIGPIPE, SIG_IGN);  // a reader who went away is an error as any other: unfinished files are removed
  try {
    return sandglass::run(count, arguments);
  } catch (const std::bad_alloc&) {
    return sandglass::report("not enough memory");
  } catch (const std::exception& error) {
    return sandglass::report(error.what());
  } catch (...) {
    return sandglass::report("an unknown error");
  }
}
